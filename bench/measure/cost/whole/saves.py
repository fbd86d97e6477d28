"""The bytes that autograd saves in a training forward that needs values, followed from few images and small sizes.

Such a forward takes the memory that it is asked about. Each further image adds as much as the third, and the bytes
follow a parabola in the number of pixels, since attention saves a number for each pair of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from bench.measure.cost.whole.sizes import AT_ONCE_PX, LEAST_PX, Px, followed_to, small_side

FIRST, STEP, SIZES = Fraction(1, 4), Fraction(1, 8), 3
"""The side of the smallest image and the step to the next, as parts of that asked for; the number of small images."""

FEW = 2
"""The number of images from which, and from one more, larger batches are followed."""

Saved = Callable[[int, int, int], Mapping[str, int]]
"""The function (images, height, width) -> module -> bytes, which runs a training forward."""


def followed_saves(saved: Saved, batch: int, height: int, width: int) -> dict[str, int]:
    """Module -> the bytes for ``batch`` images of ``height`` x ``width``, from two and three images of small sizes.

    A network that accepts no small size, and a small image, are run at their size, with at most three images.
    """
    sizes: list[Px] = [(height, width)]
    if height * width > AT_ONCE_PX:
        first = max(FIRST, Fraction(LEAST_PX, min(height, width)))
        parts = [min(first + index * STEP, Fraction(1)) for index in range(SIZES)]
        sizes = list(dict.fromkeys((small_side(height, part), small_side(width, part)) for part in parts))
    try:
        found = {px: _of_batch(saved, batch, *px) for px in sizes}
    except Exception:  # noqa: BLE001 - a network of one size may raise anything at others; at its own, it raises again
        found = {(height, width): _of_batch(saved, batch, height, width)}
    return followed_to(found, len(found) - 1, height * width)


def _of_batch(saved: Saved, batch: int, height: int, width: int) -> dict[str, int]:
    """The bytes for a batch; batch normalisation refuses one image where a map is pooled to one pixel."""
    if batch <= FEW:
        return dict(saved(batch, height, width))
    few, more = saved(FEW, height, width), saved(FEW + 1, height, width)
    return {name: few.get(name, 0) + (batch - FEW) * (count - few.get(name, 0)) for name, count in more.items()}
