"""The count of a network at the size that was asked for: from shapes alone, with values, or from small sizes.

Shapes alone need no memory. A network that cannot run on them is run with values, all but its products. If that would
take more memory than there is, it is run at small sizes, and a line or a parabola in the number of pixels, whichever
foretells a held-out size better, is followed to the size that was asked for: the count says that it is extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from bench.measure.cost.whole.dispatched import Dispatched, record_on_meta, record_with_values
from bench.measure.cost.whole.reach import Counts, summed
from bench.network.model import SegModel
from bench.parts import BenchError

Name = TypeVar("Name")
Px = tuple[int, int]

AT_ONCE_PX = 256 * 256
"""The number of pixels up to which a network is run with values without asking how much memory it will take."""

FIRST, STEP = Fraction(1, 8), Fraction(1, 16)
"""The side of the smallest image that is run, and the step to the next one, as parts of that which was asked for."""

LEAST_SIZES = 4
"""The fewest small sizes: three to draw a parabola through, one that is held out. They are run whatever they take."""

STEP_PX, LEAST_PX = 32, 128
"""Small sides differ from those asked for by multiples of this, and the shorter one is about that at least: below,
windows and pooled maps are larger than what they are cut from."""

MEMORY_SHARE = 0.5
"""The share of the free memory that a forward may take."""

FREE_BYTES_UNKNOWN = 4 * 2**30
"""The free memory that is assumed where the machine does not tell."""


class TooLargeError(BenchError, RuntimeError):
    """A size at which a network needs too much memory to be counted, and which smaller ones do not foretell."""


@dataclass(frozen=True)
class Fit:
    """How a count was extrapolated.

    Attributes:
        fitted_px: the heights and widths at which the network was run.
        held_out_px: that at which the extrapolation was checked.
        degree: 1 for a line in the number of pixels, 2 for a parabola.
        error: the share by which the extrapolation to the held-out size was wrong, in MACs as executed.
    """

    fitted_px: tuple[Px, ...]
    held_out_px: Px
    degree: int
    error: float

    def __str__(self) -> str:
        height, width = self.held_out_px
        form = {1: "linear", 2: "quadratic"}[self.degree]
        sizes = ", ".join(f"{h}x{w}" for h, w in self.fitted_px)
        return f"extrapolated from {sizes}, {form} in pixels; {self.error:.2%} off at {height}x{width}"


@dataclass(frozen=True)
class Sized:
    """The counts of a network at a size, and how they were found.

    Attributes:
        counts: the counts.
        fit: how they were extrapolated; ``None`` if they were counted at the size itself.
    """

    counts: Counts
    fit: Fit | None = None


def count_at(model: SegModel, height: int, width: int, free_bytes: int | None = None) -> Sized:
    """The counts of one image ``1 3 height width``. The model is not changed.

    Args:
        model: the network; one on the meta device is counted from shapes alone.
        height: the height of the image in pixels.
        width: its width.
        free_bytes: the memory that a forward with values may take half of; ``None`` asks the machine.

    Raises:
        TooLargeError: if the size needs too much memory, and smaller ones differ too little from it.
        Exception: whatever the forward raises.
    """
    try:
        return Sized(summed(record_on_meta(model, height, width)))
    except BenchError:
        raise
    except Exception:  # code that reads values may raise anything without them; faulty code raises again
        if any(parameter.is_meta for parameter in model.parameters()):
            raise
    if height * width <= AT_ONCE_PX:
        return Sized(summed(record_with_values(model, height, width)))
    limit = MEMORY_SHARE * (_free_bytes() if free_bytes is None else free_bytes)
    try:
        small = _run_small(model, height, width, limit)
    except Exception:  # noqa: BLE001 - a network of one size may raise anything at others; at its own, it raises again
        small = {}
    if not small or _peak_bytes(small, height * width) <= limit:
        return Sized(summed(record_with_values(model, height, width)))
    return _extrapolated({px: summed(forward) for px, forward in small.items()}, height, width)


def _run_small(model: SegModel, height: int, width: int, limit: float) -> dict[Px, Dispatched]:
    """Small size -> its forward, as long as the next one will fit into memory, and the size itself will not."""
    small: dict[Px, Dispatched] = {}
    part = max(FIRST, Fraction(LEAST_PX, min(height, width)))
    while part < 1:
        px = small_side(height, part), small_side(width, part)
        enough = len(small) >= LEAST_SIZES
        if enough and (_peak_bytes(small, height * width) <= limit or _peak_bytes(small, px[0] * px[1]) > limit):
            break
        if px not in small:
            small[px] = record_with_values(model, *px)
        part += STEP
    return small


def _peak_bytes(small: Mapping[Px, Dispatched], pixels: int) -> int:
    """The memory that a forward will take, from those at small sizes."""
    return followed_to({px: {"": forward.peak_bytes} for px, forward in small.items()}, 2, pixels)[""]


def small_side(side: int, part: Fraction) -> int:
    """The side of a small image, with the same remainder by :data:`STEP_PX` as the side that was asked for."""
    return min(side, max(1, round(part * side / STEP_PX)) * STEP_PX + side % STEP_PX)


def _extrapolated(small: Mapping[Px, Counts], height: int, width: int) -> Sized:
    *fitted, held_out = small
    if len(fitted) < 2:
        raise TooLargeError(
            f"a forward at {height}x{width} needs more memory than is free, and smaller sizes differ too little from it"
        )
    known = {px: small[px] for px in fitted}
    truth = small[held_out].macs()
    errors = {
        degree: abs(sum(_executed(known, degree, held_out).values()) - truth) / truth
        for degree in range(1, min(2, len(fitted) - 1) + 1)
    }
    degree = min(errors, key=lambda each: errors[each])
    first = small[held_out]

    def followed(read: Callable[[Counts], Mapping[Name, int]]) -> dict[Name, int]:
        return followed_to({px: read(counts) for px, counts in small.items()}, degree, height * width)

    counts = replace(
        first,
        executed=followed(lambda each: each.executed),
        wasted=followed(lambda each: each.wasted),
        output_bytes=followed(lambda each: each.output_bytes),
        output_shape=(*first.output_shape[:-2], height, width),
    )
    return Sized(counts, Fit(tuple(fitted[-(degree + 1) :]), held_out, degree, errors[degree]))


def _executed(known: Mapping[Px, Counts], degree: int, px: Px) -> dict[tuple[str, str], int]:
    return followed_to({size: counts.executed for size, counts in known.items()}, degree, px[0] * px[1])


def followed_to(values: Mapping[Px, Mapping[Name, int]], degree: int, pixels: int) -> dict[Name, int]:
    """Name -> the value at ``pixels`` of the polynomial through the values of the largest sizes."""
    used: Sequence[Px] = sorted(values, key=lambda px: px[0] * px[1])[-(degree + 1) :]
    names = dict.fromkeys(name for px in used for name in values[px])
    weights = _lagrange([px[0] * px[1] for px in used], pixels)
    return {
        name: max(0, round(sum(weight * values[px].get(name, 0) for px, weight in zip(used, weights, strict=True))))
        for name in names
    }


def _lagrange(nodes: Sequence[int], at: int) -> list[Fraction]:
    weights = []
    for node in nodes:
        weight = Fraction(1)
        for other in nodes:
            if other != node:
                weight *= Fraction(at - other, node - other)
        weights.append(weight)
    return weights


def _free_bytes() -> int:
    """The memory that the kernel says is free for a new process, in bytes."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return FREE_BYTES_UNKNOWN
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), FREE_BYTES_UNKNOWN)
