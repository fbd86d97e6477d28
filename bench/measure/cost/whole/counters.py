"""The count of a whole network beside that of fvcore, an independent counter that follows a traced graph.

A traced graph has no operators that the output does not depend on, so fvcore counts what reaches the output. It has no
form for deformable attention, of which it sees the interpolation alone; torch's counter sees nothing of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bench.measure.cost.counts import DIRECT_MACS, products, traced
from bench.measure.cost.whole.formulas import DEFORMABLE_ATTENTION
from bench.measure.cost.whole.reach import Counts
from bench.measure.cost.whole.sizes import Sized, count_at
from bench.network.model import LogitsOnly, SegModel

SMALL_PX = 128
"""The side, plus a remainder, of the image at which counters are compared if the image itself takes long to trace."""

MOST_TRACED_MACS = 10**12
"""The MACs up to which a network that accepts no small image is traced at its own size."""

SEEN = {DEFORMABLE_ATTENTION: "grid_sampler"}
"""Closed form -> the operator that fvcore counts in its place, with its own, smaller count."""


@dataclass(frozen=True)
class TwoCounts:
    """The multiply-accumulates that reach the output, by two counters at one size.

    Attributes:
        px: the height and width of the image.
        ours: operator -> multiply-accumulates, closed forms included.
        fvcore: operator -> multiply-accumulates.
        uncounted: operator that fvcore has no form for -> its calls.
        problem: the reason why there is no count of fvcore; empty if there is one.
    """

    px: tuple[int, int]
    ours: Mapping[str, int]
    fvcore: Mapping[str, int]
    uncounted: Mapping[str, int]
    problem: str = ""

    @property
    def difference(self) -> str:
        """One line that says how the counts of products differ; empty if they are equal."""
        size = "x".join(map(str, self.px))
        if self.problem:
            return f"fvcore cannot count the network at {size}: {self.problem}"
        ours = sum(macs for name, macs in self.ours.items() if name not in SEEN)
        theirs = products(self.fvcore)
        if ours == theirs:
            return ""
        lacking = f"; it has no form for {', '.join(sorted(self.uncounted))}" if self.uncounted else ""
        return f"fvcore counts {theirs} MACs at {size}, the dispatched operators have {ours}{lacking}"

    def formulas(self) -> dict[str, dict[str, int]]:
        """Closed form -> its count beside what fvcore and torch's counter see of it, at this size."""
        return {
            name: {"macs": self.ours[name], "fvcore": self.fvcore.get(seen, 0), "torch": 0}
            for name, seen in SEEN.items()
            if name in self.ours
        }


def compared(model: SegModel, sized: Sized, height: int, width: int) -> TwoCounts:
    """The count of a network beside fvcore's, at its size if that takes about a second, else at a small one.

    Args:
        model: the network, with values; it is not changed.
        sized: its counts at ``height`` x ``width``.
        height: the height of the image in pixels.
        width: its width.
    """
    clone = LogitsOnly(copy.deepcopy(model)).to("cpu", torch.float32).eval()
    small = tuple(min(side, SMALL_PX + side % 32) for side in (height, width))
    macs = sized.counts.macs()
    sizes = [(height, width)] if macs <= DIRECT_MACS else [(small[0], small[1]), (height, width)]
    problem = f"it accepts no small image, and one of its own size takes {macs / 1e12:.1f} TMAC"
    for px in sizes:
        if px == (height, width) and (macs > MOST_TRACED_MACS or sized.fit is not None):
            break
        try:
            counts = sized.counts if px == (height, width) else count_at(model, *px).counts
            by_module, uncounted = traced(clone, *px)
        except Exception as error:  # noqa: BLE001 - a tracer may raise anything of a network that runs; the record says it
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            continue
        return TwoCounts(px, _reaching(counts), dict(by_module[""]), uncounted)
    return TwoCounts((height, width), _reaching(sized.counts), {}, {}, problem)


def counted_whole(model: SegModel, height: int, width: int) -> dict[str, Any]:
    """The counts of a whole network as a record has them.

    Raises:
        UncountedError: if an attention kernel has no count.
        TooLargeError: if a forward of this size needs too much memory.
    """
    sized = count_at(model, height, width)
    counts, comparison = sized.counts, compared(model, sized, height, width)
    slots = [slot for slot, _ in model.slots()]
    outside = {name: macs for (module, name), macs in counts.executed.items() if module.split(".")[0] not in slots}
    return {
        "macs": {slot: counts.macs(slot) for slot in slots},
        "macs_torch": {slot: counts.macs(slot) - _of_forms(counts.by_operator(slot)) for slot in slots},
        "macs_by_operator": {**{slot: counts.by_operator(slot) for slot in slots}, "outside": outside},
        "macs_counted_px": [list(px) for px in (sized.fit.fitted_px if sized.fit else [(height, width)])],
        "macs_extrapolated": str(sized.fit) if sized.fit else "",
        "macs_wasted": {idle.module: idle.macs for idle in counts.idle()},
        "macs_formulas": comparison.formulas(),
        "macs_compared_px": list(comparison.px),
        "macs_difference": comparison.difference,
        "uncounted_operators": {**comparison.uncounted, **counts.unknown},
        "output_bytes": {slot: counts.output_bytes.get(slot, 0) for slot in slots},
    }


def _reaching(counts: Counts) -> dict[str, int]:
    total = counts.by_operator()
    for (_, name), macs in counts.wasted.items():
        total[name] -= macs
    return total


def _of_forms(by_operator: Mapping[str, int]) -> int:
    return sum(macs for name, macs in by_operator.items() if name in SEEN)
