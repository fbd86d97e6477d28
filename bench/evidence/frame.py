"""Results folders as one DataFrame."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
from pandas.api.types import is_float_dtype

from bench.evidence import speedups
from bench.parts import nearest
from bench.protocol.setting import STAGES
from bench.records.files import RecordError
from bench.records.results import Results, load


def results(*folders: str | Path, stage: str | None = None) -> pd.DataFrame:
    """The whole table of a study: factors, outcome and every measured column, in stored units.

    One row a planned trial of quality or cost. Comparisons of speed have other columns, those of
    :func:`bench.evidence.speedups.frame`; they are the table of a study that plans nothing else, or of
    ``stage="speed"``.

    Args:
        folders: results folders such as ``results/quickstart``; the rows of several stand one below the other, with the
            column ``folder`` in front.
        stage: ``quality``, ``cost`` or ``speed``: its rows alone.

    Raises:
        RecordError: for no folder at all or one named twice, an unknown stage or one that a study does not plan, or
            where only some of the studies plan comparisons of speed alone.
    """
    if not folders:
        raise RecordError("no results folder was named; give one or more, such as results/quickstart")
    if twice := [str(folder) for folder, count in Counter(map(str, folders)).items() if count > 1]:
        raise RecordError(f"{', '.join(twice)} was named more than once; its rows would be there as often")
    if stage is not None and stage not in STAGES:
        raise RecordError(f"no stage {stage!r}{nearest(stage, STAGES)}; there are {', '.join(STAGES)}")
    loaded = {str(folder): load(folder) for folder in folders}
    for folder, study in loaded.items():
        if stage is not None and stage not in study.plan.stages:
            planned = ", ".join(study.plan.stages)
            raise RecordError(f"{folder} plans no trials of {stage}; it has {planned}")
    tables = _tables(loaded, stage)
    return next(iter(tables.values())) if len(tables) == 1 else _together(tables)


def _tables(loaded: dict[str, Results], stage: str | None) -> dict[str, pd.DataFrame]:
    timed = [folder for folder, study in loaded.items() if set(study.plan.stages) == {"speed"}]
    if stage is None and timed and len(timed) < len(loaded):
        raise RecordError(
            f"{', '.join(timed)} has comparisons of speed alone, which have other columns; give it by itself"
        )
    if stage == "speed" or (stage is None and timed):
        return {folder: speedups.frame(study) for folder, study in loaded.items()}
    tables = {folder: study.frame() for folder, study in loaded.items()}
    if stage is None:
        return tables
    return {folder: table[table["stage"] == stage].reset_index(drop=True) for folder, table in tables.items()}


def _together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    names = dict.fromkeys(["folder", *(name for table in tables.values() for name in table.columns)])
    rows = [{"folder": folder, **row} for folder, table in tables.items() for row in table.to_dict("records")]
    measured = [
        name for name in names if any(name in table and is_float_dtype(table[name]) for table in tables.values())
    ]
    return pd.DataFrame(rows, columns=list(names)).astype(dict.fromkeys(measured, float))
