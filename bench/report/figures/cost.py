"""The figures of cost by part of the network, and of its growth with the input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.evidence.evidence import Evidence
from bench.protocol.columns import column
from bench.protocol.words import joined, plural
from bench.records.cost import MeasuredCost
from bench.records.files import RecordError, read_json
from bench.records.results import Results
from bench.report.figures.axes import log_axis, most_lines, wrapped
from bench.report.figures.figure import Figure, Look, blank, finished, part_looks

SLOTS = ("backbone", "neck", "head", "shape_stream", "auxiliary", "outside")
"""The parts in the order in which they are drawn; ``outside`` is what belongs to no slot, such as the last resize."""
MOST_VARIANTS = 20
"""The most variants in one figure; of more, the first are drawn."""
MOST_GROWN = 3
"""The most variants with growth in one figure."""
ATTRIBUTED = ("parameters", "macs", "activation_bytes")
"""The measured columns that are sums over the parts of a network."""
GROWN = {
    "macs": ("MACs (G)", 1e-9, "MACs"),
    "saved_bytes": ("Saved for the backward pass (MiB)", 2**-20, "memory for training"),
    "time_s": ("Time (ms)", 1e3, "time"),
}
"""Quantity of ``bench cost`` -> title of its axis, factor to the shown unit, name in titles."""


def attribution(evidence: Evidence) -> list[Figure]:
    """The figures of parameters, MACs and saved activations by part: stacked bars, one mark a variant and part."""
    parts_of = {name: _parts(evidence.results, name) for name in ATTRIBUTED}
    slots = _ordered(
        {slot for parts in parts_of.values() for slots_of_variant in parts.values() for slot in slots_of_variant}
    )
    return [_stacked(evidence.labels, name, parts, part_looks(slots)) for name, parts in parts_of.items() if parts]


def _parts(results: Results, name: str) -> dict[str, dict[str, float]]:
    """Variant -> part -> its share of a column, in the stored unit, zeros left out; of what was measured."""
    shares = {}
    for record, measured in results.done(MeasuredCost):
        values = {
            "parameters": measured.parameters,
            "macs": measured.macs,
            "activation_bytes": measured.training_memory.saved_bytes if measured.training_memory else {},
        }[name]
        # The column leaves the auxiliary head's parameters out: it is not deployed.
        shares[record.trial.variant] = {
            slot: value for slot, value in values.items()
            if value and not (name == "parameters" and slot == "auxiliary")
        }  # fmt: skip
    return {variant: shares[variant] for variant in results.variants if shares.get(variant)}


def _stacked(
    names: Mapping[str, str], name: str, parts: Mapping[str, Mapping[str, float]], look_of: Mapping[str, Look]
) -> Figure:
    measured = column(name)
    variants = list(parts)[:MOST_VARIANTS]
    lines = most_lines(names[variant] for variant in variants)
    figure, rows = blank(measured.title, None, height=90 + (14 + 16 * lines) * len(variants)), []
    for slot, look in look_of.items():
        having = [variant for variant in variants if slot in parts[variant]]
        if having:
            values = [parts[variant][slot] * measured.scale for variant in having]
            figure.add_bar(
                x=values, y=[wrapped(names[variant]) for variant in having], orientation="h", name=look.name,
                marker={"color": look.colour, "line": {"color": "rgba(255,255,255,0.8)", "width": 1}},
                hovertemplate="%{y}: %{x:.4g}<extra>%{fullData.name}</extra>",
            )  # fmt: skip
            rows += [(names[variant], slot, value) for variant, value in zip(having, values, strict=True)]
    figure.update_layout(barmode="stack", bargap=0.35)
    order = [wrapped(names[variant]) for variant in variants]
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=order,
        autorange="reversed",
        showgrid=False,
        ticks="",
        ticklabelstandoff=5,
    )
    caption = f"Stacked: what each part has of the whole. {measured.definition}"
    if len(parts) > len(variants):
        caption += f" The first {len(variants)} of {len(parts)} variants."
    table = pd.DataFrame(rows, columns=["Variant", "Part", measured.title])
    data = pd.DataFrame(
        [(variant, slot, value) for variant, values in parts.items() for slot, value in values.items()],
        columns=["variant", "part", name],
    )
    return finished(
        f"{name.replace('_', '-')}-by-part", f"{measured.label} by part", caption, figure, table, "bar", section="cost",
        key=[replace(look, symbol="square") for look in look_of.values()], data=data, group="by-part",
    )  # fmt: skip


@dataclass(frozen=True)
class Grown:
    """One quantity of one part of a variant at several sizes.

    Attributes:
        variant: its name.
        slot: the slot of the network.
        exponent: the exponent of the pixels, over all sizes; NaN where there is none.
        points: pixels of the input and the quantity there, in the stored unit.
    """

    variant: str
    slot: str
    exponent: float
    points: Sequence[tuple[int, float]]


def growth(evidence: Evidence) -> list[Figure]:
    """The figures of the costs that ``bench cost`` measured at several sizes: a line a part, one mark a part and size.

    There are none if it was not run, or at one size only.

    Variants that were measured with other choices than their records say are left out, and counted in the caption.

    Raises:
        RecordError: for a file beside the records that ``bench cost`` did not write, two of one variant, or times of
            different hardware.
    """
    results = evidence.results
    if results.folder is None:
        return []
    documents = _documents(results.folder / "attribution")
    chosen = {r.trial.variant: r.choices.variant for r in results.records if r.choices.variant}
    grown = [variant for variant in results.variants if variant in documents and documents[variant]["growth"]]
    variants = [
        variant
        for variant in grown
        if chosen.get(variant) in (None, documents[variant].get("choices", {}).get("variant"))
    ]
    hardware = sorted({_hardware(documents[variant]) for variant in variants})
    if len(hardware) > 1:
        folder = results.folder / "attribution"
        raise RecordError(f"{folder} has times of different hardware: {'; '.join(hardware)}; keep those of one")
    stale = len(grown) - len(variants)
    note = f" Left out: {plural(stale, 'variant')} measured with other choices than the records have." if stale else ""
    lines_of = {name: [line for v in variants for line in _grown(documents[v], name)] for name in GROWN}
    where = f", on {hardware[0]}" if any(hardware) else ""
    notes = {
        name: " ".join(["", *_followed(evidence.labels, [documents[v] for v in variants], name)]) + note
        for name in GROWN
    }
    notes["time_s"] = f" Times: medians of the timed forwards{where}.{note}"
    return [_growth(evidence.labels, name, lines, variants, notes[name]) for name, lines in lines_of.items() if lines]


def _followed(names: Mapping[str, str], documents: Sequence[Mapping[str, Any]], name: str) -> Iterator[str]:
    """Sentences about the sizes at which a quantity was extrapolated, one for each variant and way."""
    for document in documents:
        for how, sizes in _ways(document, name).items():
            yield f"{names[str(document['variant'])]} at {joined(sizes)}: {how}."


def _ways(document: Mapping[str, Any], name: str) -> dict[str, list[str]]:
    """How a quantity was extrapolated -> the sizes; files of an earlier bench do not tell it by quantity."""
    ways: dict[str, list[str]] = {}
    for size, how in document.get("extrapolated", {}).get(name, {}).items():
        ways.setdefault(str(how), []).append(str(size))
    return ways


def _documents(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Variant -> the content of the file that ``bench cost`` wrote for it."""
    documents: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("[!.]*.json")):
        document = _read(path)
        if (variant := str(document["variant"])) in documents:
            raise RecordError(f"{path} is a second file of {variant}; keep one of them")
        documents[variant] = document
    return documents


