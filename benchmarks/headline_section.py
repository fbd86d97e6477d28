"""The findings of several results folders as one page of Markdown: sentences, tables and pictures from the records.

    python -m benchmarks.headline_section results > results/findings.md

It needs no GPU. Pictures need kaleido and a Chromium; without them, the section has none.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.evidence.evidence import Evidence, evidence_of
from bench.evidence.speedups import setting_of
from bench.protocol.columns import JUDGED
from bench.report.figures.all import all_figures
from bench.report.figures.files import ExportError, write_figures
from bench.report.page.findings import findings, fold, speed_findings
from benchmarks.attention_steps import Group, read, time_ratio

ATTENTION = Path("attention") / "steps.jsonl"
"""The place of the measurements of position attention below the folder of the headline."""
CLAIM = 3.0
"""The factor by which FastFCN says that it needs less computation. Source: Wu et al., FastFCN, 2019, abstract."""
FROM_SCRATCH = 0.669
"""The test mIoU of FC-DenseNet103 on CamVid without pretraining. Source: Jégou et al., The One Hundred Layers Tiramisu,
2017; read at paperswithcode.com/paper/the-one-hundred-layers-tiramisu-fully."""
NOTHING = "–"
PICTURES = ("speed", "effects", "accuracy-latency_s", "class-differences")
"""The beginnings of the names of figures that the section shows."""


def section(out: Path) -> str:
    """The section, as Markdown, of everything that is measured below a folder; its pictures go to ``out/figures``."""
    parts = ["# What the records say", f"Made from the records by `python -m benchmarks.headline_section {out}`."]
    for plan in sorted(out.glob("*/study.json")):
        parts += _study(evidence_of(plan.parent), plan.parent, out)
    if (out / ATTENTION).exists():
        parts += _attention(read(out / ATTENTION))
    return "\n\n".join(parts) + "\n"


def _study(evidence: Evidence, folder: Path, out: Path) -> Iterator[str]:
    results = evidence.results
    done = [record for record in results.records if record.status == "done"]
    devices = ", ".join(sorted({str(record.environment.device) for record in done})) or "no device yet"
    planned = sum(not trial.excluded for trial in results.plan.trials)
    yield f"## {results.plan.question}"
    yield f"{len(done)} of {planned} trials are done, on {devices}. `bench report {folder}` makes their page."
    shown, _ = fold([*speed_findings(evidence), *findings(evidence)])
    yield "\n".join(f"- {finding.text}" for finding in shown)
    yield from filter(None, [_claim(evidence), _gap(evidence)])
    try:
        paths = write_figures(all_figures(evidence), out / "figures" / folder.name, "svg")
    except ExportError as error:
        sys.stderr.write(f"no pictures of {folder.name}: {error}\n")
        return
    for path in paths:
        if path.stem.startswith(PICTURES):
            yield f"![{path.stem}]({path.relative_to(out).as_posix()})"
        else:
            path.unlink()


def _claim(evidence: Evidence) -> str:
    """The comparisons of speed in which a variant is three times as fast, and those in which it is not; or nothing."""
    measured = [row for row in evidence.speedups.to_dict("records") if not math.isnan(row["ratio"])]
    if not measured:
        return ""
    holds = sum(row["low"] >= CLAIM for row in measured)
    fails = sum(row["high"] < CLAIM for row in measured)
    best = max(measured, key=lambda row: float(row["ratio"]))
    return (
        f"A speed-up of {CLAIM:g} holds in {holds} of {len(measured)} comparisons (their 95 % intervals are above it), "
        f"and in {fails} it does not (they are below). The largest is {best['ratio']:.2f} "
        f"[{best['low']:.2f}, {best['high']:.2f}]: {best['variant']} at {setting_of(best).name}."
    )


def _gap(evidence: Evidence) -> str:
    """The distance of the best variant on CamVid's test split from the best network without pretraining; or nothing."""
    results = evidence.results
    if "quality" not in results.plan.stages or not results.plan.final or results.plan.data.name != "camvid":
        return ""
    name = f"{JUDGED}_mean"
    tested = [row for row in evidence.variants.to_dict("records") if not math.isnan(row[name])]
    if not tested:
        return ""
    best = max(tested, key=lambda row: float(row[name]))
    return (
        f"The best variant, {best['variant']}, has a test mIoU of {100 * best[name]:.1f} %: "
        f"{100 * (best[name] - FROM_SCRATCH):+.1f} points from the {100 * FROM_SCRATCH:.1f} % of FC-DenseNet103, which "
        "was trained from scratch."
    )


def _attention(groups: Sequence[Group]) -> Iterator[str]:
    """A table of the forms of position attention: times as shares of the plain form's, and its own milliseconds."""
    names = list(dict.fromkeys(name for group in groups for name in group["forms"] if name != "plain"))
    yield "## What does position attention cost, and in which form?"
    devices = ", ".join(sorted({str(group["device"]) for group in groups}))
    yield f"On {devices}; shares of the plain form's time and memory."
    rows = [["tokens", "precision", "pass", "plain", *names], ["---"] * (4 + len(names))]
    for group in groups:
        height, width = group["tokens"]
        shares = [_share(group, name) for name in names]
        rows.append(
            [f"{height}×{width}", group["precision"], group["pass"].replace("_", " and "), _plain(group), *shares]
        )
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(group: Group) -> str:
    plain = group["forms"]["plain"]
    if "seconds" not in plain:
        return NOTHING
    return f"{1e3 * statistics.median(plain['seconds']):.3f} ms, {plain['peak_bytes'] / 2**20:.0f} MiB"


def _share(group: Group, name: str) -> str:
    form, plain = group["forms"].get(name, {}), group["forms"]["plain"]
    if "seconds" not in form or "seconds" not in plain:
        return NOTHING
    return f"{time_ratio(group, name):.2f} × time, {form['peak_bytes'] / max(1, plain['peak_bytes']):.3f} × memory"


if __name__ == "__main__":
    sys.stdout.write(section(Path(sys.argv[1])))
