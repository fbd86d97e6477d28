"""The columns of a frame of results: how each measured quantity is stored, shown and judged. One place for units."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from bench.parts import BenchError


class ColumnError(BenchError, ValueError):
    """A column that is not measured."""


@dataclass(frozen=True)
class Column:
    """A measured quantity: how it is stored, shown and judged.

    Attributes:
        label: as an axis title or table head says it, without the unit.
        unit: the stored unit, SI or a plain count.
        shown_unit: the unit in reports.
        scale: shown value = stored value times this.
        digits: decimals in reports.
        better: which way is good; ``None`` for neither. Gives the arrow and the sign of an improvement.
        stage: which kind of trial measures it.
        definition: one sentence for the caption.
    """

    label: str
    unit: str
    shown_unit: str
    scale: float
    digits: int
    better: Literal["higher", "lower"] | None
    stage: Literal["quality", "cost"]
    definition: str

    @property
    def title(self) -> str:
        """Label, unit and arrow: ``mIoU (%) ↑``."""
        arrow = {"higher": " ↑", "lower": " ↓", None: ""}[self.better]
        return f"{self.label} ({self.shown_unit}){arrow}" if self.shown_unit else f"{self.label}{arrow}"


COLUMNS: dict[str, Column] = {
    "miou": Column(
        "mIoU", "fraction", "%", 100, 2, "higher", "quality",
        "Mean over classes of intersection over union, from one confusion matrix over the split; void pixels "
        "excluded, classes that occur in neither labels nor predictions left out.",
    ),
    "pixel_accuracy": Column(
        "Pixel accuracy", "fraction", "%", 100, 2, "higher", "quality", "Share of labelled pixels that are right.",
    ),
    "final_loss": Column(
        "Final loss", "", "", 1, 3, "lower", "quality", "Mean training loss over the last tenth of the iterations."
    ),
    "train_s": Column(
        "Training time", "s", "s", 1, 1, None, "quality",
        "Wall time of the training loop. Trials may have shared the machine: not a speed comparison.",
    ),
    "parameters": Column(
        "Parameters", "count", "M", 1e-6, 2, "lower", "cost", "Parameters, frozen ones too, auxiliary head left out."
    ),
    "macs": Column(
        "MACs", "count", "G", 1e-9, 2, "lower", "cost",
        "Multiply-accumulates of one forward at the stated input size: convolutions, linear layers and matrix "
        "products, attention included. FLOPs = 2 × MACs.",
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
        "Achieved FLOP/s over those of a large float32 matrix product, measured in the same process.",
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
        "Peak memory of one forward at batch 1, weights included: allocator peak on CUDA, growth of the resident set "
        "on CPU.",
    ),
}  # fmt: skip
"""Every measured column of :meth:`bench.records.Results.frame`, in the order in which tables show them."""

META = ("key", "study", "variant", "stage", "seed", "status", "reason", "device", "host", "file")
"""The other columns of :meth:`bench.records.Results.frame`, besides one for each factor."""


def column(name: str) -> Column:
    """The definition of a measured column.

    Raises:
        ColumnError: for an unknown one, naming the nearest.
    """
    if name not in COLUMNS:
        close = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.4)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ColumnError(f"no column {name!r}{hint}; measured columns: {', '.join(COLUMNS)}")
    return COLUMNS[name]
