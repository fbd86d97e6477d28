"""The layers that lie over an image of the gallery: palette PNGs, transparent where there is nothing to say.

Maps ``H W`` uint8 class indices; void :data:`~bench.records.pictures.VOID`. Value 0 of errors and boundaries is
transparent.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.records.pictures import VOID, Bytes

WRONG_HERE, WRONG_ON_BOTH = 1, 2


ERROR_COLOURS = ("#000000", "#D55E00", "#56B4E9")
"""Of nothing, of what is wrong on this side alone, of what is wrong on both."""


LABEL_COLOUR, PREDICTION_COLOUR = "#56B4E9", "#E69F00"
"""Of boundaries."""


HATCH, HATCH_PX = VOID - 1, 8
"""The index of the lighter stripes over void, in place of a 255th class, and from one of them to the next."""


def classes(values: Bytes, label: Bytes, count: int) -> bytes:
    """A map in the colours of ``count`` classes, opaque; where the label is void, hatched in greys: no class is."""
    colours = [*class_colours(min(count, HATCH)), *["#000000"] * (HATCH - count), LIGHT_NEUTRAL, NEUTRAL]
    diagonal = np.add.outer(np.arange(values.shape[0]), np.arange(values.shape[1]))
    void = np.where(diagonal % HATCH_PX < HATCH_PX // 2, VOID, HATCH)
    return _png(np.where(label == VOID, void, values).astype(np.uint8), colours)


def errors(side: Bytes, other: Bytes, label: Bytes) -> bytes:
    """Where a prediction is wrong: alone, or together with the other side's. Void is never wrong."""
    wrong, wrong_too = ((each != label) & (label != VOID) for each in (side, other))
    values = np.where(wrong, np.where(wrong_too, WRONG_ON_BOTH, WRONG_HERE), 0).astype(np.uint8)
    return _png(values, ERROR_COLOURS, clear=0)


def boundaries(values: Bytes, colour: str) -> bytes:
    """The boundaries of a map: see :func:`boundary`."""
    return _png(boundary(values).astype(np.uint8), ("#000000", colour), clear=0)


def boundary(values: Bytes) -> npt.NDArray[np.bool_]:
    """Pixels with another class right above, below, left or right of them; a region's outline towards void is none."""
    found = np.zeros(values.shape, dtype=np.bool_)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (values[here] != values[there]) & (values[here] != VOID) & (values[there] != VOID)
        found[here] |= differ
        found[there] |= differ
    return found


def _png(values: Bytes, colours: Sequence[str], clear: int | None = None) -> bytes:
    image = Image.fromarray(values)
    image.putpalette(bytes.fromhex("".join(colour[1:] for colour in colours)))
    file = io.BytesIO()
    image.save(file, "PNG", **({} if clear is None else {"transparency": clear}))
    return file.getvalue()


Floats = npt.NDArray[np.float64]


FIRST = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


NEUTRAL, LIGHT_NEUTRAL = "#404040", "#A0A0A0"
"""Of the stripes over void; no class has the first."""


LEVELS = range(0, 256, 17)


LIGHTNESS = 0.3, 0.95
"""Oklab lightness of a class's colour: neither black nor white, which a picture under it has much of."""


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


@functools.cache
def class_colours(count: int) -> tuple[str, ...]:
    """Colours of ``count`` classes as ``#RRGGBB``; those of fewer classes are the first of them."""
    candidates = [f"#{r:02X}{g:02X}{b:02X}" for r, g, b in itertools.product(LEVELS, repeat=3)]
    seen = oklab(candidates)
    light = (seen[0, :, 0] >= LIGHTNESS[0]) & (seen[0, :, 0] <= LIGHTNESS[1])
    chosen = list(FIRST[:count])
    nearest = np.where(light, _distances(seen, oklab([NEUTRAL, *chosen])).min(1), 0.0)
    while len(chosen) < count:
        furthest = int(nearest.argmax())
        chosen.append(candidates[furthest])
        nearest = np.minimum(nearest, _distances(seen, seen[:, [furthest]])[:, 0])
    return tuple(chosen)


def oklab(colours: Sequence[str]) -> Floats:
    """Oklab of ``N`` colours as each of :data:`SIGHTS` sees them, ``3 N 3``."""
    srgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    seen = np.stack([linear @ matrix.T for matrix in SIGHTS.values()]).clip(0, 1)
    return np.asarray(np.cbrt(seen @ TO_CONES.T) @ TO_OKLAB.T)


def _distances(some: Floats, others: Floats) -> Floats:
    """Of ``N`` colours from ``M``, ``N M``: the least that any sight sees."""
    return np.asarray(np.linalg.norm(some[:, :, None] - others[:, None], axis=-1).min(0))
