"""Random numbers of the training stream. Each kind has streams of its own, one for each iteration and image of a batch.

So a recipe that adds a blur, say, keeps the crops and colours of one without it.
"""

from __future__ import annotations

import functools

import numpy as np

ORDER, AUGMENT = 0, 1  # keep the streams for the order of samples and for their augmentation apart
PLACES, ROTATION, COLOURS, BLUR = range(2, 6)


def generator(*key: int) -> np.random.Generator:
    """The generator of a stream: its kind, the seed and what else numbers it."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def drawn_sample(length: int, seed: int, position: int) -> int:
    """The index of the sample at a position in the endless sequence of shuffled epochs."""
    return int(_permutation(length, seed, position // length)[position % length])


@functools.lru_cache(maxsize=4)
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    return generator(ORDER, seed, epoch).permutation(length)
