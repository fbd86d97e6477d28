"""Looks at a network while it trains: they are right, and the training does not change by them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.base import Split
from bench.evidence.evidence import Evidence
from bench.measure.quality.evaluate import evaluate
from bench.network.model import SegModel, Variant
from bench.parts import ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.protocol.scores import mean_iou
from bench.records import results as stored
from bench.records.quality import MeasuredQuality
from bench.records.record import read_all, write
from bench.report.figures.curves import score_curves
from bench.report.page.findings import findings
from bench.run.keeping.curve import Curve
from bench.run.keeping.state import FileKeeper
from bench.training.loop import History, train
from tests.training.test_keeper import Remembering
from tests.training.test_loop import CPU, DATA, PLAIN, RECIPE

REMEMBERING = replace(PLAIN, head=part(Remembering))


def trained(variant: Variant, recipe: Recipe, path: Path, split: Split | None) -> tuple[SegModel, History, FileKeeper]:
    random.seed(3)
    np.random.seed(3)
    model = SegModel(variant, len(DATA.classes), seed=0)
    keeper = FileKeeper(path, None, None if split is None else Curve(split, recipe, CPU))
    return model, train(model, DATA.split("train"), recipe, 0, device=CPU, keeper=keeper), keeper


@pytest.mark.parametrize("variant", [PLAIN, REMEMBERING])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_training_with_looks_ends_with_the_same_bits(variant: Variant, average: float, tmp_path: Path) -> None:
    recipe = RECIPE.having(validated_at=(0.2, 0.5), ema_decay=average)
    model, history, _ = trained(variant, recipe, tmp_path / "s", None)
    again, looked, keeper = trained(variant, recipe, tmp_path / "s", DATA.split("val"))
    assert looked.loss == history.loss
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert keeper.curve is not None
    assert list(keeper.curve.points) == [1, 3]


def test_a_look_is_the_score_of_a_training_that_ends_there(tmp_path: Path) -> None:
    recipe = RECIPE.having(validated_at=(0.5,), schedule="constant")
    *_, keeper = trained(PLAIN, recipe, tmp_path / "s", DATA.split("val"))
    half, *_ = trained(PLAIN, recipe.having(iterations=3), tmp_path / "s", None)
    confusion = evaluate(half, DATA.split("val"), recipe, device=CPU).per_image["confusion"].sum(0)
    assert keeper.facts()["curve"] == {"iteration": [3], "miou": [pytest.approx(float(mean_iou(confusion)), abs=1e-12)]}


@pytest.mark.parametrize("shares", [(0.0,), (1.0,), (0.5, 0.2), (0.5, 0.5)])
def test_shares_that_are_no_looks_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ChoiceError, match="validated_at"):
        RECIPE.having(validated_at=shares)


def test_variants_that_still_improve_at_the_end_are_a_finding(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = planted_results(tmp_path)
    baseline = stored.load(folder).baseline
    for record in read_all(folder / "records"):
        if isinstance(record.measured, MeasuredQuality) and record.status == "done":
            score = float(mean_iou(np.asarray(record.measured.confusion)))
            rise = 0.0 if record.trial.variant == baseline else 0.05 + 0.001 * (record.trial.seed or 0)
            curve = {"iteration": [1], "miou": [score - rise]}
            write(record.having(measured={**record.measured.as_json(), "curve": curve}), folder / "records")
    evidence = Evidence(stored.load(folder))
    rising = [variant for variant, gain in evidence.late_gains.items() if gain.low > 0]
    assert rising
    assert baseline not in rising
    assert baseline in evidence.late_gains
    (figure,) = score_curves(evidence)
    assert len(figure.table) == 2 * len(evidence.late_gains)
    told = [sentence.text for finding in findings(evidence) for sentence in finding.sentences]
    (text,) = (text for text in told if text.startswith("Still improving between iteration 1 and the end"))
    assert evidence.labels[rising[0]] in text


def test_results_without_looks_have_neither_curve_nor_finding(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    evidence = Evidence(stored.load(planted_results(tmp_path)))
    assert evidence.late_gains == {}
    assert score_curves(evidence) == []
    assert not any("Still improving" in line.text for finding in findings(evidence) for line in finding.sentences)
