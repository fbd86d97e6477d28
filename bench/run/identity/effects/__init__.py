"""The effects of importing a module: what its top-level statements change that is defined elsewhere.

- :mod:`~.statements` finds the statements, by the changes that the :mod:`~.calls` in them may cause, and those by what
  the called :mod:`~.functions` and :mod:`~.methods` do to their :mod:`~.variables`.
- A change is a :mod:`~.mutation`; :mod:`~.roots` tells which definitions the changed objects belong to.
"""
