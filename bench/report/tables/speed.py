"""Tables of speed-ups: every comparison, and where the ratios cross 1 as inputs grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from bench.evidence import speedups
from bench.evidence.evidence import Evidence
from bench.protocol.setting import CONDITIONS, USUAL
from bench.protocol.words import NOTHING, REPEAT, maybe_not_alone, percent, verdict
from bench.records.measured import NOISY
from bench.report.tables import fields
from bench.report.tables.fields import Field, TableRow
from bench.report.tables.table import Table


def comparisons(evidence: Evidence) -> Table:
    """Every planned comparison; a timing that was not alone has a remark and no ratio."""
    columns = {
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "against": fields.text("Against", "against"),
        "setting": Field("Setting", speedups.SETTING, lambda row: speedups.setting_of(row).name),
        "ratio": fields.times("Times as fast", "ratio"),
        "interval": fields.bounds("95 % interval", "low", "high"),
        "blocks": Field("Blocks", ("blocks",), lambda row: f"{row['blocks']:.0f}" if _is_known(row) else NOTHING),
        "p_holm": fields.p_value("p (Holm)", "p_holm"),
        "verdict": Field("Verdict", ("verdict", "verdict_reason"), _verdict, tone="verdict"),
        "latency_s": _milliseconds("ms", "latency_s"),
        "against_s": _milliseconds("ms, against", "against_s"),
        "changed": Field("Pixels changed", ("changed", "against_changed"), _changed),
        "prepared_s": Field("Prepared in s", ("prepared_s", "against_prepared_s"), _prepared),
        "remark": Field("Remark", REMARKED, remark),
    }
    told = [name for name in columns if name not in OF_MODES or evidence.speedups[name].notna().any()]
    notes = (
        "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks "
        "(signed ranks); above 1 the variant is the faster, better or worse after Holm's correction over the "
        "comparisons of this table."
    )
    absent = "" if "speed" in evidence.results.plan.stages else "the study plans no comparisons of speed"
    remarks = {
        "changed": (
            "Pixels changed: the share of pixels whose class differs from that of eager torch in float32 with the same "
            "weights and image, variant / other side.",
        ),
        "prepared_s": ("Prepared in s: export, compilation and a first call, variant / other side.",),
    }
    caption = "Every timed comparison."
    return Table("speed", evidence.speedups, columns, tuple(told), caption, notes, absent=absent, remarks=remarks)


OF_MODES = ("changed", "prepared_s")
"""The columns that only a table has in which some comparison was timed in another mode than eager torch in float32."""
REMARKED = (
    "status", "reason", "noisy", "isolated", "maybe_not_alone", "notes", "ratio", "changed", "against_changed",
)  # fmt: skip
"""The columns that a remark is made of."""


def crossings(evidence: Evidence) -> Table:
    """The sizes at which each ratio crosses 1, in words; with the kind of setting if there are several kinds."""
    rows = evidence.crossings
    columns = {
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "kind": Field("Timed at", ("batch", *CONDITIONS), kind_of),
        "crosses": fields.text("Crosses 1", "ratio crosses 1"),
    }
    kinds = {kind_of(row) for row in rows.to_dict("records")}
    chosen = tuple(columns) if len(kinds) > 1 else ("variant", "crosses")
    absent = "" if len(rows) else "no comparison was timed at two sizes of input"
    caption = "Where a ratio crosses 1, between the sizes measured."
    return Table("crossings", rows, columns, chosen, caption, absent=absent)


def kind_of(row: Mapping[Any, Any]) -> str:
    """The kind of setting of a comparison, without what is usual: ``batch 8, bfloat16``, but ``batch 1``."""
    unusual = [name for name in CONDITIONS if row[name] not in USUAL]
    return ", ".join([f"batch {row['batch']}", *(str(row[name]) for name in unusual)])


def remark(row: Mapping[Any, Any]) -> str:
    """The caveats of a comparison: its outcome, other work on the machine, how far its timings spread."""
    if row["status"] != "done":
        return str(row["status"])
    if row["isolated"] is False:
        return "; ".join([f"left out: {row['reason'] or 'not alone'}; {REPEAT}", *other_answer(row)])
    if not _is_known(row):
        return f"left out: {row['reason']}"
    return "; ".join([*doubts(row), *([str(row["notes"])] if row["notes"] else [])])


def doubts(row: Mapping[Any, Any]) -> list[str]:
    """The reasons for which a comparison that counts is less certain than others."""
    noisy = [f"noisy: quartiles over {100 * NOISY:.0f} % apart"] if row["noisy"] is True else []
    unsteady = ["not steady after warm-up"] if row["steady"] is False else []
    unsure = [maybe_not_alone(row["maybe_not_alone"])] if row["maybe_not_alone"] else []
    return [*noisy, *unsteady, *unsure, *other_answer(row)]


def other_answer(row: Mapping[Any, Any]) -> list[str]:
    """The remark on a mode that computes other classes than eager torch in float32; none for one that does not."""
    return [f"changes the answer: {_changed(row)} of pixels"] if speedups.changes_answer(row) else []


def _changed(row: Mapping[Any, Any]) -> str:
    return _both(row, "changed", percent)


def _prepared(row: Mapping[Any, Any]) -> str:
    return _both(row, "prepared_s", lambda seconds: f"{seconds:.1f}")


def _both(row: Mapping[Any, Any], name: str, write: Callable[[float], str]) -> str:
    """A value of the variant and of the other side; one of them alone where both are written alike."""
    sides = [row[name], row[f"against_{name}"]]
    if any(pd.isna(value) for value in sides):
        return NOTHING
    return " / ".join(dict.fromkeys(map(write, sides)))


def _is_known(row: Mapping[Any, Any]) -> bool:
    return bool(pd.notna(row["ratio"]))


def _verdict(row: TableRow) -> str:
    return verdict({"verdict": row["verdict"], "reason": row["verdict_reason"]}) if _is_known(row) else NOTHING


def _milliseconds(head: str, key: str) -> Field:
    return Field(head, (key,), lambda row: f"{row[key] * 1e3:.1f}" if _is_known(row) else NOTHING)
