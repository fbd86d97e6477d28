"""Augmented batches for training, each a function of (seed, iteration) alone.

:mod:`~.batches` makes them, from :mod:`~.geometry` (scale, crop, rotation, flip), :mod:`~.colours` and :mod:`~.blur`.
:mod:`~.plain` is the form that the keys of trials without more read.
"""
