"""The identity of trials: a key over settings, data, versions and the code that computes their numbers.

- :mod:`~.definitions` finds definitions: which file, which statements bind a name, where an imported name leads.
- :mod:`~.forms` writes code in a normal form, with notes on what else counts; :mod:`~.known` puts known values into it.
- :mod:`~.effects` finds top-level statements that change what is defined elsewhere.
- :mod:`~.library` keeps the normal forms, and :mod:`~.walk` follows them from the roots of a trial to all that they
  reach, on the :mod:`~.conditions` that hold. :mod:`~.spelling` makes that one text with one digest, and
  :mod:`~.reader` puts the three together.
- :mod:`~.key` makes the key, of the code of a trial and of the :mod:`~.values` in its settings; :mod:`~.many` makes the
  same keys for the many trials of a study, whose code it reads but once. :mod:`~.explained`
  keeps its contents, and :mod:`~.rekey` gives old records new keys with the help of :mod:`~.old_source`.

Nothing here but :mod:`~.rekey` imports another module of the package that measures, so that another version of it can
be read by the present rules.
"""
