"""Augmented batches for training, each a function of (seed, iteration) alone.

:mod:`~.batches` makes them, from :mod:`~.geometry` (scale, crop, rotation, flip), :mod:`~.colours` and :mod:`~.blur`.
"""
