"""The columns of a frame of results: how each measured quantity is stored, shown and judged. One place for units."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

from bench.parts import BenchError, nearest
from bench.protocol.words import NOTHING


class ColumnError(BenchError, ValueError):
    """A column that is not measured."""


SMALL_DIGITS = 2
"""The fewest significant digits that a cost below 1 is shown with."""


@dataclass(frozen=True)
class Column:
    """A measured quantity: how it is stored, how it is written, and which way is good.

    Its methods write values that are in the stored unit.

    Attributes:
        label: the name on an axis or at the head of a table, without the unit.
        unit: the stored unit, SI or a plain count.
        shown_unit: the unit in reports.
        scale: a shown value is the stored value times this.
        digits: decimals in reports.
        better: which way is good; ``None`` for neither. Gives the arrow and the sign of an improvement.
        stage: the kind of trial that measures it.
        definition: one sentence for the table of definitions.
        counted: true if it is counted exactly from the network, not timed or read off the machine, so that any
            difference is one.
        judged: true for the one quantity that a study's verdicts are about; with more of them, Holm's correction would
            pay for comparisons that nobody asked for.
    """

    label: str
    unit: str
    shown_unit: str
    scale: float
    digits: int
    better: Literal["higher", "lower"] | None
    stage: Literal["quality", "cost"]
    definition: str
    counted: bool = False
    judged: bool = False

    @cached_property
    def title(self) -> str:
        """Label, unit and arrow: ``mIoU (%) ↑``."""
        arrow = {"higher": " ↑", "lower": " ↓", None: ""}[self.better]
        return f"{self.label} ({self.shown_unit}){arrow}" if self.shown_unit else f"{self.label}{arrow}"

    @property
    def difference_unit(self) -> str:
        """The unit of a difference: points for percentages, otherwise the shown unit."""
        return "points" if self.shown_unit == "%" else self.shown_unit

    @property
    def difference_title(self) -> str:
        """The head of a column of differences: ``Δ mIoU (points)``."""
        return f"Δ {self.label} ({self.difference_unit})" if self.difference_unit else f"Δ {self.label}"

    def shown(self, value: float) -> str:
        """A value in the shown unit and digits; a dash for NaN.

        Costs below 1 have at least two significant digits, so that those of small networks can be told apart.
        """
        return NOTHING if math.isnan(value) else _number(value * self.scale, self.decimals(value))

    def decimals(self, value: float) -> int:
        """The number of decimals that a value is shown with."""
        scaled = abs(value * self.scale)
        small = self.stage == "cost" and 0 < scaled < 1
        return max(self.digits, SMALL_DIGITS - 1 - math.floor(math.log10(scaled))) if small else self.digits

    def exact(self, value: float) -> str:
        """A count with every digit, in its stored unit: ``33,004,112``; a dash for NaN."""
        return NOTHING if math.isnan(value) else f"{value:,.0f}"

    def signed(self, difference: float) -> str:
        """A difference, always with its sign: ``+1.20``; a dash for NaN."""
        return NOTHING if math.isnan(difference) else _number(difference * self.scale, self.digits, sign="+")

    def interval(self, low: float, high: float) -> str:
        """Both ends of the interval of a difference: ``[+0.30, +2.10]``; empty if they are NaN."""
        return "" if math.isnan(low) else f"[{self.signed(low)}, {self.signed(high)}]"

    def spread(self, mean: float, sd: float) -> str:
        """Mean and standard deviation: ``71.23 ± 0.45``; the mean alone if the deviation is NaN."""
        return self.shown(mean) if math.isnan(sd) else f"{self.shown(mean)} ± {self.shown(sd)}"

    def resolvable(self, difference: float) -> str:
        """The smallest difference that could have been resolved: ``≥ 1.20``; ``none`` if none can be that large."""
        if math.isnan(difference):
            return NOTHING
        return "none" if self.unit == "fraction" and difference > 1 else f"≥ {self.shown(difference)}"


def _number(value: float, digits: int, sign: str = "") -> str:
    """A number with a true minus sign; one that rounds to zero has no sign. ``sign`` is ``+`` to write that one too."""
    text = f"{value:{sign}.{digits}f}"
    if float(text) == 0:  # neither −0.00 nor +0.00 says anything
        text = text.lstrip("+-")
    return text.replace("-", "−")


def _share(label: str, better: Literal["higher", "lower"], definition: str) -> Column:
    """A fraction that quality trials measure, shown in per cent."""
    return Column(label, "fraction", "%", 100, 2, better, "quality", definition)


FAMILIES: dict[str, Column] = {
    "boundary_f": _share(
        "Boundary F, {} px", "higher",
        "F of the boundary pixels that lie within {} px of the other map's: mean over images, 1 where the class is in "
        "neither map, then over classes (the convention of Gated-SCNN's release). Void pixels are outside every class.",
    ),
    "boundary_f_present": _share(
        "Boundary F, {} px, present", "higher",
        "F of the boundary pixels that lie within {} px of the other map's: mean over the images that have the class "
        "in labels or prediction, then over classes that any image has.",
    ),
    "trimap_miou": _share(
        "mIoU within {} px of a boundary", "higher",
        "mIoU of the pixels that have another label, void included, at most {} px away along either axis.",
    ),
    "crop_miou": _share(
        "mIoU, {} px cut off", "higher",
        "mIoU of images cropped about the recipe's vanishing point, {} px less on each side: what is left is distant.",
    ),
}  # fmt: skip
"""Columns with a number of pixels in their name, ``<family>_<n>px``, where their texts have a placeholder."""


@cache
def _of_family(family: str, pixels: int) -> Column:
    pattern = FAMILIES[family]
    return replace(pattern, label=pattern.label.format(pixels), definition=pattern.definition.format(pixels))


COLUMNS: dict[str, Column] = {
    "miou": Column(
        "mIoU", "fraction", "%", 100, 2, "higher", "quality",
        "Mean over classes of intersection over union, from one confusion matrix over the split; void pixels "
        "excluded, classes that occur in neither labels nor predictions left out.",
        judged=True,
    ),
    "miou_absent_zero": _share(
        "mIoU, absent = 0", "higher",
        "mIoU with 0 for a class that occurs in neither labels nor predictions (the convention of FastFCN's release).",
    ),
    "fwiou": _share("fwIoU", "higher", "IoU weighted with each class's share of labelled pixels."),
    "pixel_accuracy": _share("Pixel accuracy", "higher", "Share of labelled pixels that are right."),
    "mean_accuracy": _share(
        "Mean accuracy", "higher", "Mean over classes that have labelled pixels of the share of these that is right.",
    ),
    **{
        f"{family}_{pixels}px": _of_family(family, pixels)
        for family in ("boundary_f", "boundary_f_present") for pixels in (3, 5, 9, 12)
    },
    "boundary_iou": _share(
        "Boundary IoU", "higher",
        "Mean over classes of the IoU of those pixels of a class that lie within a share of the image's diagonal (2 % "
        "unless the recipe says otherwise) of its contour, summed over the split.",
    ),
    **{f"trimap_miou_{pixels}px": _of_family("trimap_miou", pixels) for pixels in (3, 9)},
    "ece": _share(
        "ECE", "lower",
        "Expected calibration error: mean over labelled pixels of |accuracy − mean confidence| of their bin of "
        "confidence, 15 bins of equal width.",
    ),
    "final_loss": Column(
        "Final loss", "", "", 1, 3, "lower", "quality", "Mean training loss over the last tenth of the iterations."
    ),
    "train_s": Column(
        "Training time", "s", "s", 1, 1, None, "quality",
        "Wall time of the training loop. Trials may have shared the machine: not a speed comparison.",
    ),
    "parameters": Column(
        "Parameters", "count", "M", 1e-6, 2, "lower", "cost",
        "Parameters, frozen ones too, auxiliary head left out. Of a whole network all that it holds, with those that "
        "evaluation does not run.",
        counted=True,
    ),
    "macs": Column(
        "MACs", "count", "G", 1e-9, 2, "lower", "cost",
        "Multiply-accumulates of one forward at the stated input size: convolutions, linear layers and matrix "
        "products, attention included. FLOPs = 2 × MACs.",
        counted=True,
    ),
    "macs_unused": Column(
        "Unused MACs", "count", "G", 1e-9, 2, "lower", "cost",
        "Those of the MACs that run although no logit depends on what they compute, as in an auxiliary head whose "
        "output is thrown away.",
        counted=True,
    ),
    "latency_s": Column(
        "Latency", "s", "ms", 1e3, 1, "lower", "cost",
        "Median time of one synchronised forward at batch 1, after warm-up. Left out if other work shared the machine.",
    ),
    "latency_iqr_s": Column(
        "Latency IQR", "s", "ms", 1e3, 1, None, "cost",
        "Distance between the quartiles of the latency samples. Over 10 % of the median the timing is noisy.",
    ),
    "latency_p90_s": Column(
        "Latency p90", "s", "ms", 1e3, 1, "lower", "cost", "90th percentile of the latency; needs 64 samples."
    ),
    "latency_p99_s": Column(
        "Latency p99", "s", "ms", 1e3, 1, "lower", "cost", "99th percentile of the latency; needs 662 samples."
    ),
    "flops_per_s": Column(
        "Achieved FLOP/s", "1/s", "GFLOP/s", 1e-9, 1, "higher", "cost", "2 × MACs over the median latency."
    ),
    "flops_share": Column(
        "Share of peak FLOP/s", "fraction", "%", 100, 1, "higher", "cost",
        "Achieved FLOP/s over those of a large matrix product in the same precision, measured in the same process.",
    ),
    "bytes_share": Column(
        "Share of peak bytes/s", "fraction", "%", 100, 1, "higher", "cost",
        "What a forward moves if every operator reads its inputs and writes its outputs once, over its median latency "
        "and over the bytes/s of a large copy, measured in the same process. Over 100 % where caches hold maps.",
    ),
    "energy_j": Column(
        "Energy", "J", "J", 1, 2, "lower", "cost",
        "Energy of the GPU for one image, from its own counter over all timed forwards; empty without NVML.",
    ),
    "peak_bytes": Column(
        "Peak memory", "B", "MiB", 2**-20, 1, "lower", "cost",
        "Peak memory of one forward at batch 1 in the recipe's precision, weights included: allocator peak on CUDA, "
        "growth of the resident set on CPU.",
    ),
    "train_peak_bytes": Column(
        "Training memory", "B", "MiB", 2**-20, 1, "lower", "cost",
        "Peak memory of one training step at the recipe's batch, crop and precision: weights, gradients, optimiser "
        "state and activations; read as peak memory is.",
    ),
    "train_state_bytes": Column(
        "Training state", "B", "MiB", 2**-20, 1, "lower", "cost",
        "What a training step holds whatever its batch: weights, statistics of normalisation, gradients and optimiser "
        "state; exact.",
        counted=True,
    ),
    "train_rest_bytes": Column(
        "Training activations", "B", "MiB", 2**-20, 1, "lower", "cost",
        "Training memory without training state and the batch itself: activations, their gradients and scratch.",
    ),
    "activation_bytes": Column(
        "Saved activations", "B", "MiB", 2**-20, 1, "lower", "cost",
        "Bytes that autograd keeps between forward and backward in that step, loss terms included; exact, and the same "
        "for every allocator.",
        counted=True,
    ),
}  # fmt: skip
"""The measured columns of :meth:`bench.records.results.Results.frame`, in the order of the tables; a recipe with other
tolerances, bands or crops adds to them, from :data:`FAMILIES`."""


(JUDGED,) = (name for name, column in COLUMNS.items() if column.judged)
"""The name of the one column that a study's verdicts are about."""


COUNTED = tuple(name for name, column in COLUMNS.items() if column.counted)
"""The names of the columns that are counted exactly."""


META = ("key", "study", "variant", "stage", "seed", "status", "reason", "device", "host", "file")
"""The other columns of :meth:`bench.records.results.Results.frame`, besides one for each factor."""


RESERVED: frozenset[str] = frozenset({*META, *COLUMNS, "setting", "folder"})
"""Names of columns beside which a factor's stands: it can have none of them."""


def level_key(factor: str, others: Collection[str]) -> str:
    """The column that holds a factor's levels beside others: its name, unless one of them has it (``factor n``)."""
    return f"factor {factor}" if factor in others else factor


def column(name: str) -> Column:
    """The definition of a measured column.

    Raises:
        ColumnError: for an unknown one, naming the nearest.
    """
    match = re.fullmatch(r"(\w+)_([1-9]\d*)px", name)
    if match and match[1] in FAMILIES:
        return _of_family(match[1], int(match[2]))
    if name not in COLUMNS:
        raise ColumnError(f"no column {name!r}{nearest(name, COLUMNS)}; measured columns: {', '.join(COLUMNS)}")
    return COLUMNS[name]
