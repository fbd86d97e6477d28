"""Tunings that prune: an arm is compared with itself alone, nothing is left to chance, and no setting runs twice."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.network.model import SegModel
from bench.records.plan.tuned import Best
from bench.records.record import Record, read_all, write
from bench.run import environment
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.keeping.curve import Curve
from bench.run.keeping.state import FileKeeper
from bench.run.outcomes.outcome import PrunedError
from bench.run.search import tuning as tuning_module
from bench.run.search.arm import ArmSearch, Scored
from bench.run.search.pruning import FEWEST_RIVALS, LOOKS, Looks, is_worse, looks_of
from bench.run.search.rounds import FIRST_ROUND
from bench.run.search.storage import JOURNAL, opened
from bench.run.search.tuning import Tuning, refuse_unshared_settings, seed_of, tune
from bench.run.trial import Trial, make_record, run
from bench.study.cells import Cell
from bench.study.source import Source, load
from bench.study.tuning.arms import arms_of
from bench.study.tuning.ranges import LogRange, Settings
from bench.training.loop import train
from bench.training.parallel.group import SharingError
from tests.run.schedule.test_schedule import MEASURED
from tests.training.test_loop import CPU, DATA, PLAIN, RECIPE

BUDGET, ITERATIONS = 20, 8
MACHINE = Machine("cpu", 1)


@pytest.fixture
def planted(tunable: Source, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The study with eight iterations, and keys made of names: to read a trial's code takes a tenth of a second."""

    def key_of(
        cell: Cell, stage: str, seed: int, *other: object, processes: int = 1, **more: object
    ) -> SimpleNamespace:
        recipe = {name: value for name, value in cell.recipe.describe().items() if name != "validated_at"}
        told = repr((cell.variant.describe(), recipe, stage, seed, processes))
        return SimpleNamespace(text=f"v2{hashlib.sha256(told.encode()).hexdigest()[:16]}")

    monkeypatch.setattr(tuning_module, "key_of", key_of)
    edit(tunable, {"iterations=1,": f"iterations={ITERATIONS},", "LogRange(1e-3, 0.1)": "LogRange(1e-4, 1.0)"})
    return tunable


def edit(source: Source, changes: Mapping[str, str]) -> None:
    """Replace texts in the file of a study."""
    text = Path(source.path).read_text()
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    Path(source.path).write_text(text)


def a_tuning(source: Source, folder: Path, *, arms: Sequence[str] = (), tested: int = 1, **changes: Any) -> Tuning:
    study = load(source).study
    chosen = [arm for arm in arms_of(study) if not arms or arm.name in arms]
    folder.mkdir(exist_ok=True)
    return replace(Tuning(source, chosen, BUDGET, 4, tested, seed_of(study), folder, LOOKS), **changes)


def done_by(tuning: Tuning, ran: Callable[[Sequence[Trial]], None]) -> list[Best]:
    return tune(tuning, load(tuning.source).study, opened(tuning.folder), ran, lambda line: None)


def quality(trial: Trial) -> float:
    """A planted mIoU, with its optimum at a learning rate of 0.01. Every value of the arm off is below all of on."""
    assert trial.source.tried is not None
    rate = float(dict(trial.source.tried.settings)["learning_rate"])
    return (0.6 if trial.variant == "neck=on" else 0.0) + 0.3 * math.exp(-((math.log10(rate) + 2) ** 2))


def curve_of(trial: Trial) -> dict[int, float]:
    """The planted mIoU after a quarter, half and three quarters of the iterations."""
    return {round(share * ITERATIONS): quality(trial) * (0.4 + share) / 1.4 for share in LOOKS}


@dataclass
class Planted:
    """Ends trials with planted scores, pruned where the rivals say so; ``stop_after`` trials it is interrupted."""

    folder: Path
    ran: list[Trial]
    stop_after: int | None = None

    def __call__(self, trials: Sequence[Trial]) -> None:
        for number, trial in enumerate(trials):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.ran.append(trial)
            write(self.record(trial), self.folder / "records")

    def record(self, trial: Trial) -> Record:
        points: dict[int, float] = {}
        rivals = [dict(rival) for rival in trial.rivals]
        recipe = load(trial.source).study.recipe
        for iteration, value in curve_of(trial).items():
            points[iteration] = value
            curve = {"iteration": list(points), "miou": list(points.values())}
            if rivals and is_worse(looks_of(points, recipe), rivals):
                outcome = {"status": "pruned", "reason": "planted", "traceback": None, "looks": curve}
                return make_record(trial, MACHINE, outcome)
        right = round(1000 * quality(trial))
        confusion = [[right, 1000 - right], [0, 0]]
        measured = {**MEASURED["quality"], "classes": ["road", "sky"], "confusion": confusion, "iterations": ITERATIONS}
        outcome = {"status": "done", "reason": None, "traceback": None}
        looked = {"curve": curve} if recipe.validated_at else {}
        return make_record(trial, MACHINE, outcome, measured={**measured, **looked})


