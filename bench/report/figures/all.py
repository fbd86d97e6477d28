"""Every figure of a page, in its order."""

from __future__ import annotations

from bench.records.results import Results
from bench.report.figures.accuracy import COSTS, accuracy_against
from bench.report.figures.classes import class_iou, confusion, differences
from bench.report.figures.cost import attribution, growth
from bench.report.figures.curves import boundary_by_tolerance, learning_curves
from bench.report.figures.figure import Figure
from bench.report.figures.forest import forest
from bench.report.figures.interactions import interactions
from bench.report.figures.outcomes import outcome_grid
from bench.report.figures.speed import figures


def all_figures(results: Results) -> list[Figure]:
    """Every figure that the planned stages allow, in the order of the page; one without data has no marks.

    Raises:
        RecordError: for results that must not be put side by side.
    """
    stages = results.plan.stages
    found = figures(results) if "speed" in stages else []
    if "quality" in stages:
        found += [forest(results), *interactions(results)]
    if "quality" in stages and "cost" in stages:
        found += [accuracy_against(results, cost) for cost in COSTS]
    found += [*attribution(results), *growth(results)]
    if "quality" in stages:
        found += [class_iou(results), differences(results), *boundary_by_tolerance(results), *confusion(results)]
        found.append(learning_curves(results))
    return [*found, outcome_grid(results)]
