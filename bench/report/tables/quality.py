"""Tables of a paper beside the ablation: variants by quality, boundaries and cost; classes and images in pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from bench.evidence import images as per_image
from bench.evidence.evidence import Evidence
from bench.evidence.variants import BOUNDARY, COST
from bench.protocol.columns import COUNTED, JUDGED, Column, column
from bench.report.tables import fields, variants
from bench.report.tables.fields import Field, TableRow
from bench.report.tables.table import Table

MAIN = (JUDGED, "pixel_accuracy", "mean_accuracy", "fwiou", "boundary_iou", BOUNDARY, "ece")
"""The quality columns of the main table, if they were measured; ``--columns`` gives any others."""


def _bold_means(comparisons: str = "these comparisons") -> str:
    """The sentence on bold cells; ``comparisons`` are those that Holm's correction runs over."""
    return (
        "Bold: the best mean of its column, where it is resolved to be better than every other variant that has a value"
        f"{variants.HOW_JUDGED[:-1]}, over {comparisons}); no bold: no variant is."
    )


UNUSED = "macs_unused"
"""The column of costs that is there only where it is not 0."""

IOU = JUDGED
"""The column whose digits and unit the IoU of a class and of an image have too."""


def main(evidence: Evidence) -> Table:
    """Variants by quality: mean ± standard deviation over seeds, and how many seeds there are."""
    values = evidence.variants
    quality = [name for name in MAIN if values[f"{name}_mean"].notna().any()]
    names = ("variant", *(quality or [IOU]), "n")
    absent = "" if "quality" in evidence.results.plan.stages else "the study plans no quality trials"
    rows = values[:0] if absent else values
    caption = "Variants by quality, mean ± standard deviation over seeds."
    return _of_variants("main", evidence, rows, names, caption, _bold_means(), absent)


def boundary(evidence: Evidence) -> Table:
    """Variants by boundary F at every tolerance, by both conventions."""
    values = evidence.variants
    measured = {
        name: definition
        for name, definition in evidence.results.columns.items()
        if _is_measured(name, definition, values)
    }
    families = [name for prefix in ("boundary_f_present_", "boundary_f_") for name in _family(measured, prefix)]
    names = ("variant", *sorted(families, key=list(measured).index), "n")
    notes = (
        "Over all images, 1 for a class that is in neither map, and over the images that have the class (present). "
        f"{_bold_means()}"
    )
    absent = "" if families else "no record has boundary F"
    caption = "Boundary F by tolerance, mean ± standard deviation over seeds."
    return _of_variants("boundary", evidence, values if families else values[:0], names, caption, notes, absent)


def cost(evidence: Evidence) -> Table:
    """Variants by everything that cost trials measured, each with its ratio to the baseline."""
    values = evidence.variants
    measured = [name for name in COST if values[name].notna().any() and (name != UNUSED or (values[name] > 0).any())]
    notes = "Bold: the smallest count; what is timed or read off the machine is one run a variant, and never bold."
    absent = "" if measured else "no cost trial is done"
    rows = values if measured else values[:0]
    columns = variants.variant_columns(evidence)
    bold = {name: partial(_is_smallest, rows[name].tolist()) for name in COUNTED if name in measured}
    remarks = variants.remarks(rows)
    return Table(
        "cost", rows, columns, ("variant", *measured), "Costs of every variant.", notes, bold, absent=absent,
        remarks=remarks,
    )  # fmt: skip


def classes(evidence: Evidence) -> Table:
    """Variants by IoU of every class, mean ± standard deviation over seeds."""
    values = evidence.variants
    columns = variants.variant_columns(evidence)
    names: list[str] = []
    for name, group in evidence.classes.groupby("class", sort=False):
        if group["mean"].notna().any():
            key = f"iou_{name}"
            of_class = group.set_index("variant").reindex(values["variant"])
            parts = {f"{key}_{part}": of_class[part].to_numpy() for part in ("mean", "sd", "n")}
            values = pd.concat([values, pd.DataFrame(parts, index=values.index)], axis="columns")
            columns[key] = Field(str(name), tuple(parts), _class_text(key))
            names.append(key)
    first = evidence.best_by_class
    bold = {key: partial(_is_variant, values, first.get(key.removeprefix("iou_"), "")) for key in names}
    caption = "IoU (%) of each class, mean ± standard deviation over the seeds in which it occurs."
    notes = (
        f"{column(IOU).label} is their mean in each seed. Where a class occurs in fewer seeds than are done, their "
        "number is in brackets. "
        f"{_bold_means(f'those of all classes, and of {column(IOU).label} by itself')}"
        f"{variants.not_compared(evidence)}"
    )
    rows, absent = (values, "") if names else (values[:0], "no quality trial is done")
    bold[IOU] = partial(_is_best, evidence, IOU, rows)
    chosen = ("variant", *names, IOU, "n")
    required, remarks = variants.required_of(values), variants.remarks(values)
    return Table("classes", rows, columns, chosen, caption, notes, bold, required, absent, remarks)


