"""Published numbers beside ours: value, difference to its own other side, and what differs in protocol.

Agreement is claimed only where data set, classes and split are the same: whether the published difference lies in the
95 % interval of ours. What differs otherwise is found by comparing the row's columns with the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import NOTHING
from bench.report.tables import fields
from bench.report.tables.fields import Field
from bench.report.tables.table import Table

UNNAMED = "the study names no published numbers of this kind"
"""The reason why a table of published numbers has no rows."""

FLAW_AND_SOURCE = {"flaw": fields.text("Known flaw", "flaw"), "source": fields.text("Source", "source")}


def accuracy(evidence: Evidence) -> Table:
    """Every published accuracy of the study's variants; empty for a study that names none."""
    names, rows = evidence.labels, evidence.published
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", names),
        "against": Field("Against", ("against",), lambda row: names.get(row["against"], NOTHING)),
        "quantity": Field("Quantity", ("metric",), lambda row: column(row["metric"]).title),
        "on": fields.text("On", "on"),
        "published": _published("Published", "value"),
        "published_delta": Field("Δ published", ("delta",), lambda row: column(row["metric"]).signed(row["delta"])),
        "ours": Field("Ours", ("mean",), lambda row: column(row["metric"]).shown(row["mean"])),
        "n": fields.count("Seeds", "n"),
        "delta": Field("Δ ours", ("our_delta",), lambda row: column(row["metric"]).signed(row["our_delta"])),
        "interval": Field(
            "95 % interval", ("low", "high"),
            lambda row: column(row["metric"]).interval(row["low"], row["high"]) or NOTHING,
        ),
        "agreement": fields.text("Agreement", "agreement"),
        "differs": fields.stated("Differs in", "differs"),
        "not_stated": fields.stated("Not stated there", "not_stated"),
        **FLAW_AND_SOURCE,
    }  # fmt: skip
    return _beside_ours(
        "published", rows.assign(published=rows["value"].astype(float)), columns, "Published accuracies beside ours.",
        "Agreement is claimed only over the same data, classes and split.",
    )  # fmt: skip


def memory(evidence: Evidence) -> Table:
    """Published training memory beside ours: both values, and both over their own other side."""
    memory = column("train_peak_bytes")
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "against": Field("Against", ("against",), lambda row: evidence.labels.get(row["against"], NOTHING)),
        "published": _published("Published (GB)", "value"),
        "published_ratio": fields.ratio("Published ratio", "published_ratio"),
        "train_peak_bytes": fields.value(f"Ours ({memory.shown_unit})", "train_peak_bytes", memory),
        "ratio": fields.ratio("Our ratio", "ratio"),
        "measured": fields.text("Measured there", "measured"),
        "differs": fields.stated("Differs in", "differs"),
        **FLAW_AND_SOURCE,
    }
    return _beside_ours(
        "published-memory", evidence.published_memory, columns, "Published training memory beside ours."
    )


def classes(evidence: Evidence) -> Table:
    """Every published IoU of a class that the study has too; empty for a study that names no rows."""
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "class": fields.text("Class", "class"),
        "on": fields.text("On", "on"),
        "published": _published("Published (%)", "value"),
        "ours": Field("Ours (%)", ("mean", "sd"), lambda row: column(JUDGED).spread(row["mean"], row["sd"])),
        "n": fields.seeds(),
        "differs": fields.stated("Differs in", "differs"),
        "not_stated": fields.stated("Not stated there", "not_stated"),
        **FLAW_AND_SOURCE,
    }
    return _beside_ours(
        "published-classes", evidence.published_classes, columns, "Published IoU of single classes beside ours."
    )


def speeds(evidence: Evidence) -> Table:
    """Every published speed of the study's variants; empty for a study that names none.

    Beside it stands our comparison of the same two variants at the same input, or at the one that is nearest in pixels.
    """
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "against": fields.variant("Against", "against", evidence.labels),
        "published": Field(
            "Published", ("value", "unit"), lambda row: f"{row['value']} {row['unit']}", sort="published"
        ),
        "published_ratio": fields.ratio("Times as fast, published", "published_ratio"),
        "images_per_s": Field("Images/s, ours", ("images_per_s",), _images_per_s),
        "ratio": fields.ratio("Times as fast, ours", "ratio"),
        "interval": fields.bounds("95 % interval", "low", "high"),
        "setting": fields.stated("Setting, ours", "setting"),
        "differs": fields.text("Differs in", "differs"),
        **FLAW_AND_SOURCE,
    }
    return _beside_ours(
        "published-speed", evidence.published_speeds, columns,
        "Published speeds beside ours, each as its source measured it.",
        "None is by our protocol. Ours at the same input, or at the nearest in pixels.",
    )  # fmt: skip


def _images_per_s(row: fields.TableRow) -> str:
    return NOTHING if math.isnan(row["images_per_s"]) else f"{row['images_per_s']:.3g}"


def _published(head: str, key: str) -> Field:
    """The field of published values, written as they were published."""
    return Field(head, (key,), lambda row: str(row[key]), sort="published")


def _beside_ours(
    name: str, rows: pd.DataFrame, columns: Mapping[str, Field], caption: str, notes: str = ""
) -> Table:  # fmt: skip
    """A table of published numbers, which says why it is empty."""
    return Table(name, rows, columns, tuple(columns), caption, notes, absent="" if len(rows) else UNNAMED)