def _hardware(document: Mapping[str, Any]) -> str:
    environment = document.get("environment", {})
    return str(environment.get("hardware") or environment.get("device") or "")


def _growth(names: Mapping[str, str], name: str, lines: Sequence[Grown], variants: Sequence[str], note: str) -> Figure:
    axis, scale, called = GROWN[name]
    drawn = variants[:MOST_GROWN]
    keys = {
        (line.variant, line.slot): (line.slot if math.isnan(line.exponent) else f"{line.slot} ∝ px^{line.exponent:.2f}")
        + (f", {names[line.variant]}" if len(drawn) > 1 else "")
        for line in lines
        if line.variant in drawn
    }
    look_of = dict(zip(keys, part_looks(keys.values()).values(), strict=True))
    figure, rows = blank("Input (pixels)", axis, height=380), []
    for line in lines:
        points = [(names[line.variant], line.slot, px, value * scale, line.exponent) for px, value in line.points]
        if line.variant in drawn:
            look = look_of[line.variant, line.slot]
            figure.add_scatter(
                x=[row[2] for row in points], y=[row[3] for row in points], mode="lines+markers", name=look.name,
                marker=look.marker(8), line=look.line(),
                hovertemplate="%{x} px: %{y:.4g}<extra>%{fullData.name}</extra>",
            )  # fmt: skip
            rows += points
    _log_axes(figure, [row[2] for row in rows], [row[3] for row in rows])
    table = pd.DataFrame(rows, columns=["Variant", "Part", "Pixels", axis, "Exponent"])
    caption = (
        "Both axes logarithmic; the exponent is the slope, fitted over all sizes: 1 grows as the image does, 2 as its "
        "square."
        + note
        + (f" The first {len(drawn)} of {len(variants)} variants." if len(variants) > len(drawn) else "")
    )
    return finished(
        f"growth-{name.replace('_', '-')}", f"Growth of {called} with the input", caption, figure, table, "point",
        section="cost", key=look_of.values(), group="growth",
    )  # fmt: skip


def _log_axes(figure: Any, pixels: Sequence[int], values: Sequence[float]) -> None:
    sizes = sorted(set(pixels))
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    figure.update_yaxes(**log_axis(values))


def _grown(document: Mapping[str, Any], name: str) -> list[Grown]:
    exponents = {row["module"]: row["exponent"] for row in document["growth"] if row["quantity"] == name}
    points: dict[str, list[tuple[int, float]]] = {}
    for row in document["modules"]:
        height, width = row["input_px"]
        if row["depth"] <= 1 and row[name]:
            points.setdefault(row["module"], []).append((int(height) * int(width), float(row[name])))
    variant = str(document["variant"])
    return [
        Grown(variant, module, math.nan if exponents.get(module) is None else exponents[module], sorted(of_module))
        for module, of_module in points.items()
        if len(of_module) > 1
    ]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = read_json(path)
        if not isinstance(document["modules"], list) or not isinstance(document["growth"], list):
            raise TypeError("modules and growth are lists")
        _ = document["variant"], [_grown(document, name) for name in GROWN]
        _ = [_ways(document, name) for name in GROWN]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"{path} is no file of bench cost ({error}); delete it, or measure again") from error
    return dict(document)


def _ordered(slots: set[str]) -> list[str]:
    return [*(slot for slot in SLOTS if slot in slots), *sorted(slots - set(SLOTS))]
