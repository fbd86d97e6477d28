"""The layers that lie over an image of the gallery: PNG files with a palette, transparent where nothing is to be shown.

Maps are ``H W`` uint8 class indices; void is :data:`~bench.records.pictures.VOID`. Value 0 of errors and boundaries is
transparent.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.records.pictures import VOID, Bytes

WRONG_HERE, WRONG_ON_BOTH = 1, 2


ERROR_COLOURS = ("#000000", "#D55E00", "#56B4E9")
"""The colours of pixels without an error, of those that are wrong on this side alone, and on both sides."""


LABEL_COLOUR, PREDICTION_COLOUR = "#56B4E9", "#E69F00"
"""The colours of the boundaries of labels and of predictions."""


HATCH, HATCH_PX = VOID - 1, 8
"""The index of the lighter stripes over void, which takes the place of a 255th class, and their distance in pixels."""


def classes(values: Bytes, label: Bytes, count: int) -> bytes:
    """An opaque map in the colours of ``count`` classes, hatched in greys, as no class is, where the label is void."""
    colours = [*CLASS_COLOURS[: min(count, HATCH)], *["#000000"] * (HATCH - count), LIGHT_NEUTRAL, NEUTRAL]
    diagonal = np.add.outer(np.arange(values.shape[0]), np.arange(values.shape[1]))
    void = np.where(diagonal % HATCH_PX < HATCH_PX // 2, VOID, HATCH)
    return _png(np.where(label == VOID, void, values).astype(np.uint8), colours)


def errors(side: Bytes, other: Bytes, label: Bytes) -> bytes:
    """A picture of the pixels where a prediction is wrong, alone or together with the other side's.

    Void pixels never count as wrong.
    """
    wrong, wrong_too = ((prediction != label) & (label != VOID) for prediction in (side, other))
    values = np.where(wrong, np.where(wrong_too, WRONG_ON_BOTH, WRONG_HERE), 0).astype(np.uint8)
    return _png(values, ERROR_COLOURS, clear=0)


def boundaries(values: Bytes, colour: str) -> bytes:
    """A picture of the boundaries of a map, which are those of :func:`boundary`."""
    return _png(boundary(values).astype(np.uint8), ("#000000", colour), clear=0)


def boundary(values: Bytes) -> npt.NDArray[np.bool_]:
    """The pixels next to another class above, below, left or right; neighbours that are void do not count."""
    edges = np.zeros(values.shape, dtype=np.bool_)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (values[here] != values[there]) & (values[here] != VOID) & (values[there] != VOID)
        edges[here] |= differ
        edges[there] |= differ
    return edges


def _png(values: Bytes, colours: Sequence[str], clear: int | None = None) -> bytes:
    image = Image.fromarray(values)
    image.putpalette(bytes.fromhex("".join(colour[1:] for colour in colours)))
    file = io.BytesIO()
    image.save(file, "PNG", **({} if clear is None else {"transparency": clear}))
    return file.getvalue()


NEUTRAL, LIGHT_NEUTRAL = "#404040", "#A0A0A0"
"""The colours of the darker and the lighter stripes over void; no class has the first of them."""


CLASS_COLOURS = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#77FFFF", "#000099", "#0000FF",
    "#44DDAA", "#5588FF", "#556666", "#332255", "#994400", "#66FFAA", "#44DDFF", "#0044BB", "#334477", "#880000",
    "#3366EE", "#77BB77", "#CCCC66", "#33CCCC", "#BB3399", "#5599DD", "#551122", "#667755", "#00EEDD", "#335566",
    "#DD1144", "#003377", "#0088CC", "#FF6644", "#882299", "#0000BB", "#224400", "#446688", "#00AA55", "#0066CC",
    "#0000DD", "#FFDD88", "#EE88AA", "#443355", "#446633", "#11CCFF", "#EEBB00", "#FF4488", "#BBFFDD", "#00AAFF",
    "#448877", "#2244DD", "#66EEBB", "#33AACC", "#EEBB99", "#664433", "#22DDDD", "#33BBCC", "#77EEFF", "#AABB55",
    "#550044", "#4477DD", "#FF9988", "#DDFF77", "#3377FF", "#DDFF00", "#4499BB", "#2244FF", "#CC22BB", "#EECC88",
    "#883355", "#009999", "#886622", "#DD7700", "#44BBAA", "#55DD33", "#DD7766", "#DDDD66", "#443388", "#11AA77",
    "#663322", "#770066", "#449955", "#4499FF", "#BB22AA", "#BB2277", "#CC66AA", "#007799", "#999933", "#BB0088",
    "#EE99BB", "#006611", "#440066", "#CC33AA", "#660033", "#442299", "#DD00DD", "#333366", "#772244", "#112288",
    "#55BBFF", "#AA7733", "#CC3366", "#7700AA", "#CC77BB", "#FF8899", "#8877EE", "#552244", "#CCDDEE", "#0000AA",
    "#CCFF99", "#996644", "#66CC77", "#0033CC", "#BB2244", "#994455", "#223333", "#002277", "#555588", "#669988",
    "#9955BB", "#DDEEBB", "#336699", "#0000CC", "#7733AA", "#88BB00", "#990077", "#CCDD33", "#99BBEE", "#0077CC",
    "#114466", "#770033", "#BBCCEE", "#8899EE", "#CCEEDD", "#FF9966", "#0055CC", "#8888EE", "#FFAABB", "#1188DD",
    "#FFEE55", "#778888", "#FF5555", "#FFCCCC", "#556677", "#99AA99", "#0099CC", "#5566DD", "#BBCCCC", "#CC99DD",
    "#5533EE", "#994433", "#EE8866", "#CC66BB", "#554499", "#663355", "#4499AA", "#BB1166", "#661122", "#AA99BB",
    "#BB5555", "#336644", "#BBDD99", "#AABBDD", "#CCEE99", "#993322", "#CCFFBB", "#AAFFEE", "#FFBB55", "#88DD77",
    "#22AA33", "#DD2222", "#770000", "#44BBDD", "#BB9988", "#FF3377", "#33CCBB", "#776699", "#3377AA", "#CCEE66",
    "#0000EE", "#55EECC", "#EE5599", "#0033BB", "#CC0000", "#CC0088", "#7766CC", "#AA7799", "#EE99AA", "#DD0077",
    "#00CC88", "#4455FF", "#550055", "#338866", "#3377BB", "#558800", "#885577", "#33DDBB", "#446655", "#99FFCC",
    "#77EEAA", "#4477EE", "#55FF88", "#BBEEEE", "#669944", "#EEAA99", "#2288AA", "#1144CC", "#44DDEE", "#BBAA44",
    "#CC7755", "#FF66CC", "#EE99FF", "#3355EE", "#4466FF", "#773388", "#EEEECC", "#2288EE", "#BBCCFF", "#CC99EE",
    "#DDEEFF", "#AA2244", "#EEBBAA", "#9999FF", "#0033DD", "#55BB66", "#BBDDDD", "#990033", "#5555AA", "#881122",
    "#33FFDD", "#AABBCC", "#8877CC", "#9999DD", "#77DD55", "#55EEEE", "#990066", "#AADD88", "#CCDDBB", "#33FF99",
    "#9999CC", "#0099EE", "#DD6688", "#CCCC44", "#CC3399", "#00AA66", "#DDEEAA", "#33CCDD", "#220088", "#005533",
    "#3366AA", "#88AA77", "#DD7799", "#77EE66", "#77FF00", "#227766",
)  # fmt: skip
"""The colours of up to 256 classes, in their order.

Each colour after the seventh is chosen from a grid of 4,096: the one that is furthest in Oklab from all colours before
it and from :data:`NEUTRAL`, for people with normal sight, protanopes and deuteranopes at once. The test of the
gallery's colours repeats this choice."""
