"""Figures as files for a paper: SVG, PDF or PNG, in light colours, with title and legend inside.

Drawn by kaleido in a Chrome or Chromium that is there already; neither is needed for the HTML page.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from bench.parts import BenchError, nearest
from bench.report.figures.figure import Figure, Look, text

FORMATS = ("svg", "pdf", "png")
WIDTH = 800
INK, GRID = "#1b1f24", "#dfe3e8"
TITLE_PX, AXIS_PX, LEGEND_ROW_PX, LEGEND_ENTRY_PX, CHARACTER_PX = 46, 24, 20, 50, 7
PNG_SCALE = 3
"""The pixels of a PNG for each pixel of the figure: 300 an inch for a width of 8 inches."""
WITHOUT = (
    "figures as files need kaleido (pip install 'segbench[static]') and Chrome or Chromium: install one with your "
    "system's packages or by kaleido_get_chrome, and name it in BROWSER_PATH if it is not found; the page needs neither"
)


class ExportError(BenchError, RuntimeError):
    """Figures that cannot be written as files."""


def check(form: str) -> None:
    """Refuse a format that cannot be written, before anything is computed.

    Raises:
        ExportError: for an unknown format, or without kaleido.
    """
    if form not in FORMATS:
        raise ExportError(f"--figures {form!r}: expected one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")
    if importlib.util.find_spec("kaleido") is None:
        raise ExportError(f"kaleido is not installed: {WITHOUT}")


def write_figures(figures: Sequence[Figure], folder: Path, form: str) -> list[Path]:
    """Write every figure that draws something as ``<folder>/<name>.<form>``; where to.

    Raises:
        ExportError: for an unknown format, or without kaleido or a browser that it can start.
    """
    check(form)
    import kaleido
    from choreographer.errors import BrowserDepsError, BrowserFailedError, ChromeNotFoundError

    drawn = [figure for figure in figures if len(figure.table)]
    paths = [folder / f"{figure.name}.{form}" for figure in drawn]
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.glob(f"*.{form}")).difference(paths):
        path.unlink(missing_ok=True)  # of an earlier report: it would show what the results no longer have
    options = {"scale": PNG_SCALE if form == "png" else 1}
    jobs = [
        {"fig": for_paper(figure), "path": path, "opts": {**options, "format": form}}
        for figure, path in zip(drawn, paths, strict=True)
    ]
    try:
        # Without MathJax, which kaleido would ask the network for; labels have no formulas.
        kaleido.write_fig_from_object_sync(jobs, cancel_on_error=True, kopts={"mathjax": False})
    except (ChromeNotFoundError, BrowserFailedError, BrowserDepsError) as error:
        raise ExportError(f"no browser could be started ({type(error).__name__}): {WITHOUT}") from error
    return paths


def for_paper(figure: Figure) -> go.Figure:
    """A copy with its title and legend inside, on white."""
    made = go.Figure(figure.figure)
    made.update_traces(showlegend=False)
    for look in figure.key:
        made.add_trace(_legend_entry(look, str(made.layout.meta["mark"])))
    columns = max(
        1, WIDTH // (LEGEND_ENTRY_PX + CHARACTER_PX * max((len(look.label) for look in figure.key), default=0))
    )
    rows = -(-len(figure.key) // columns)
    top = TITLE_PX + LEGEND_ROW_PX * rows + (AXIS_PX if made.layout.xaxis.side == "top" else 0)
    height = int(made.layout.height) + top
    made.update_layout(
        template="none", width=WIDTH, height=height, showlegend=bool(figure.key),
        paper_bgcolor="white", plot_bgcolor="white", font={"family": "Helvetica, Arial, sans-serif", "color": INK},
        margin={"l": 20, "r": 20, "t": top, "b": 20},
        title={"text": text(figure.title), "x": 0.01, "xanchor": "left", "yref": "container", "y": 1 - 24 / height},
        legend={
            "orientation": "h", "traceorder": "normal", "xref": "container", "yref": "container", "x": 0.01,
            "y": 1 - (TITLE_PX - 4) / height, "xanchor": "left", "yanchor": "top",
            "maxheight": LEGEND_ROW_PX * (rows + 1),  # plotly's own cuts a long legend off: nobody can scroll on paper
        },
    )  # fmt: skip
    made.update_xaxes(gridcolor=GRID, tickcolor=GRID, zerolinecolor=INK)
    made.update_yaxes(gridcolor=GRID, tickcolor=GRID, zerolinecolor=INK)
    return made


def _legend_entry(look: Look, mark: str) -> Any:
    """A trace without points, which only draws an entry of the legend."""
    mode = {"line": "lines", "point": "markers"}.get(mark, "markers")
    symbol = look.symbol if mark == "point" else "square"
    return go.Scatter(
        x=[None], y=[None], mode=mode, name=look.name, showlegend=True, line=look.line(2),
        marker={"color": look.colour, "symbol": symbol, "size": 9},
    )  # fmt: skip