def tried(tuning: Tuning, name: str) -> list[Scored]:
    """The settings that were tried for an arm, in their order."""
    study = load(tuning.source).study
    arm = next(arm for arm in tuning.arms if arm.name == name)
    return tuning_module._search(
        tuning, arm, study, tuning_module.default_settings(study), opened(tuning.folder)
    ).scored


def test_one_arm_is_pruned_by_its_own_settings_alone_and_the_budget_that_it_took_is_known(
    planted: Source, tmp_path: Path
) -> None:
    both, alone = a_tuning(planted, tmp_path / "both"), a_tuning(planted, tmp_path / "alone", arms=["neck=off"])
    ran: list[Trial] = []
    best = {arm.levels["neck"]: arm for arm in done_by(both, Planted(both.folder, ran))}
    done_by(alone, Planted(alone.folder, []))
    off, on = tried(both, "neck=off"), tried(both, "neck=on")
    assert off == tried(alone, "neck=off"), "the arm beside it changes nothing, though all of its scores are better"
    assert max(each.score or 0 for each in off) < min(each.score for each in on if each.score is not None)
    assert len({trial.key for trial in ran}) == len(ran) == 2 * BUDGET, "no settings are tried twice"
    assert [best[level].trials for level in ("off", "on")] == [BUDGET, BUDGET], "each arm has as many settings"
    for level, scored in (("off", off), ("on", on)):
        assert not any(each.pruned for each in scored[:FIRST_ROUND]), "there is nothing to compare them with"
        later = scored[FIRST_ROUND:]
        assert {each.pruned for each in later} == {True, False}
        records = [record for record in read_all(both.folder / "records") if record.trial.variant == f"neck={level}"]
        pruned = [record for record in records if record.status == "pruned"]
        assert best[level].pruned == len(pruned) == sum(each.pruned for each in later) > 0
        took = [int(record.outcome.looks.iteration[-1]) for record in pruned if record.outcome.looks]
        assert best[level].iterations == sum(took) + ITERATIONS * (BUDGET - len(pruned)) < ITERATIONS * BUDGET
        settings = [each.settings for each in scored if not each.pruned]
        assert best[level].settings in settings
        assert best[level].miou == max(each.score for each in scored if each.score is not None)
    check_that_those_below_the_median_were_pruned(ran, both.folder)


def check_that_those_below_the_median_were_pruned(trials: Sequence[Trial], folder: Path) -> None:
    """Check, with medians by hand, that each trial ended at its first look below the arm's earlier ones, or never."""
    records = {record.planned_key: record for record in read_all(folder / "records")}
    for trial in trials:
        rivals, record = [dict(rival) for rival in trial.rivals], records[trial.key]
        values = list(curve_of(trial).values())
        below = [number for number, value in enumerate(values, 1) if rivals and value < middle(rivals, number)]
        assert (record.status == "pruned") == bool(below), "those at the median or above are trained to the end"
        assert record.is_final == (record.status == "done"), "what a search prunes is no result elsewhere"
        if below:
            assert record.outcome.looks is not None
            assert record.outcome.looks.miou == values[: below[0]]
        assert all((max(rival.values()) < 0.3) == (trial.variant == "neck=off") for rival in rivals), "of its own arm"


def middle(rivals: Sequence[Looks], number: int) -> float:
    """The median of the rivals at a look, by hand."""
    values = sorted(rival[number] for rival in rivals)
    half, odd = divmod(len(values), 2)
    return values[half] if odd else (values[half - 1] + values[half]) / 2


