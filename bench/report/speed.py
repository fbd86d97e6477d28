"""Speed-ups as reports show them: comparisons, where they cross 1, a figure over input sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench import speedups
from bench.records import Results
from bench.report.figures import BASELINE_COLOUR, Figure, Look, bars, blank, drawn, finished, looks, text
from bench.report.tables import p_value, verdict
from bench.report.words import NOTHING, labels
from bench.setting import Setting
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
    """Where each ratio crosses 1 as inputs grow, in words."""
    table = speedups.crossing_table(speedups.frame(results))
    named = table.assign(variant=table["variant"].map(labels(results)))
    return named[["variant", "ratio crosses 1"]].rename(columns={"variant": "Variant", "ratio crosses 1": "Crosses 1"})


def figure(results: Results) -> Figure:
    """The ratio against the pixels of the input, with its interval, and where it crosses 1."""
    known, seen = speedups.frame(results).dropna(subset=["low", "high"]), looks(results)
    known = known.assign(pixels=(known["height"] * known["width"]).astype(int))
    drawing, rows = blank("Input (pixels)", "Times as fast", height=420), []
    for (variant, *_), group in known.groupby(["variant", *KIND], sort=False):
        look, own = seen[str(variant)], group.sort_values("pixels")
        names = [_setting(row).name for row in own.to_dict("records")]
        ratios, lows, highs = (own[name].tolist() for name in ("ratio", "low", "high"))
        drawing.add_scatter(
            x=own["pixels"].tolist(), y=ratios, mode="lines+markers", name=look.name, marker=look.marker(9),
            line=look.line(), text=[text(name) for name in names], error_y=bars(ratios, lows, highs, look.colour),
            hovertemplate="%{text}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        points = [(int(row["pixels"]), _ratio(row)) for row in own.to_dict("records")]
        for crossing in speedups.crossings(points):
            _mark_crossing(drawing, crossing, look)
        rows += [(look.label, *values) for values in zip(names, ratios, lows, highs, strict=True)]
    sizes = known.drop_duplicates("pixels")
    drawing.update_xaxes(
        type="log",
        tickvals=sizes["pixels"].tolist(),
        ticktext=[f"{row.height}×{row.width}" for row in sizes.itertuples()],
    )
    drawing.add_hline(y=1, line_width=1, line_color=BASELINE_COLOUR)
    table = pd.DataFrame(rows, columns=["Variant", "Setting", "Times as fast", "low", "high"])
    caption = (
        "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks "
        "(signed ranks). Above 1 the variant is the faster. Dotted: where a ratio crosses 1 between the sizes "
        "measured, and on the line at 1 the interval of that place, as far as it was measured."
    )
    return finished(
        "speed-ups", "Speed-up by input size", caption, drawing, table, "point", section="speed", key=drawn(seen, known)
    )


KIND = ("batch", "precision", "mode", "phase")
"""What one line of the figure has in common."""


def _ratio(row: Mapping[Any, Any]) -> Ratio:
    return Ratio(row["ratio"], row["low"], row["high"], int(row["blocks"]))


def _mark_crossing(drawing: Any, crossing: speedups.Crossing, look: Look) -> None:
    """A dotted line up from 1 with the size beside it, and a bar along 1 from one end of the interval to the other."""
    ends = [crossing.pixels if math.isnan(end) else end for end in (crossing.low, crossing.high)]
    drawing.add_scatter(
        x=ends, y=[1, 1], mode="lines", line={"color": look.colour, "width": 5}, opacity=0.5, hoverinfo="skip",
        name=look.name,
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
