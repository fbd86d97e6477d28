"""Accuracy against cost: the front of the means, and which places on it seeds settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.evidence.evidence import evidence_of
from bench.evidence.variants import MAYBE_OFF, MAYBE_ON, OFF, ON, places
from bench.report.figures import accuracy
from bench.report.figures.accuracy import accuracy_against

Plant = Callable[..., Path]
A, C = "attention=off, upsampling=dilated", "attention=on, upsampling=dilated"


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_the_front_is_of_means_and_a_place_is_certain_only_if_seeds_settle_it() -> None:
    costs = {"cheap": 1.0, "near": 2.0, "good": 3.0, "bad": 4.0, "close": 4.0}
    scores = {
        "cheap": seeds(0.600, 0.620, 0.610),
        "near": seeds(0.605, 0.612, 0.618),
        "good": seeds(0.650, 0.671, 0.659),
        "bad": seeds(0.550, 0.575, 0.558),
        "close": seeds(0.640, 0.665, 0.662),
    }
    assert places(costs, scores) == {"cheap": ON, "near": MAYBE_ON, "good": ON, "bad": OFF, "close": MAYBE_OFF}


@pytest.mark.parametrize(
    ("costs", "means", "wanted"),
    [
        ((1, 1), (0.6, 0.5), (True, False)),
        ((1, 2), (0.6, 0.6), (True, False)),
        ((1, 1), (0.6, 0.6), (True, True)),
        ((1, 2), (0.5, 0.6), (True, True)),
    ],
)
def test_what_is_equalled_at_a_lower_cost_or_beaten_at_the_same_is_not_on_the_front(
    costs: Sequence[float], means: Sequence[float], wanted: Sequence[bool]
) -> None:
    place_of = places(
        dict(zip("ab", costs, strict=True)), {name: seeds(mean) for name, mean in zip("ab", means, strict=True)}
    )
    assert tuple(place_of[name] in (ON, MAYBE_ON) for name in "ab") == tuple(wanted)


def test_one_seed_settles_no_place_but_the_cheapest() -> None:
    assert places({"a": 1, "b": 2}, {"a": seeds(0.5), "b": seeds(0.6)}) == {"a": ON, "b": MAYBE_ON}


def test_marks_have_the_interval_over_seeds_and_the_quartiles_of_the_latency(
    tmp_path: Path, planted_results: Plant
) -> None:
    figure = accuracy_against(evidence_of(planted_results(tmp_path)), "latency_s")
    mean = next(trace for trace in figure.figure.data if trace.name == "baseline" and len(trace.x) == 1)
    # Student-t of 60, 62 and 61 %: 4.302653 · 1 / √3; samples of 19.6, 20 and 20.6 ms.
    assert mean.error_y.array[0] == pytest.approx(2.48414, abs=1e-3)
    assert (mean.error_x.arrayminus[0], mean.error_x.array[0]) == pytest.approx((0.2, 0.3))
    row = figure.table[figure.table["Seed"] == "mean of 3"].iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((58.516, 63.484), abs=1e-2)
    assert row["Pareto front"] == ON


def test_the_caption_names_the_places_that_seeds_do_not_settle(tmp_path: Path, planted_results: Plant) -> None:
    figure = accuracy_against(evidence_of(planted_results(tmp_path)), "macs")
    assert "front of the means" in figure.caption
    assert (
        "each pair for itself; costs count as exact): upsampling=jpu, attention=on + upsampling=jpu." in figure.caption
    )
    (front,) = [trace for trace in figure.figure.data if trace.name == "Pareto front"]
    assert list(front.x) == [1.0, 2.0, 3.0], "what adds upsampling to attention costs more and has less"


def test_more_seeds_than_can_be_told_apart_are_in_the_file_alone(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "MOST_DOTS", 11)
    figure = accuracy_against(evidence_of(planted_results(tmp_path)), "macs")
    assert figure.figure.layout.meta["marks"] == len(figure.table) == 4
    assert figure.data is not None
    assert len(figure.data) == 4 * (3 + 1)
    assert "in the file alone" in figure.caption
