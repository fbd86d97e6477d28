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
    keeper = FileKeeper(path, None, recipe.iterations, None if split is None else Curve(split, recipe, CPU))
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


def test_no_look_follows_the_last_iteration_since_the_result_is_of_that() -> None:
    curve = Curve(DATA.split("val"), RECIPE.having(iterations=3, validated_at=(0.1, 0.5, 0.9)), CPU)
    assert [done for done in (1, 2, 3) if curve.is_due(done)] == [1, 2]


def with_looks(folder: Path, split: str = "val", longer: str = "") -> Evidence:
    """Planted results with two looks, after which all variants but the baseline rise; ``longer`` had more iterations.

    Args:
        folder: the results folder.
        split: the split that trials report.
        longer: a variant.
    """
    baseline = stored.load(folder).baseline
    for record in read_all(folder / "records"):
        if isinstance(record.measured, MeasuredQuality) and record.status == "done":
            score = float(mean_iou(np.asarray(record.measured.confusion)))
            rise = 0.0 if record.trial.variant == baseline else 0.05 + 0.001 * (record.trial.seed or 0)
            curve = {"iteration": [1, 2], "miou": [score - 2 * rise, score - rise]}
            more = {"iterations": 2 * record.measured.iterations} if record.trial.variant == longer else {}
            content = {**record.measured.as_json(), "curve": curve, "split": split, **more}
            write(record.having(measured=content), folder / "records")
    return Evidence(stored.load(folder))


def still_improving(evidence: Evidence) -> list[str]:
    told = [sentence.text for finding in findings(evidence) for sentence in finding.sentences]
    return [text for text in told if text.startswith("Still improving")]


def test_variants_that_still_improve_at_the_end_are_a_finding(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = planted_results(tmp_path)
    baseline = stored.load(folder).baseline
    evidence = with_looks(folder)
    rising = [variant for variant, gain in evidence.late_gains.items() if gain.low > 0]
    assert rising
    assert baseline not in rising
    assert baseline in evidence.late_gains
    (figure,) = score_curves(evidence)
    assert len(figure.table) == 3 * len(evidence.late_gains)
    (text,) = still_improving(evidence)
    assert text.startswith("Still improving between iteration 2 and the end")
    assert evidence.labels[rising[0]] in text


def test_variants_of_another_length_of_training_have_a_finding_of_their_own(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = planted_results(tmp_path)
    *_, longer = stored.load(folder).variants
    evidence = with_looks(folder, longer=longer)
    end = max(measured.iterations for _, measured in evidence.results.done(MeasuredQuality))
    shared, own = still_improving(evidence)
    assert f"the end, {end // 2:,}: " in shared
    assert evidence.labels[longer] not in shared
    assert f"the end, {end:,}: {evidence.labels[longer]} (+" in own


def test_looks_at_the_validation_split_tell_nothing_about_the_end_of_a_test(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    evidence = with_looks(planted_results(tmp_path), split="test")
    assert evidence.late_gains == {}
    assert still_improving(evidence) == []
    (figure,) = score_curves(evidence)
    assert sorted(set(figure.table["Iteration"])) == [1, 2]


def test_results_without_looks_have_neither_curve_nor_finding(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    evidence = Evidence(stored.load(planted_results(tmp_path)))
    assert evidence.late_gains == {}
    assert score_curves(evidence) == []
    assert still_improving(evidence) == []
