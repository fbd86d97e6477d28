"""The IoU of each class: over seeds, and against the baseline in the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from bench.evidence import stats
from bench.records.results import Results

SCORES = ("variant", "class", "mean", "sd", "n", "planned")
"""The columns of :func:`scores`; ``mean`` and ``sd`` are fractions."""
DIFFERENCES = (
    "variant", "label", "class", "delta", "low", "high", "sd", "n", "planned", "p", "p_holm", "verdict", "reason",
)  # fmt: skip
"""The columns of :func:`differences`; ``delta``, ``low``, ``high`` and ``sd`` are fractions."""


def scores(results: Results) -> pd.DataFrame:
    """One row a variant and class, in the study's and the data's order: mean and standard deviation of IoU over seeds.

    ``n`` counts the seeds in which the class has a union that is not empty.
    """
    planned, groups = results.planned("quality"), results.class_iou().groupby(["variant", "class"], dropna=False)["iou"]
    statistics = pd.DataFrame({"mean": groups.mean(), "sd": groups.std(ddof=1), "n": groups.count()})
    pairs = pd.MultiIndex.from_product([list(planned), results.plan.classes], names=["variant", "class"])
    rows = statistics.reindex(pairs).reset_index()
    rows["n"] = rows["n"].fillna(0).astype(int)
    rows["planned"] = [planned[variant] for variant in rows["variant"]]
    return rows[list(SCORES)]


def differences(results: Results, names: Mapping[str, str]) -> pd.DataFrame:
    """One row a variant but the baseline and a class: IoU minus the baseline's, paired over seeds, Student-t.

    Variants that are evaluated on other classes or images than the baseline are left out. Holm's correction runs over
    all rows. A class that never occurred in a seed of either has no pair there.

    Args:
        names: variant -> its short name.
    """
    wide = _grids(results)
    planned = results.planned("quality")
    nothing = np.full(next(iter(wide.values())).shape if wide else (0, 0), np.nan)
    base = wide.get(results.baseline, nothing)
    rows = []
    for variant in planned:
        if variant == results.baseline or results.baseline not in planned or variant not in results.comparable:
            continue
        ours = wide.get(variant, nothing)
        for index, name in enumerate(results.plan.classes):
            sides = [ours[:, index], base[:, index]] if nothing.size else [np.zeros(0), np.zeros(0)]
            both = ~np.isnan(sides[0]) & ~np.isnan(sides[1])
            effect = stats.paired(sides[0][both].tolist(), sides[1][both].tolist())
            seeds = min(planned[variant], planned[results.baseline])
            rows.append(
                {"variant": variant, "label": names[variant], "class": name, **asdict(effect), "planned": seeds}
            )
    return _judged(pd.DataFrame(rows, columns=[name for name in DIFFERENCES if name not in VERDICT]))


VERDICT = ("p_holm", "verdict", "reason")


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """The table with p-values after Holm's correction over all of its rows, and the verdicts that follow from them."""
    effects = [stats.Effect(*row) for row in table[["delta", "low", "high", "sd", "n", "p"]].itertuples(index=False)]
    judged = stats.judged(effects, ["higher"] * len(effects))
    return table.assign(
        p_holm=[p_holm for p_holm, _ in judged],
        verdict=[verdict.word for _, verdict in judged],
        reason=[verdict.reason for _, verdict in judged],
    )[list(DIFFERENCES)]


def _grids(results: Results) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Variant -> IoU, seeds x classes, for the variants with a trial that is done; NaN where there is no union."""
    known, classes = results.class_iou(), results.plan.classes
    seeds = sorted(known["seed"].unique().tolist())
    wide = known.set_index(["variant", "seed", "class"])["iou"]
    grids = {}
    for variant in known["variant"].unique():
        grid = pd.MultiIndex.from_product([[variant], seeds, classes])
        grids[str(variant)] = wide.reindex(grid).to_numpy(dtype=float).reshape(len(seeds), len(classes))
    return grids


def iou_by_seed(results: Results) -> dict[str, pd.DataFrame]:
    """Class -> its IoU, seeds x variants with a trial that is done; NaN where it has no union.

    Variants that are evaluated on other classes or images than the baseline are left out.
    """
    wide = {variant: grid for variant, grid in _grids(results).items() if variant in results.comparable}
    return {
        name: pd.DataFrame({variant: grid[:, index] for variant, grid in wide.items()})
        for index, name in enumerate(results.plan.classes)
    }
