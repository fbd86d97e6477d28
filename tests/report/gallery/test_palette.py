"""The colours of classes: the frozen list is what its rule chooses, and people who are colour-blind tell them apart.

Oklab: Ottosson 2020. Protanopia and deuteranopia: Machado, Oliveira and Fernandes 2009, severity 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from bench.report.gallery.layers import CLASS_COLOURS, NEUTRAL

Floats = npt.NDArray[np.float64]
FIRST = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


LEVELS = range(0, 256, 17)


LIGHTNESS = 0.3, 0.95
"""The range of a class's lightness in Oklab: neither black nor white, which a picture under it has much of."""


SIGHTS: dict[str, Floats] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)


TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def chosen_colours(count: int) -> list[str]:
    """The first seven colours, then each time the one of the grid that is furthest from all before it."""
    candidates = [f"#{r:02X}{g:02X}{b:02X}" for r, g, b in itertools.product(LEVELS, repeat=3)]
    seen = oklab(candidates)
    light = (seen[0, :, 0] >= LIGHTNESS[0]) & (seen[0, :, 0] <= LIGHTNESS[1])
    chosen = list(FIRST)
    nearest = np.where(light, _distances(seen, oklab([NEUTRAL, *chosen])).min(1), 0.0)
    while len(chosen) < count:
        furthest = int(nearest.argmax())
        chosen.append(candidates[furthest])
        nearest = np.minimum(nearest, _distances(seen, seen[:, [furthest]])[:, 0])
    return chosen


def oklab(colours: Sequence[str]) -> Floats:
    """``N`` colours in Oklab as each of :data:`SIGHTS` sees them, ``3 N 3``."""
    srgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    seen = np.stack([linear @ matrix.T for matrix in SIGHTS.values()]).clip(0, 1)
    return np.asarray(np.cbrt(seen @ TO_CONES.T) @ TO_OKLAB.T)


def _distances(some: Floats, others: Floats) -> Floats:
    """The distances of ``N`` colours from ``M`` others, ``N M``: the least that any sight sees."""
    return np.asarray(np.linalg.norm(some[:, :, None] - others[:, None], axis=-1).min(0))


def test_the_frozen_colours_are_those_that_the_rule_chooses() -> None:
    assert list(CLASS_COLOURS) == chosen_colours(256)
    assert len(set(CLASS_COLOURS)) == 256


@pytest.mark.parametrize(("count", "least"), [(7, 0.07), (11, 0.07), (19, 0.07), (60, 0.04), (150, 0.025)])
def test_colours_of_classes_stay_apart_for_the_colour_blind(count: int, least: float) -> None:
    seen = oklab([*CLASS_COLOURS[:count], NEUTRAL])
    for index, sight in enumerate(SIGHTS):
        distances = [math.dist(*pair) for pair in itertools.combinations(seen[index], 2)]
        assert min(distances) >= least, sight
