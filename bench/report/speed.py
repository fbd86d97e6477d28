"""Speed-ups as reports show them: comparisons, where they cross 1, a figure over input sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench import speedups
from bench.records import Results
from bench.report.axes import apart
from bench.report.figures import (
    BASELINE_COLOUR,
    Figure,
    Look,
    bars,
    blank,
    drawn,
    finished,
    looks,
    text,
)
from bench.report.words import NOTHING, labels, p_value, verdict
from bench.setting import USUAL, Setting
from bench.signed_ranks import Ratio

HEADS = (
    "Variant", "Against", "Setting", "Times as fast", "95 % interval", "Blocks", "p (Holm)", "Verdict", "ms",
    "ms, against", "Remark",
)  # fmt: skip
CAPTION = (
    "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks (signed "
    "ranks); above 1 the variant is the faster, better or worse after Holm's correction over the comparisons of this "
    "table."
)


def comparisons(results: Results) -> pd.DataFrame:
    """Every planned comparison as printed; a timing that was not alone has a remark and no ratio."""
    names = labels(results)
    rows = [_row(row, names) for row in speedups.frame(results).to_dict("records")]
    return pd.DataFrame(rows, columns=list(HEADS), dtype=object)


def crossings(results: Results) -> pd.DataFrame:
    """Where each ratio crosses 1 as inputs grow, in words; with the kind of setting where there are several."""
    table, names = speedups.crossing_table(speedups.frame(results)), labels(results)
    kinds = [_kind(row) for row in table.to_dict("records")]
    found = pd.DataFrame({"Variant": table["variant"].map(names), "Timed at": kinds, "Crosses 1": table[CROSSES]})
    return found if len(set(kinds)) > 1 else found.drop(columns="Timed at")


CROSSES = "ratio crosses 1"
ROOM = 0.06
"""Of a figure's width, for the marks of one size."""
KIND = ("batch", "precision", "mode", "phase")
"""What the lines of one figure have in common."""


def _kind(row: Mapping[Any, Any]) -> str:
    """``batch 8, bfloat16``; of what is usual, ``batch 1``."""
    usual = [name for name in ("precision", "mode", "phase") if row[name] not in USUAL]
    return ", ".join([f"batch {row['batch']}", *(str(row[name]) for name in usual)])


def figures(results: Results) -> list[Figure]:
    """The ratio against the pixels of the input, with its interval, and where it crosses 1: one a kind of setting."""
    known = speedups.frame(results).dropna(subset=["low", "high"])
    known = known.assign(pixels=(known["height"] * known["width"]).astype(int))
    kinds = [own for _, own in known.groupby(list(KIND), sort=False)]
    if len(kinds) <= 1:
        return [_figure(results, known, "speed-ups", "Speed-up by input size")]
    return [
        _figure(
            results,
            own,
            f"speed-ups-{number}",
            f"Speed-up by input size: {_kind(own.iloc[0].to_dict())}",
            group="speed-ups",
        )
        for number, own in enumerate(kinds, start=1)
    ]


