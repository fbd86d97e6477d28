"""The bytes that autograd saves in a training forward that needs values, followed from few images and small sizes.

Such a forward takes the memory that it is asked about. Each further image adds as much as the third, and the bytes
follow a parabola in the number of pixels, since attention saves a number for each pair of them. The largest of the
small sizes is held out first, which tells how far off that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from bench.measure.cost.whole.sizes import AT_ONCE_PX, LEAST_PX, Fit, Px, followed_to, small_side

FIRST, STEP, SIZES = Fraction(1, 4), Fraction(1, 12), 4
"""The side of the smallest image and the step to the next, as parts of that asked for; the number of small images:
three to draw a parabola through, one that is held out."""

FEW = 2
"""The number of images from which, and from one more, larger batches are followed."""

Saved = Callable[[int, int, int], Mapping[str, int]]
"""The function (images, height, width) -> module -> bytes, which runs a training forward."""


@dataclass(frozen=True)
class SavedBytes:
    """The bytes that autograd saves in a training forward.

    Attributes:
        by_module: module -> bytes.
        how: how they were extrapolated; empty if they were counted.
    """

    by_module: Mapping[str, int]
    how: str = ""


def followed_saves(saved: Saved, batch: int, height: int, width: int) -> SavedBytes:
    """The bytes for ``batch`` images of ``height`` x ``width``, from two and three images of small sizes.

    A network that accepts no small size, and a small image, are run at their size, with at most three images.
    """
    sizes = [(height, width)] if height * width <= AT_ONCE_PX else _small_sizes(height, width)
    try:
        found = {px: _of_batch(saved, batch, *px) for px in sizes}
    except Exception:  # noqa: BLE001 - a network of one size may raise anything at others; at its own, it raises again
        found = {(height, width): _of_batch(saved, batch, height, width)}
    batches = f"batches of {FEW} and {FEW + 1} images" if batch > FEW + 1 else ""
    if len(found) < 2:
        return SavedBytes(next(iter(found.values())), f"extrapolated from {batches}" if batches else "")
    *fitted, held_out = found
    degree = min(2, len(fitted) - 1)
    foretold = followed_to({px: found[px] for px in fitted}, degree, held_out[0] * held_out[1])
    truth = sum(found[held_out].values())
    error = abs(sum(foretold.values()) - truth) / truth if truth else 0.0
    fit = Fit(tuple(fitted), held_out, degree, error)
    return SavedBytes(
        followed_to(found, min(2, len(found) - 1), height * width), f"{fit}; from {batches}" if batches else str(fit)
    )


def _small_sizes(height: int, width: int) -> list[Px]:
    part, sizes = max(FIRST, Fraction(LEAST_PX, min(height, width))), dict[Px, None]()
    while part < 1 and len(sizes) < SIZES:
        sizes[small_side(height, part), small_side(width, part)] = None
        part += STEP
    return [px for px in sizes if px != (height, width)] or [(height, width)]


def _of_batch(saved: Saved, batch: int, height: int, width: int) -> dict[str, int]:
    """The bytes for a batch; batch normalisation refuses one image where a map is pooled to one pixel."""
    if batch <= FEW:
        return dict(saved(batch, height, width))
    few, more = saved(FEW, height, width), saved(FEW + 1, height, width)
    return {name: few.get(name, 0) + (batch - FEW) * (count - few.get(name, 0)) for name, count in more.items()}
