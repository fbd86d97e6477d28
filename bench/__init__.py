"""Ablation studies and cost benchmarks for semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def results(*folders: str | Path) -> pd.DataFrame:
    """One row a planned quality or cost trial: factors, outcome and every measured column, in stored units.

    Speed comparisons are in :func:`bench.speedups.frame`.

    Args:
        folders: results folders such as ``results/quickstart``; of several, ``folder`` is the first column.

    Raises:
        bench.store.RecordError: for a folder without a study, or records that cannot be read.
    """
    from bench.records import frames

    return frames(*folders)