def _figure(results: Results, known: pd.DataFrame, name: str, title: str, group: str = "") -> Figure:
    drawing, rows, seen = blank("Input (pixels)", "Times as fast", height=420), [], looks(results)
    lines = list(known.sort_values("pixels").groupby("variant", sort=False))
    room = ROOM * math.log(known["pixels"].max() / known["pixels"].min()) if len(known) else 0.0
    for index, (variant, own) in enumerate(lines):
        look, aside = seen[str(variant)], math.exp(apart(index, len(lines), room))
        names = [_setting(row).name for row in own.to_dict("records")]
        ratios, lows, highs = (own[column].tolist() for column in ("ratio", "low", "high"))
        drawing.add_scatter(
            x=[pixels * aside for pixels in own["pixels"]], y=ratios, mode="lines+markers", name=look.name,
            marker=look.marker(9), line=look.line(), text=[text(each) for each in names],
            error_y=bars(ratios, lows, highs, look.colour),
            hovertemplate="%{text}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        points = [(int(row["pixels"]), _ratio(row)) for row in own.to_dict("records")]
        for crossing in speedups.crossings(points):
            _mark_crossing(drawing, crossing, look, edges=(points[0][0], points[-1][0]))
        rows += [(look.label, *values) for values in zip(names, ratios, lows, highs, strict=True)]
    sizes = known.sort_values("pixels").drop_duplicates("pixels")
    drawing.update_xaxes(
        type="log",
        ticklabeloverflow="allow",
        tickvals=sizes["pixels"].tolist(),
        ticktext=[f"{row.height}×{row.width}" for row in sizes.itertuples()],
    )
    drawing.add_hline(y=1, line_width=1, line_color=BASELINE_COLOUR)
    table = pd.DataFrame(rows, columns=["Variant", "Setting", "Times as fast", "low", "high"])
    caption = (
        "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks "
        "(signed ranks), each for itself. Above 1 the variant is the faster. Dotted upright: where a ratio crosses 1, "
        "by straight lines between the sizes measured; along the line at 1 the interval of that place, dotted where it "
        "goes on beyond these sizes. Marks of one size stand side by side."
    )
    key = drawn(seen, known)
    return finished(name, title, caption, drawing, table, "point", section="speed", key=key, group=group)


def _ratio(row: Mapping[Any, Any]) -> Ratio:
    return Ratio(row["ratio"], row["low"], row["high"], int(row["blocks"]))


def _mark_crossing(drawing: Any, crossing: speedups.Crossing, look: Look, edges: tuple[int, int]) -> None:
    """A dotted line up from 1 with the size beside it, and a bar along 1 to both ends of the interval."""
    for end, edge in zip((crossing.low, crossing.high), edges, strict=True):
        beyond = math.isnan(end)
        drawing.add_scatter(
            x=[crossing.pixels, edge if beyond else end], y=[1, 1], mode="lines", opacity=0.5, hoverinfo="skip",
            name=look.name, line={"color": look.colour, "width": 5, "dash": "dot" if beyond else "solid"},
        )  # fmt: skip
    drawing.add_vline(x=crossing.pixels, line={"color": look.colour, "width": 1.4, "dash": "dot"})
    drawing.add_annotation(
        x=math.log10(crossing.pixels), xref="x", y=0, yref="paper", yanchor="bottom", xanchor="left", showarrow=False,
        text=f"{math.sqrt(crossing.pixels):.0f}²",
    )  # fmt: skip


def _setting(row: Mapping[Any, Any]) -> Setting:
    return Setting(**{name: row[name] for name in speedups.SETTING})


def _row(row: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, str]:
    known = pd.notna(row["ratio"])
    return {
        "Variant": names[row["variant"]],
        "Against": str(row["against"]),
        "Setting": _setting(row).name,
        "Times as fast": f"{row['ratio']:.3f}" if known else NOTHING,
        "95 % interval": f"[{row['low']:.3f}, {row['high']:.3f}]" if known else NOTHING,
        "Blocks": f"{row['blocks']:.0f}" if known else NOTHING,
        "p (Holm)": p_value(row["p_holm"]),
        "Verdict": verdict({"verdict": row["verdict"], "reason": row["verdict_reason"]}) if known else NOTHING,
        "ms": f"{row['latency_s'] * 1e3:.1f}" if known else NOTHING,
        "ms, against": f"{row['against_s'] * 1e3:.1f}" if known else NOTHING,
        "Remark": remark(row),
    }


def remark(row: Mapping[Any, Any]) -> str:
    """What a reader must know of a comparison: its outcome, who else was there, how far its timings spread."""
    if row["status"] != "done":
        return str(row["status"])
    if row["isolated"] is False:
        return f"left out: {row['reason']}"
    return "; ".join(doubts(row))


def doubts(row: Mapping[Any, Any]) -> list[str]:
    """What makes a comparison that counts less certain than others."""
    noisy = ["noisy: quartiles over 10 % apart"] if row["noisy"] is True else []
    unsteady = ["not steady after warm-up"] if row["steady"] is False else []
    return [*noisy, *unsteady]
