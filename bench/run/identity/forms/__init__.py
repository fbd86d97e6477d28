"""The normal form in which code is written into a key, and notes about what counts besides.

- :mod:`~.meaning` tells what names and calls mean; :mod:`~.pieces` are what is written.
- :mod:`~.files` finds the files that code names, by the :mod:`~.settings` of variables too, and :mod:`~.messages` the
  texts for people and what reads them.
- :class:`~.writer.Writer` writes whole definitions. It grows layer by layer: :mod:`~.tokens`, :mod:`~.names`,
  :mod:`~.by_name`, :mod:`~.told`, :mod:`~.calls`, :mod:`~.scopes`, each on the one before.
"""
