"""Every figure of a page, in its order."""

from __future__ import annotations

from bench.records import Results
from bench.report import speed
from bench.report.accuracy import COSTS, accuracy_against
from bench.report.class_figures import class_iou, confusion, differences
from bench.report.cost_figures import attribution, growth
from bench.report.curves import boundary_by_tolerance, learning_curves
from bench.report.figures import Figure
from bench.report.forest import forest
from bench.report.interactions import interactions
from bench.report.outcome_grid import outcome_grid


def all_figures(results: Results) -> list[Figure]:
    """Every figure that the planned stages allow, in the order of the page; one without data has no marks.

    Raises:
        RecordError: for results that must not be put side by side.
    """
    stages = results.plan["stages"]
    found = speed.figures(results) if "speed" in stages else []
    if "quality" in stages:
        found += [forest(results), *interactions(results)]
    if "quality" in stages and "cost" in stages:
        found += [accuracy_against(results, cost) for cost in COSTS]
    found += [*attribution(results), *growth(results)]
    if "quality" in stages:
        found += [class_iou(results), differences(results), *boundary_by_tolerance(results), *confusion(results)]
        found.append(learning_curves(results))
    return [*found, outcome_grid(results)]
