"""Published IoU of single classes beside ours, by the classes' names."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.records import Results
from bench.report import per_class
from bench.report.counterparts import counterparts
from bench.report.published import compared, on, plain
from bench.report.words import NOTHING, labels, spread

COLUMNS = (
    "System", "Variant", "Class", "On", "Published (%)", "Ours (%)", "Seeds", "Differs in", "Not stated there",
    "Known flaw", "Source",
)  # fmt: skip


def classes(results: Results) -> pd.DataFrame:
    """Every published IoU of a class that the study has too, as printed; empty for a study that names no rows."""
    names = labels(results)
    ours = {(row["variant"], plain(row["class"])): row for row in per_class.scores(results).to_dict("records")}
    rows: list[dict[str, Any]] = []
    for each in results.plan.get("published", []):
        for variant, _, row, _ in counterparts(results, each, "accuracy"):
            found = ours.get((variant, plain(row["class"])))
            if row["metric"] != "iou" or found is None:
                continue
            differing = compared(results, variant, row)
            rows.append(
                {
                    "System": each["system"],
                    "Variant": names[variant],
                    "Class": found["class"],
                    "On": on(row),
                    "Published (%)": row["value"],
                    "Ours (%)": spread(found["mean"], found["sd"], "miou"),
                    "Seeds": f"{found['n']}/{found['planned']}",
                    "Differs in": differing.differs or NOTHING,
                    "Not stated there": differing.not_stated or NOTHING,
                    "Known flaw": row["flaw"],
                    "Source": row["source"],
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