def test_a_pruning_tuning_that_is_stopped_again_and_again_ends_as_an_undisturbed_one(
    planted: Source, tmp_path: Path
) -> None:
    whole, often = (a_tuning(planted, tmp_path / name, arms=["neck=on"]) for name in ("whole", "often"))
    expected = done_by(whole, Planted(whole.folder, []))
    ran: list[Trial] = []
    best = None
    while best is None:
        try:
            best = done_by(often, Planted(often.folder, ran, stop_after=3))
        except KeyboardInterrupt:
            continue
    assert best == expected
    assert len(ran) == len({trial.key for trial in ran}) == BUDGET, "no pruned setting ran again"
    assert tried(often, "neck=on") == tried(whole, "neck=on")
    assert done_by(often, Planted(often.folder, ran)) == best
    assert len(ran) == BUDGET, "nothing is left to run"


def test_a_search_that_was_killed_while_it_noted_pruned_settings_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = pruned_search(tmp_path)
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    for count in range(2, len(lines), 17):
        (tmp_path / JOURNAL).write_bytes(b"".join(lines[:count]))
        assert pruned_search(tmp_path) == whole, f"killed after {count} lines"


def pruned_search(folder: Path) -> list[Scored]:
    """A whole search with planted scores, in which settings that a look shows as worse are pruned."""
    search = ArmSearch("arm", {"rate": LogRange(1e-4, 1.0)}, {"rate": 0.5}, 16, 0, opened(folder))
    while asked := search.ask():
        rivals = search.rivals
        for settings in asked:
            score = -abs(math.log10(float(settings["rate"])) + 2)
            is_pruned = is_worse({1: score}, rivals)
            search.tell(settings, None if is_pruned else score, looks={1: score}, pruned=is_pruned, iterations=1)
    assert any(scored.pruned for scored in search.scored)
    assert search.best is not None
    assert not search.best.pruned
    return search.scored


def test_pruned_settings_are_not_trained_for_the_other_parts_of_the_training_images(
    planted: Source, tmp_path: Path
) -> None:
    tuning = a_tuning(planted, tmp_path / "crossed", arms=["neck=off"], tested=2)
    folds: dict[Settings, list[int]] = {}

    def ran(trials: Sequence[Trial]) -> None:
        assert len({trial.source.tried.fold for trial in trials if trial.source.tried}) == 1, (
            "the first part comes first"
        )
        for trial in trials:
            assert trial.source.tried is not None
            folds.setdefault(trial.source.tried.settings, []).append(trial.source.tried.fold)  # type: ignore[call-overload]  # pairs can be hashed, a mapping could not
        Planted(tuning.folder, [])(trials)

    (best,) = done_by(tuning, ran)
    counts = [len(of_settings) for of_settings in folds.values()]
    assert counts.count(1) == best.pruned > 0
    assert counts.count(2) == BUDGET - best.pruned


def test_what_another_search_pruned_is_run_if_this_one_would_not_prune_it(planted: Source, tmp_path: Path) -> None:
    tuning = a_tuning(planted, tmp_path / "tuning")
    arm = tuning.arms[0]
    high, low = [[{1: value, 2: value, 3: value}] * FEWEST_RIVALS for value in (0.9, 0.001)]
    planned = tuning.planned(arm, {"learning_rate": 0.01}, high)
    record = Planted(tuning.folder, []).record(planned.trials[0])
    assert record.status == "pruned"
    recorded = {record.key: record}
    assert planned.left(recorded) == []
    for others in (tuning.planned(arm, {"learning_rate": 0.01}, low), tuning.planned(arm, {"learning_rate": 0.01})):
        assert others.trials[0].key == record.key
        assert others.left(recorded) == others.trials


