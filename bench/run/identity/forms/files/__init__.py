"""The files that code names, whose content counts as the code itself does.

- A :mod:`~.place` is the path of one file, or a pattern that several fit; :mod:`~.paths` puts it together.
- :mod:`~.access` tells which calls read or write a file; :mod:`~.finder` finds the places in a module's code.
- :mod:`~.search` finds the files at a place, and :mod:`~.contents` says what counts of them.
"""
