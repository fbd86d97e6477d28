"""Ablation studies and cost benchmarks for semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def results(*folders: str | Path, stage: str | None = None) -> pd.DataFrame:
    """The whole table of a study: factors, outcome and every measured column, in stored units.

    One row a planned trial of quality or cost. Comparisons of speed have other columns, those of
    :func:`bench.speedups.frame`; they are the table of a study that plans nothing else, or of ``stage="speed"``.

    Args:
        folders: results folders such as ``results/quickstart``; of several, ``folder`` is the first column.
        stage: ``quality``, ``cost`` or ``speed``: its rows alone.

    Raises:
        bench.store.RecordError: for a folder without a study, records that cannot be read, or an unknown stage.
    """
    from bench.frames import frames

    return frames(folders, stage)
