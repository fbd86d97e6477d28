"""The report of 10,000 generated records: a factorial of five factors, 312 seeds, 19 classes, histories of 100 points.

Quality records hold boundaries at four tolerances, bands, crops and calibration as real ones do, and the plan holds the
facts that the audit compares.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.evidence.evidence import evidence_of
from bench.records.files import with_digest
from bench.records.record import VERSION
from bench.report.page.methods import methods
from bench.report.page.page import files, write_report
from bench.report.tables import catalogue
from benchmarks.side_by_side import close

FACTORS = {name: ["off", "on"] for name in ("attention", "gate", "jpu", "auxiliary", "pretrained")}
SEEDS = 312
"""The number of seeds, which gives 312 x 32 quality records and 32 cost records: 10,016 in all."""
CLASSES = tuple(f"class {index}" for index in range(19))
POINTS = 100
TOLERANCES_PX = (3, 5, 9, 12)
BINS = 15
"""The number of bins of confidence."""
PIXELS = 60_000
"""The number of labelled pixels of each class."""
EFFECT = 0.004
"""The effect of a factor on the share of correct pixels, which is as large as the spread over seeds."""
LIMIT_S, PAGE_LIMIT_S, PAGE_LIMIT_MB = 5.0, 15.0, 15.0
MB = 10**6


def report() -> None:
    """Frame and all tables of 10,016 records, the page from their files, and its size; limits are 5 s, 15 s, 15 MB.

    ``ours`` is the measurement, ``other`` the limit.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "planted"
        count = plant(folder)
        start = time.perf_counter()
        evidence = evidence_of(folder)
        loaded = time.perf_counter()
        evidence.results.frame()
        framed = time.perf_counter()
        files(catalogue.all_tables(evidence).values(), methods(evidence))
        tabled = time.perf_counter()
        del evidence  # ``bench report`` never holds two sets of evidence
        start_of_page = time.perf_counter()
        page = write_report(folder)
        written = time.perf_counter()
        size = page.stat().st_size / MB
    parts = f"frame {framed - loaded:.2f} s, tables {tabled - framed:.2f} s"
    of = f"of {count} records, limit ÷ ours"
    _line("report_tables", tabled - loaded, LIMIT_S, f"{parts}; reading them took {loaded - start:.2f} s; {of}, s")
    _line("report_page", written - start_of_page, PAGE_LIMIT_S, f"index.html from the files {of}, s")
    _line("report_size", size, PAGE_LIMIT_MB, f"index.html {of}, MB")


def plant(folder: Path) -> int:
    """Write ``study.json`` and records whose mIoU grows with every factor that is on, and return their number."""
    generator = np.random.default_rng(0)
    (folder / "records").mkdir(parents=True)
    cells: list[dict[str, Any]] = []
    for index, combination in enumerate(itertools.product(*FACTORS.values())):
        levels = dict(zip(FACTORS, combination, strict=True))
        variant = ", ".join(f"{factor}={level}" for factor, level in levels.items())
        for cell in _cells(index, {"variant": variant, "levels": levels, "excluded": None}):
            cells.append(cell)
            on = combination.count("on")
            measured = _quality(generator, on) if cell["stage"] == "quality" else _cost(generator, on)
            (folder / "records" / f"{cell['key']}.planted0.json").write_text(with_digest(_record(cell, measured)))
    (folder / "study.json").write_text(json.dumps(_plan(cells)))
    return len(cells)


