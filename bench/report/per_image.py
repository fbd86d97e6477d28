"""mIoU of each image against the baseline's, from the confusion matrices that quality trials leave under ``artifacts``.

The unit is the image, *given these trained networks*: an interval says how the difference varies between images, and
nothing about networks trained from other seeds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bench import signed_ranks, stats
from bench.image_scores import read_image_scores
from bench.records import Results
from bench.report.words import labels
from bench.store import Record

COLUMNS = ("variant", "label", "images", "n", "planned", "better", "worse", "median", "shift", "low", "high")
"""Of :func:`comparisons`: ``n`` seeds in common, shares of images, and differences of mIoU as fractions."""
SAME = 1e-12
"""A smaller difference is rounding of a mean over seeds."""


def comparisons(results: Results) -> pd.DataFrame:
    """One row a variant whose images can be paired with the baseline's: differences averaged over the common seeds.

    ``shift`` is their Hodges–Lehmann centre, with the interval that inverts Wilcoxon's signed-rank test.

    Raises:
        RecordError: for an artifact that cannot be read.
    """
    files, names, planned = artifacts(results), labels(results), results.planned("quality")
    base = {seed: _mean_iou(path, results) for seed, path in files.get(results.baseline, {}).items()}
    rows = []
    for variant in planned:
        common = [seed for seed in files.get(variant, {}) if seed in base]
        if variant == results.baseline or not common:
            continue
        each = [_mean_iou(files[variant][seed], results) - base[seed] for seed in common]
        mean = pd.concat(each, axis="columns").mean(axis="columns", skipna=False).dropna().to_numpy()
        found = signed_ranks.shift_interval(mean)
        rows.append(
            {
                "variant": variant, "label": names[variant], "images": len(mean), "n": len(common),
                "planned": min(planned[variant], planned[results.baseline]),
                "better": _share(mean > SAME), "worse": _share(mean < -SAME),
                "median": float(np.median(mean)) if len(mean) else stats.NAN,
                "shift": found.shift, "low": found.low, "high": found.high,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def absent(results: Results) -> str:
    """Why no image can be compared; empty if some can."""
    files = artifacts(results)
    if not files:
        return "no confusion matrix of an image is here: they lie under artifacts/ of the results folder"
    if results.baseline not in files:
        return "the baseline's confusion matrices of images are not here"
    if not any(set(files[results.baseline]) & set(own) for name, own in files.items() if name != results.baseline):
        return "no variant has images of a seed that the baseline has too"
    return ""


def artifacts(results: Results) -> dict[str, dict[int, Path]]:
    """Variant -> seed -> the file of its images' counts, of the quality trials whose file is there."""
    found: dict[str, dict[int, Path]] = {}
    for record in results.records:
        path = _file(record, results.folder)
        if path is not None and path.is_file():
            found.setdefault(str(record.trial["variant"]), {})[int(record.trial["seed"])] = path
    return found


def _file(record: Record, folder: Path | None) -> Path | None:
    named = record.measured.get("artifact") if record.trial["stage"] == "quality" else None
    return None if folder is None or named is None else folder / str(named)


def _mean_iou(path: Path, results: Results) -> pd.Series[float]:
    """mIoU of every image by its name; NaN if all is void."""
    scores = read_image_scores(path, len(results.plan["data"]["classes"]))
    return pd.Series(scores.miou, index=scores.names)


def _share(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(mask.mean()) if mask.size else stats.NAN
