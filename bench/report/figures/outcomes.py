"""The figure of the outcome of every planned trial, each outcome with its letter and colour."""

from __future__ import annotations

import pandas as pd

from bench.evidence import speedups
from bench.evidence.evidence import Evidence
from bench.protocol.setting import Setting
from bench.protocol.words import status
from bench.report.figures.axes import most_lines, wrapped
from bench.report.figures.figure import Figure, Look, blank, finished, text

MOST_VARIANTS = 60
"""The most variants that are drawn; of more, those with the most trials that are not done."""
LOOKS = {
    "done": ("✓", "#449955"), "excluded": ("E", "#885577"), "missing": ("–", "#777777"), "failed": ("F", "#CC0022"),
    "out_of_memory": ("M", "#DD7700"), "diverged": ("V", "#AA3399"), "timed_out": ("T", "#3399DD"),
    "interrupted": ("I", "#4466DD"), "pruned": ("P", "#887722"),
}  # fmt: skip
"""Outcome -> its letter and colour."""
MOST_LETTERED = 24
"""The most columns in which every field has a letter; with more, only trials that are not done have one."""
QUIET, LOUD = 0.2, 0.6
"""The opacity of trials that are done, and of the others, on which the page's ink keeps a contrast of 4.5 to 1."""


def outcome_grid(evidence: Evidence) -> Figure:
    """The figure of variants by stages and seeds, one mark a trial; an excluded variant has one in all its columns."""
    planned_trials, names = trials(evidence), evidence.labels
    data = planned_trials if evidence.results.records else planned_trials.head(0)
    open_trials = data[data["outcome"] != "done"]["variant"].value_counts()
    planned = list(dict.fromkeys(data["variant"]))
    chosen = sorted(planned, key=lambda variant: -int(open_trials.get(variant, 0)))[:MOST_VARIANTS]
    variants = [variant for variant in planned if variant in chosen]
    shown = data[data["variant"].isin(variants)]
    columns, codes = list(dict.fromkeys(data["trial"])), list(LOOKS)
    cells = {(row[0], row[1]): row[2] for row in shown[["variant", "trial", "outcome"]].itertuples(index=False)}
    grid = [[cells.get((variant, name)) for name in columns] for variant in variants]
    lines = most_lines(names[variant] for variant in variants)
    figure = blank("", None, height=110 + max(26, 16 * lines + 8) * len(variants))
    x, y = [text(name) for name in columns], [wrapped(names[variant]) for variant in variants]
    figure.add_heatmap(
        z=[[None if outcome is None else codes.index(outcome) for outcome in row] for row in grid], x=x, y=y,
        customdata=[["" if outcome is None else status(outcome) for outcome in row] for row in grid],
        colorscale=_scale(codes), zmin=-0.5, zmax=len(codes) - 0.5, showscale=False, xgap=1.5, ygap=1.5,
        hoverongaps=False, hovertemplate="%{y}, %{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    lettered = [
        (col, row, code) for row in range(len(y)) for col in range(len(x))
        if (code := grid[row][col]) is not None and (code != "done" or len(x) <= MOST_LETTERED)
    ]  # fmt: skip
    figure.add_scatter(
        x=[x[col] for col, _, _ in lettered], y=[y[row] for _, row, _ in lettered], mode="text", hoverinfo="skip",
        text=[LOOKS[code][0] for _, _, code in lettered], textfont={"size": 12},
    )  # fmt: skip
    figure.update_yaxes(
        type="category", range=[len(y) - 0.5, -0.5], showgrid=False, dtick=1, ticks="", ticklabelstandoff=5
    )
    figure.update_xaxes(
        type="category",
        range=[-0.5, len(x) - 0.5],
        showgrid=False,
        ticks="",
        ticklabelstandoff=3,
        side="top",
        title=None,
    )
    table = shown.assign(variant=shown["variant"].map(names), outcome=shown["outcome"].map(status))
    seen = [code for code in codes if code in set(shown["outcome"])]
    key = [Look(f"{LOOKS[code][0]} {status(code)}", LOOKS[code][1], "square", "solid") for code in seen]
    caption = "A row a variant; a column a stage and, where it is trained, a seed."
    if len(planned) > len(variants):
        caption += f" {len(variants)} of {len(planned)} variants: those with the most trials that are not done."
    return finished(
        "outcome-grid", "What came of every trial", caption, figure,
        table.rename(columns={"variant": "Variant", "trial": "Trial", "outcome": "Outcome"}).reset_index(drop=True),
        "cell", section="outcomes", key=key, data=data,
    )  # fmt: skip


def trials(evidence: Evidence) -> pd.DataFrame:
    """One row a trial: variant, trial (stage with its seed or setting), outcome.

    An excluded variant has a row for each seed; what was timed on two hardware classes has its last outcome.
    """
    results = evidence.results
    frame, rows = results.frame(), []
    for variant, stage, seed, outcome in frame[["variant", "stage", "seed", "status"]].itertuples(index=False):
        seeds = results.plan.seeds if pd.isna(seed) and stage == "quality" else [seed]
        names = [stage if pd.isna(seed) else f"{stage} {int(seed)}" for seed in seeds]
        rows += [(variant, name, outcome) for name in names]
    for row in evidence.speedups.to_dict("records"):
        setting = Setting(**{name: row[name] for name in speedups.SETTING})
        rows.append((row["variant"], f"speed {setting.name}", row["status"]))
    all_trials = pd.DataFrame(rows, columns=["variant", "trial", "outcome"])
    return all_trials.drop_duplicates(["variant", "trial"], keep="last").reset_index(drop=True)


def _scale(codes: list[str]) -> list[list[float | str]]:
    """The colour scale: a step for each code."""
    edges = [(index / len(codes), (index + 1) / len(codes)) for index in range(len(codes))]
    return [[edge, _faint(code)] for code, both in zip(codes, edges, strict=True) for edge in both]


def _faint(code: str) -> str:
    colour = LOOKS[code][1]
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{QUIET if code == 'done' else LOUD})"