def class_effects(evidence: Evidence) -> Table:
    """Every variant's difference to the baseline in every class."""
    rows = evidence.class_effects
    columns = {
        "variant": fields.text("Variant", "label"),
        "class": fields.text("Class", "class"),
        **_effect_columns(("delta", "low", "high")),
        "n": fields.seeds(),
        "p": fields.p_value("p", "p"),
        "p_holm": fields.p_value("p (Holm)", "p_holm"),
        "verdict": fields.verdict(),
    }
    tested = int(rows["p"].notna().sum())
    caption = "Every class of every variant against the baseline."
    notes = (
        "IoU of each class minus the baseline's, paired by seed, with Student-t 95 % intervals; Holm's correction runs "
        f"over all rows of this table that can be tested ({tested}).{variants.not_compared(evidence)}"
    )
    absent = "" if rows["n"].any() else "no class has a seed in which both a variant and the baseline are done"
    rows = rows if rows["n"].any() else rows[:0]
    required = variants.required_of(rows)
    return Table("class-effects", rows, columns, tuple(columns), caption, notes, required=required, absent=absent)


def images(evidence: Evidence) -> Table:
    """Every variant's difference to the baseline image by image, of the networks that were trained."""
    rows, iou = evidence.images, column(IOU)
    columns = {
        "variant": fields.text("Variant", "label"),
        "images": fields.count("Images", "images"),
        "n": fields.seeds(),
        "better": _share("Better (%)", "better"),
        "worse": _share("Worse (%)", "worse"),
        "median": fields.difference(f"Median Δ ({iou.difference_unit})", "median", iou),
        **_effect_columns(("shift", "low", "high"), "Centre of Δ"),
    }  # fmt: skip
    caption = "Every variant image by image against the baseline, given the networks that were trained."
    notes = (
        "mIoU of each image, over the classes in its labels or prediction, minus the baseline's, averaged over the "
        "seeds that both have. Centre: Hodges–Lehmann, with the 95 % interval of Wilcoxon's signed ranks. Its unit is "
        "the image, given these trained networks: it says nothing about networks from other seeds."
        f"{variants.not_compared(evidence)}"
    )
    absent = per_image.absent(evidence.results, evidence.image_scores) if rows.empty else ""
    required = variants.required_of(rows)
    return Table("images", rows, columns, tuple(columns), caption, notes, required=required, absent=absent)


def _of_variants(
    name: str, evidence: Evidence, values: pd.DataFrame, chosen: tuple[str, ...], caption: str, notes: str, absent: str
) -> Table:
    """A table of variants by quality, the best of each column bold where that is resolved."""
    judged = [name for name, definition in evidence.results.columns.items() if _is_measured(name, definition, values)]
    bold = {name: partial(_is_best, evidence, name, values) for name in judged}
    columns, required = variants.variant_columns(evidence), variants.required_of(values)
    notes += variants.not_compared(evidence)
    return Table(name, values, columns, chosen, caption, notes, bold, required, absent, variants.remarks(values))


def _is_best(evidence: Evidence, name: str, values: pd.DataFrame) -> list[bool]:
    return _is_variant(values, evidence.best(name))


def _is_variant(values: pd.DataFrame, variant: str) -> list[bool]:
    return (values["variant"] == variant).tolist()


def _is_smallest(counts: Sequence[float]) -> list[bool]:
    """For each count: is it smaller than every other? None is where the smallest is shared, or there is one alone."""
    known = [count for count in counts if not math.isnan(count)]
    unique = len(known) > 1 and known.count(min(known)) == 1
    return [unique and count == min(known) for count in counts]


def _is_measured(name: str, definition: Column, values: pd.DataFrame) -> bool:
    return definition.stage == "quality" and bool(values[f"{name}_mean"].notna().any())


def _family(names: Mapping[str, Column], prefix: str) -> list[str]:
    return [name for name in names if name.removeprefix(prefix).removesuffix("px").isdigit()]


def _effect_columns(keys: tuple[str, str, str], title: str = "Δ IoU") -> dict[str, Field]:
    iou, (middle, low, high) = column(IOU), keys
    return {
        "delta": fields.difference(f"{title} ({iou.difference_unit})", middle, iou),
        "interval": fields.interval("95 % interval", low, high, iou),
    }


def _class_text(key: str) -> Callable[[TableRow], str]:
    def text(row: TableRow) -> str:
        text = column(IOU).spread(row[f"{key}_mean"], row[f"{key}_sd"])
        count = row[f"{key}_n"]
        return f"{text} ({count:.0f})" if 0 < count < row["n"] else text

    return text


def _share(head: str, key: str) -> Field:
    """The field of a share of images, which is written as a share of pixels is."""
    return Field(head, (key,), lambda row: column("pixel_accuracy").shown(row[key]))
