"""The images on which two variants differ most, with predictions, errors and boundaries over them.

It is made from the records and from the pictures that trials kept; without such pictures there is no gallery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import plural, verdict
from bench.records.results import Results
from bench.report.gallery import layers
from bench.report.gallery.entries import Entry, Pool, Shown, entries
from bench.report.gallery.layers import CLASS_COLOURS, LIGHT_NEUTRAL, NEUTRAL
from bench.report.gallery.ranking import Ranked, rank, sides

MOST_PAIRS = 4
MOST_BYTES = 3_800_000
"""The most bytes of all pictures together, as the page holds them, so that the whole gallery stays under 4 MB."""
HATCHED = f"repeating-linear-gradient(135deg, {NEUTRAL} 0 3px, {LIGHT_NEUTRAL} 3px 6px)"
CSV = ("variant", "baseline", "image", "chosen", "seed", "miou", "miou_baseline", "delta", "mean_delta", "seeds")
"""The columns of the gallery's table. All scores are fractions; ``delta`` is the difference in the seed that is shown,
``mean_delta`` its mean over the seeds."""


@dataclass(frozen=True)
class ComparedPair:
    """A variant and the baseline, with the images that show how they differ.

    Attributes:
        effect: the difference over the whole split and its verdict, in words.
        chosen: the sentence that says how the images were chosen, and out of how many.
    """

    variant: str
    baseline: str
    effect: str
    chosen: str
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Gallery:
    """The pictures, colours and notes that the page shows.

    Attributes:
        pictures: name of a picture -> its data URI; a picture that several entries show is stored once.
        classes: the name of each class and of void, with its colour as a CSS background.
        errors: the name and colour of each kind of error.
        boundaries: the name and colour of each kind of boundary.
        note: a sentence that says how the pictures were made.
        table: the table with a row for each entry and the columns :data:`CSV`.
    """

    pairs: Sequence[ComparedPair]
    pictures: Mapping[str, str]
    classes: Sequence[tuple[str, str]]
    errors: Sequence[tuple[str, str]]
    boundaries: Sequence[tuple[str, str]]
    note: str
    table: pd.DataFrame


def pictures(folder: Path, evidence: Evidence) -> Gallery | None:
    """The gallery of a results folder; ``None`` if no variant kept predictions of the same images as the baseline.

    Raises:
        RecordError: for artifacts that cannot be read.
    """
    pairs, rows, pool = [], [], Pool()
    results = evidence.results
    compared = _compared(folder, evidence)
    for done, (effect, shown) in enumerate(compared):
        pool.limit_bytes = pool.used_bytes + (MOST_BYTES - pool.used_bytes) // (len(compared) - done)
        chosen = entries(shown, pool)
        if chosen:
            pairs.append(_pair(effect, shown, chosen))
            rows += [(_csv_row(effect, results, shown, entry), entry.stride) for entry in chosen]
    if not pairs:
        return None
    names = results.plan.data.classes
    return Gallery(
        pairs=pairs,
        pictures=pool.uris,
        classes=[*zip(names, CLASS_COLOURS, strict=False), ("void, not scored", HATCHED)],
        errors=list(zip(("wrong on this side alone", "wrong on both"), layers.ERROR_COLOURS[1:], strict=True)),
        boundaries=[
            ("boundary of the label", layers.LABEL_COLOUR),
            ("boundary of the prediction", layers.PREDICTION_COLOUR),
        ],
        note=_note({stride for _, stride in rows}),
        table=pd.DataFrame([row for row, _ in rows], columns=list(CSV)),
    )


def _compared(folder: Path, evidence: Evidence) -> Sequence[tuple[Mapping[Any, Any], Shown]]:
    """The rows of effects whose variants have pictures, resolved ones first, then by the size of the difference."""
    results, effects = evidence.results, evidence.effects
    if "quality" not in results.plan.stages:
        return []
    judged = effects[(effects["kind"] == "variant") & (effects["n"] >= 1)].to_dict("records")
    judged.sort(key=lambda row: (row["verdict"] not in ("better", "worse"), -abs(row["delta"])))
    trials, names = sides(folder, evidence), evidence.labels
    of_baseline, classes = trials.get(results.baseline, {}), len(results.plan.data.classes)
    shown_effects = []
    for row in judged:
        of_variant = trials.get(str(row["variant"]), {})
        ranked = rank(of_variant, of_baseline)
        if ranked is not None:
            shown_effects.append(
                (dict(row), Shown(ranked, names[str(row["variant"])], names[results.baseline], classes))
            )
    return shown_effects[:MOST_PAIRS]


def _pair(effect: Mapping[Any, Any], shown: Shown, chosen: Sequence[Entry]) -> ComparedPair:
    """A variant and the baseline with the texts about them."""
    bounds = column(JUDGED).interval(effect["low"], effect["high"])
    delta = f"{column(JUDGED).signed(effect['delta'])} {column(JUDGED).difference_unit}"
    over = f"{delta} {bounds}".strip() + f" (n={effect['n']}): {verdict(effect)}"
    return ComparedPair(
        shown.variant,
        shown.baseline,
        f"Over the whole split: {over}.",
        _chosen(shown.ranked, chosen),
        chosen,
    )


def _chosen(ranked: Ranked, chosen: Sequence[Entry]) -> str:
    mean, middle = ranked.mean_delta[ranked.order()], ranked.middle()
    better, worse = int((mean > 0).sum()), int((mean < 0).sum())
    extremes = sum(entry.kind != "median" for entry in chosen)
    median = "" if middle is None else column(JUDGED).signed(float(ranked.mean_delta[middle]))
    text = (
        f"{plural(extremes, 'image')} of {mean.size}, chosen because the two differ most there: extremes, not typical. "
        f"The mIoU of single images is higher on {better}, lower on {worse} and the same on "
        f"{mean.size - better - worse}; the median image changes by {median} {column(JUDGED).difference_unit}"
    )
    return f"{text} and is shown last." if extremes < len(chosen) else f"{text}."


def _csv_row(effect: Mapping[Any, Any], results: Results, shown: Shown, entry: Entry) -> tuple[Any, ...]:
    numbers = (entry.miou, entry.miou_baseline, entry.delta, entry.mean_delta, len(shown.ranked.seeds))
    return (str(effect["variant"]), results.baseline, entry.image, entry.kind, entry.seed, *numbers)


def _note(strides: set[int]) -> str:
    """The sentence that says how the pictures were made, from the strides of the images that are shown."""
    most = max(strides)
    thinned = f" Pictures show one pixel of up to {most}×{most}; scores count every pixel." if most > 1 else ""
    return (
        "The mIoU of one image leaves out classes that are in neither its label nor its prediction, so a small object "
        "can move it a lot; its mean over images is not the split’s mIoU. No boundary is drawn towards void."
        f"{thinned} The images are the data set’s: its licence goes with this page."
    )
