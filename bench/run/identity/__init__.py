"""The identity of trials: a key over settings, data, versions and the code that computes their numbers.

- :mod:`~.origins` and :mod:`~.source` find definitions: which file, which statements bind a name.
- :mod:`~.canonical` writes code in a normal form; :mod:`~.specialise` puts known values into it.
- :mod:`~.effects` finds top-level statements that change what is defined elsewhere.
- :mod:`~.linear` strings definitions together from the roots of a trial; :mod:`~.key` makes the key.

Nothing here imports another module of the package that measures, so that :mod:`~.rekey` can read another version of it.
"""