def _cells(index: int, shared: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for seed in range(SEEDS):
        yield {"key": f"q{index:02}s{seed:03}", "stage": "quality", "seed": seed, **shared}
    yield {"key": f"c{index:02}", "stage": "cost", "seed": None, **shared}


def _plan(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": 2, "name": "planted", "question": "What do ten thousand records take?", "factors": FACTORS,
        "baseline": cells[0]["variant"], "baseline_levels": cells[0]["levels"], "seeds": list(range(SEEDS)),
        "stages": ["quality", "cost"], "recipe": {"iterations": 1000}, "final": False, "size": None,
        "data": {"name": "planted", "classes": list(CLASSES), "fingerprint": "0" * 16},
        "created": {"commit": "c0ffee", "dirty": False}, "command": "python -m benchmarks report", "trials": cells,
        "audit": _audit({cell["variant"]: cell["levels"] for cell in cells}),
    }  # fmt: skip


def _audit(variants: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The facts of an audit in which each factor changes its own slot, and the gate also adds an undeclared loss."""
    about = {factor: [f"slot {factor}"] for factor in FACTORS}
    facts = {}
    for variant, levels in variants.items():
        slots = {
            f"slot {factor}": {
                "class": f"bench.{factor}", "choices": {"on": level == "on"},
                "parameters": 10**6, "trainable": 10**6, "macs": 10**9 * (1 + (level == "on")),
            }
            for factor, level in levels.items()
        }  # fmt: skip
        losses = [{"class": "bench.Loss", "choices": {}}] * (1 + (levels["gate"] == "on"))
        more: dict[str, Any] = {"recipe": {}, "learning_rates": {"head": 0.01}, "conventions": {}}
        facts[variant] = {"levels": levels, "slots": slots, "losses": losses, **more}
    return {"about": about, "touched": about, "input_px": [512, 512], "variants": facts}


def _record(cell: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    environment = {
        "commit": "c0ffee", "dirty": False, "study_commit": "c0ffee", "bench": {"numpy": "2.4.6", "ray": "2.60.0"},
        "python": "3.11.7", "torch": "2.13.0", "cuda": None, "cudnn": None, "driver": None, "device": "planted",
        "hardware": "planted, 1 threads", "threads": 1, "host": "planted0",
    }  # fmt: skip
    return {
        "key": cell["key"], "choices": {}, "environment": environment, "measured": measured, "version": VERSION,
        "trial": {key: cell[key] for key in ("variant", "levels", "stage", "seed")} | {"study": "planted"},
        "outcome": {"status": "done", "reason": None, "traceback": None, "wall_s": 1.0},
    }  # fmt: skip


def _quality(generator: np.random.Generator, on: int) -> dict[str, Any]:
    count = len(CLASSES)
    right = (PIXELS * generator.normal(0.7 + EFFECT * on, EFFECT, count)).astype(int)
    others = (1 - np.eye(count)) / (count - 1)
    confusion = np.array([generator.multinomial(PIXELS - right[label], others[label]) for label in range(count)])
    np.fill_diagonal(confusion, right)
    steps = np.arange(10, 10 * POINTS + 1, 10)
    loss = 2.5 * np.exp(-steps / 400) + generator.normal(0.5, 0.05, POINTS)
    history = {"iteration": steps.tolist(), "loss": loss.tolist(), "lr": [0.01] * POINTS}
    return {
        "classes": list(CLASSES), "split": "val", "confusion": confusion.tolist(), "images": 500, "iterations": 1000,
        "train_s": 60.0, "history": history, **_near_boundaries(generator, confusion),
    }  # fmt: skip


def _near_boundaries(generator: np.random.Generator, confusion: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The boundary counts by tolerance and class, the counts in bands and crops, and the calibration counts."""
    count, half = len(CLASSES), (confusion // 2).tolist()

    def counts(rows: int) -> list[list[int]]:
        return [generator.integers(50, 99, count).tolist() for _ in range(rows)]

    def scores(images: float) -> dict[str, list[list[float]]]:
        return {
            name: [(images * generator.uniform(0.6, 0.9, count)).tolist() for _ in TOLERANCES_PX]
            for name in ("precision", "recall", "f")
        }

    boundary = {
        "tolerance_px": list(TOLERANCES_PX), "prediction": [100] * count, "label": [100] * count,
        "matched_prediction": counts(len(TOLERANCES_PX)), "matched_label": counts(len(TOLERANCES_PX)),
        "sum_over_images": scores(500), "sum_over_images_with_class": scores(300), "images_with_class": [300] * count,
    }  # fmt: skip
    near = {"share_of_diagonal": 0.02, "intersection": [3] * count, "prediction": [4] * count, "label": [5] * count}
    pixels = generator.multinomial(confusion.sum(), np.full(BINS, 1 / BINS))
    correct = generator.multivariate_hypergeometric(pixels, np.trace(confusion))
    return {
        "boundary": boundary,
        "boundary_iou": near,
        "trimap": {"radius_px": [3, 9], "confusion": [half, half]},
        "distance_crop": {"excluded_px": [200], "centre": [0.5, 0.5], "confusion": [half]},
        "calibration": {
            "pixels": pixels.tolist(), "correct": correct.tolist(), "confidence": (pixels * 0.6).tolist(),
        },
    }  # fmt: skip


def _cost(generator: np.random.Generator, on: int) -> dict[str, Any]:
    return {
        "input_px": [512, 512], "batch": 1, "memory_kind": "planted", "isolated": True,
        "parameters": {"backbone": 11_000_000, "head": 10**6 * (on + 1)},
        "macs": {"backbone": 10**10, "head": 10**9 * (on + 1)}, "macs_by_operator": {}, "uncounted_operators": {},
        "latency_s": generator.normal(0.05 + 0.01 * on, 0.001, 100).tolist(), "peak_bytes": 2**20 * (200 + 20 * on),
        "output_shape": [1, len(CLASSES), 512, 512],
    }  # fmt: skip


def _line(name: str, ours: float, limit: float, what: str) -> None:
    close(name, f"{ours:.2f}", f"{limit:.0f}", f"{limit / ours:.2f}", what)
