"""Every figure of the page, in the order of the page."""

from __future__ import annotations

from bench.evidence.evidence import Evidence
from bench.report.figures.accuracy import COSTS, accuracy_against
from bench.report.figures.classes import class_iou, confusion, differences
from bench.report.figures.cost import attribution, growth
from bench.report.figures.curves import boundary_by_tolerance, learning_curves, score_curves
from bench.report.figures.figure import Figure
from bench.report.figures.forest import forest
from bench.report.figures.interactions import interactions
from bench.report.figures.outcomes import outcome_grid
from bench.report.figures.speed import figures


def all_figures(evidence: Evidence) -> list[Figure]:
    """Every figure that the planned stages allow, in the order of the page; one without data has no marks.

    Raises:
        RecordError: for results that must not be put side by side.
    """
    stages = evidence.results.plan.stages
    drawn = figures(evidence) if "speed" in stages else []
    if "quality" in stages:
        drawn += [forest(evidence), *interactions(evidence)]
    if "quality" in stages and "cost" in stages:
        drawn += [accuracy_against(evidence, cost) for cost in COSTS]
    drawn += [*attribution(evidence), *growth(evidence)]
    if "quality" in stages:
        drawn += [class_iou(evidence), differences(evidence), *boundary_by_tolerance(evidence), *confusion(evidence)]
        drawn += [learning_curves(evidence), *score_curves(evidence)]
    return [*drawn, outcome_grid(evidence)]
