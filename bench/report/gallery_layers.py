"""The layers that lie over an image of the gallery: palette PNGs, transparent where there is nothing to say.

Maps ``H W`` uint8 class indices; void :data:`~bench.pictures.VOID`. Value 0 of errors and boundaries is transparent.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.pictures import VOID, Bytes
from bench.report.gallery_palette import LIGHT_NEUTRAL, NEUTRAL, class_colours

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