def test_a_training_that_is_not_pruned_has_the_key_and_the_bits_of_one_that_nothing_looks_at(
    tunable: Source, tmp_path: Path
) -> None:
    edit(tunable, {"iterations=1,": "iterations=4,"})
    usual, looked = a_tuning(tunable, tmp_path / "usual", looks=()), a_tuning(tunable, tmp_path / "looked")
    arm, settings = usual.arms[1], {"learning_rate": 0.02}
    worse, better = [[{1: 0.0, 2: value, 3: value}] * FEWEST_RIVALS for value in (0.0, 1.0)]
    handling = Handling(pictures=False)
    plain = run(usual.planned(arm, settings).trials[0], usual.folder, MACHINE, handling=handling)
    whole = run(looked.planned(arm, settings, worse).trials[0], looked.folder, MACHINE, handling=handling)
    assert (plain.status, whole.status, whole.key) == ("done", "done", plain.key)
    one, other = (record.measured.as_json() for record in (plain, whole))
    assert list(other.pop("curve")["iteration"]) == [1, 2, 3]
    assert {**one, "train_s": 0} == {**other, "train_s": 0}, "weights, losses and counts are the same"
    keeping = replace(handling, checkpoint_s=0.0)
    pruned = run(looked.planned(arm, settings, better).trials[0], looked.folder, MACHINE, handling=keeping)
    assert (pruned.status, pruned.key, pruned.outcome.phase) == ("pruned", plain.key, "train at 2/4")
    assert pruned.outcome.reason is not None
    assert "pruned after iteration 2 of 4: its mIoU of" in pruned.outcome.reason
    assert "is below 100.00 %, the median of the 5 settings of its arm" in pruned.outcome.reason
    assert pruned.outcome.looks is not None
    assert pruned.outcome.looks.miou == whole.measured.as_json()["curve"]["miou"][:2]
    assert read_all(looked.folder / "records") == [pruned], "the record can be read"
    assert not list((looked.folder / "checkpoints").iterdir()), "no state is left of it"


def test_a_training_that_was_interrupted_between_two_looks_is_pruned_by_both(tmp_path: Path) -> None:
    undisturbed, _ = pruned_in(tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        pruned_in(tmp_path / "interrupted", stop_at=2)
    end, resumed_after = pruned_in(tmp_path / "interrupted")
    assert resumed_after == [1]
    assert list(undisturbed.looks) == [1, 3]
    assert (end.looks, str(end)) == (undisturbed.looks, str(undisturbed))


def pruned_in(state: Path, stop_at: int | None = None) -> tuple[PrunedError, list[int]]:
    """How a training of six iterations ended that its second look prunes, and after which iterations it went on."""

    def interrupt(done: int, total: int, loss: float) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    recipe, model = RECIPE.having(validated_at=(0.2, 0.5, 0.8)), SegModel(PLAIN, len(DATA.classes), seed=0)
    rivals = [{1: 0.0, 2: 1.0, 3: 1.0}] * FEWEST_RIVALS
    keeper = FileKeeper(state, 0.0, recipe.iterations, Curve(DATA.split("val"), recipe, CPU), rivals)
    with pytest.raises(PrunedError) as raised:
        train(model, DATA.split("train"), recipe, 0, device=CPU, progress=interrupt, keeper=keeper)
    return raised.value, keeper.resumed_after


@pytest.mark.parametrize(
    ("looks", "rivals", "worse"),
    [
        ({1: 0.29}, [{1: value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)], True),
        ({1: 0.3}, [{1: value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)], False),
        ({1: 0.35, 2: 0.1}, [{1: 0.3, 2: 0.3}] * 5, False),  # its best look counts, so one bad look is forgiven
        ({1: 0.0}, [{1: 0.5}] * (FEWEST_RIVALS - 1), False),
        ({2: 0.0}, [{1: 0.5}] * 9, False),  # the rivals were not looked at then
        ({1: 0.0}, [], False),
    ],
)
def test_a_training_is_worse_below_the_median_of_at_least_five(
    looks: Looks, rivals: Sequence[Looks], worse: bool
) -> None:
    assert is_worse(looks, rivals) == worse


def test_processes_that_train_together_are_those_of_every_trial_of_a_tuning(planted: Source, tmp_path: Path) -> None:
    study = load(planted).study
    one, two = (a_tuning(planted, tmp_path / str(count), processes=count) for count in (1, 2))
    plain, shared = (tuning.planned(tuning.arms[0], {"learning_rate": 0.01}).trials[0] for tuning in (one, two))
    assert (plain.processes, shared.processes) == (1, 2)
    assert plain.key != shared.key
    refuse_unshared_settings(study, 2)
    with pytest.raises(SharingError, match="3 processes cannot share a batch of"):
        refuse_unshared_settings(study, 3)


def test_the_command_tune_refuses_processes_that_cannot_share_a_batch_in_one_line(
    tunable: Source, bench: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "cpu_count", lambda: 4)
    edit(tunable, {"batch=4": "batch=5"})
    status, _, errors = bench("tune", tunable.path, "--budget", "2", "--gpus", "0", "--processes", "2")
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "2 processes cannot share a batch of 5 evenly" in errors
