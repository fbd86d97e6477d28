"""Results folders as one DataFrame: what :func:`bench.results` gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import is_float_dtype

from bench import speedups
from bench.parts import nearest
from bench.records import Results, load
from bench.schema.forms import STAGES
from bench.store import RecordError


def frames(folders: Sequence[str | Path], stage: str | None = None) -> pd.DataFrame:
    """The rows of one folder; of several, one below the other with the column ``folder`` in front.

    Args:
        folders: of results.
        stage: ``quality``, ``cost`` or ``speed``: its rows alone. By default those of quality and cost, or those of
            speed where the studies plan nothing else.

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
    for folder, results in loaded.items():
        if stage is not None and stage not in results.plan["stages"]:
            planned = ", ".join(results.plan["stages"])
            raise RecordError(f"{folder} plans no trials of {stage}; it has {planned}")
    tables = _tables(loaded, stage)
    return next(iter(tables.values())) if len(tables) == 1 else _together(tables)


def _tables(loaded: dict[str, Results], stage: str | None) -> dict[str, pd.DataFrame]:
    timed = [folder for folder, results in loaded.items() if set(results.plan["stages"]) == {"speed"}]
    if stage is None and timed and len(timed) < len(loaded):
        raise RecordError(
            f"{', '.join(timed)} has comparisons of speed alone, which have other columns; give it by itself"
        )
    if stage == "speed" or (stage is None and timed):
        return {folder: speedups.frame(results) for folder, results in loaded.items()}
    tables = {folder: results.frame() for folder, results in loaded.items()}
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
