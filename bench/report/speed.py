"""Speed-ups as reports show them: comparisons, where they cross 1, what was published, a figure over input sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from bench import speedups
from bench.records import Results
from bench.report.figures import Figure, blank, finished, looks, text
from bench.report.words import NOTHING, labels
from bench.setting import Setting


def comparisons(results: Results) -> pd.DataFrame:
    """Every planned comparison as printed; a timing that was not alone has a remark and no ratio."""
    names = labels(results)
    rows = [_row(row, names) for row in speedups.frame(results).to_dict("records")]
    heads = ["Variant", "Against", "Setting", "Times as fast", "95 % interval", "Blocks", "ms", "ms, against", "Remark"]
    return pd.DataFrame(rows, columns=heads, dtype=object)


def crossings(results: Results) -> pd.DataFrame:
    """Where each ratio crosses 1 as inputs grow, in words."""
    table = speedups.crossing_table(speedups.frame(results))
    named = table.assign(variant=table["variant"].map(labels(results)))
    return named[["variant", "ratio crosses 1"]].rename(columns={"variant": "Variant", "ratio crosses 1": "Crosses 1"})


def published(results: Results) -> pd.DataFrame:
    """Published speed-ups over the same other side, each with its protocol and what is known to be wrong with it."""
    against = _against(results).get("upsampling")
    if against is None:
        return pd.DataFrame()
    table = speedups.published_ratios(against)
    heads = {
        "system": "System", "backbone": "Backbone", "head": "Head", "ratio": "Times as fast", "value": "images/s",
        "value_against": "images/s, against", "input": "Input", "protocol": "Protocol", "hardware": "Hardware",
        "flaw": "Known flaw", "source": "Source",
    }  # fmt: skip
    return table[list(heads)].rename(columns=heads).fillna(NOTHING)


def figure(results: Results) -> Figure:
    """The ratio against the pixels of the input, with its interval; one mark a comparison that was measured."""
    known, seen = speedups.frame(results).dropna(subset=["low", "high"]), looks(results)
    drawing, rows = blank("Input (pixels)", "Times as fast", height=420), []
    for (variant, *_), own in known.groupby(["variant", "batch", "precision", "mode", "phase"], sort=False):
        look, ordered = seen[str(variant)], own.sort_values("height", key=lambda _: own["height"] * own["width"])
        pixels = (ordered["height"] * ordered["width"]).astype(int).tolist()
        names = [_setting(row).name for row in ordered.to_dict("records")]
        up, down = ordered["high"] - ordered["ratio"], ordered["ratio"] - ordered["low"]
        drawing.add_scatter(
            x=pixels, y=ordered["ratio"].tolist(), mode="lines+markers", name=look.name, marker=look.marker(8),
            line={"color": look.colour, "width": 1.4, "dash": look.dash}, text=[text(name) for name in names],
            error_y={"type": "data", "symmetric": False, "array": up.tolist(), "arrayminus": down.tolist(), "width": 4},
            hovertemplate="%{text}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        values = ordered[["ratio", "low", "high"]].to_numpy().tolist()
        rows += [(look.label, name, *value) for name, value in zip(names, values, strict=True)]
    drawing.update_xaxes(type="log")
    drawing.add_hline(y=1, line_width=1, line_color="#7f7f7f")
    table = pd.DataFrame(rows, columns=["Variant", "Setting", "Times as fast", "low", "high"])
    caption = (
        "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks "
        "(signed ranks). Above 1 the variant is the faster."
    )
    drawn = [look for variant, look in seen.items() if variant in set(known["variant"])]
    made = finished("speed-ups", "Speed-up by input size", caption, drawing, table, "point", drawn)
    return replace(made, section="speed")


def _against(results: Results) -> dict[str, str]:
    """The levels that all comparisons' other sides have and their variants have not."""
    cells = [cell for cell in results.plan["cells"] if cell["stage"] == "speed" and not cell.get("excluded")]
    pairs = {(name, level) for cell in cells for term in cell["against"].split(",") for name, level in [_split(term)]}
    return {name: level for name, level in pairs if all(cell["levels"].get(name, level) != level for cell in cells)}


def _split(term: str) -> tuple[str, str]:
    name, _, level = term.partition("=")
    return name.strip(), level


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
    return "noisy: quartiles over 10 % apart" if row["noisy"] is True else ""
