"""A trial that is interrupted goes on where it was: killed at any moment, it ends as one that was never disturbed."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bench.cli.console import console_for_people
from bench.cli.trials.listing import show
from bench.cli.trials.planning import plan_of
from bench.records.quality import MeasuredQuality
from bench.records.record import Record, read_all
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.keeping.place import kept_after, state_path
from bench.run.outcomes.progress import Event
from bench.run.processes.stopping import Stopped
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.schedule import Schedule
from bench.run.store import Files
from bench.run.trial import Trial, run
from bench.study.source import Source, load

MACHINE = Machine("cpu", 1)
EVERY_ITERATION = Handling(checkpoint_s=1e-9)
STUDY = """
from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    "long",
    question="Does a training go on?",
    base=Variant(
        part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead, width=8), losses=(part(SegmentationLoss),)
    ),
    factors=(Factor("head", {"narrow": change(), "wide": change(head=part(FCNHead, width=16))}),),
    baseline={"head": "narrow"},
    seeds=(0,),
    stages=("quality",),
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=32, train_images=8, val_images=4),
        crop_px=(32, 32), iterations=40, batch=4, accumulate=2, ema_decay=0.9,
    ),
)
"""


class StoppedError(Exception):
    pass


@pytest.fixture
def schedule(tiny_study: Callable[..., Path], tmp_path: Path) -> Schedule:
    return make_schedule(load(Source(str(tiny_study(iterations="6")))), tmp_path / "results", here())


def quality(schedule: Schedule) -> Trial:
    return next(trial for trial in schedule.trials if trial.stage == "quality")


def stop_at(iteration: int) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if (event.phase, event.done) == ("train", iteration):
            raise StoppedError

    return tell


def measured(record: Record) -> MeasuredQuality:
    assert record.status == "done", record.outcome
    assert isinstance(record.measured, MeasuredQuality)
    return record.measured


def states(schedule: Schedule) -> list[Path]:
    return sorted(schedule.folder.glob("checkpoints/*"))


def test_sigterm_lets_an_iteration_end_and_keeps_its_state(schedule: Schedule) -> None:
    trial, handler = quality(schedule), signal.getsignal(signal.SIGTERM)

    def tell(event: Event) -> None:
        if (event.phase, event.done) == ("train", 4):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped, match="SIGTERM"):
        run(trial, schedule.folder, MACHINE, tell=tell)  # with the usual five minutes between two states
    (record,) = read_all(schedule.folder / "records")
    assert record.status == "interrupted"
    assert kept_after(state_path(schedule.folder, trial.key)) == 4
    assert signal.getsignal(signal.SIGTERM) is handler
    resumed = measured(run(trial, schedule.folder, MACHINE))
    assert resumed.resumed_after == [4]
    assert states(schedule) == []


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C is heeded, which a shell makes the tests ignore that it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_a_network_is_tested_costs_no_training(schedule: Schedule, stop: signal.Signals) -> None:
    trial = quality(schedule)
    undisturbed = measured(run(trial, schedule.folder, MACHINE, handling=Handling(checkpoint_s=None)))
    (schedule.folder / "records").rename(schedule.folder / "earlier")
    iterations: list[int] = []

    def tell(event: Event) -> None:
        if event.phase == "train":
            iterations.append(event.done)
        elif event.done == 2:
            signal.raise_signal(stop)

    with pytest.raises((Stopped, KeyboardInterrupt)):
        run(trial, schedule.folder, MACHINE, tell=tell)  # with the usual five minutes between two states
    (record,) = read_all(schedule.folder / "records")
    assert record.status == "interrupted"
    assert kept_after(state_path(schedule.folder, trial.key)) == 6
    with pytest.raises((Stopped, KeyboardInterrupt)):
        run(trial, schedule.folder, MACHINE, tell=tell)
    assert kept_after(state_path(schedule.folder, trial.key)) == 6, "a second stop keeps it too"
    resumed = measured(run(trial, schedule.folder, MACHINE, tell=lambda event: tell(event) if event.done < 2 else None))
    assert iterations == [1, 2, 3, 4, 5, 6], "nothing was trained twice"
    assert resumed.resumed_after == [6]
    assert (resumed.confusion, resumed.history) == (undisturbed.confusion, undisturbed.history)
    assert resumed.weights_digest == undisturbed.weights_digest
    assert states(schedule) == []


def test_sigterm_while_a_trial_is_stored_waits_until_that_is_done(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Files.write

    def write(files: Files, folder: Path) -> None:
        signal.raise_signal(signal.SIGTERM)
        store(files, folder)

    monkeypatch.setattr(Files, "write", write)
    with pytest.raises(Stopped, match="SIGTERM"):
        run(quality(schedule), schedule.folder, MACHINE)
    (record,) = read_all(schedule.folder / "records")
    assert measured(record).resumed_after == []
    assert states(schedule) == []


def test_sigterm_while_a_network_is_tested_stops_at_once_and_replaces_no_earlier_record(schedule: Schedule) -> None:
    trial = quality(schedule)
    before = run(trial, schedule.folder, MACHINE)

    def tell(event: Event) -> None:
        if event.phase != "train":
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped, match="SIGTERM"):
        run(trial, schedule.folder, MACHINE, tell=tell)
    assert read_all(schedule.folder / "records") == [before]


def test_a_trial_that_is_killed_at_five_moments_ends_with_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(STUDY)
    whole = make_schedule(load(Source(str(tmp_path / "long.py"))), tmp_path / "whole", here())
    undisturbed = measured(run(whole.trials[0], whole.folder, MACHINE))
    script = Path(__file__).with_name("interrupted.py")
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "killed"), str(tmp_path / "long.py"), "5", "0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left"] == [], "the state of a trial that is done is removed"
    (record,) = read_all(tmp_path / "killed" / "long" / "records")
    resumed = measured(record)
    assert len(resumed.resumed_after) == 5
    # The state after an iteration is kept once its loss is told, so one iteration may be lost.
    assert all(kept >= seen - 1 for kept, seen in zip(resumed.resumed_after, told["last"], strict=True))
    assert resumed.history == undisturbed.history
    assert resumed.confusion == undisturbed.confusion
    ours, other = (
        safetensors.torch.load_file(folder / file)
        for folder, file in ((whole.folder, undisturbed.weights), (tmp_path / "killed" / "long", resumed.weights))
    )
    assert ours.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in ours.items())


def test_a_trial_that_fails_or_runs_out_of_time_keeps_its_state_and_goes_on(schedule: Schedule) -> None:
    trial = quality(schedule)
    record = run(trial, schedule.folder, MACHINE, tell=stop_at(4), handling=EVERY_ITERATION)
    assert record.status == "failed"
    assert [path.name for path in states(schedule)] == [f"{trial.key}.state"]
    again = measured(run(trial, schedule.folder, MACHINE, handling=EVERY_ITERATION))
    assert again.resumed_after == [3]
    assert states(schedule) == []
    assert not (schedule.folder / "checkpoints" / f"{trial.key}.state").exists()


def test_the_plan_tells_which_trainings_go_on_and_after_which_iteration(
    schedule: Schedule, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = quality(schedule)
    run(trial, schedule.folder, MACHINE, tell=stop_at(4), handling=EVERY_ITERATION)
    show(plan_of(schedule), schedule, None, console_for_people())
    assert "quality neck=off seed 0 goes on after iteration 3, from its kept state." in capsys.readouterr().out
    state_path(schedule.folder, trial.key).write_bytes(b"bench training state 1\n")
    assert kept_after(state_path(schedule.folder, trial.key)) is None
    show(plan_of(schedule), schedule, None, console_for_people())
    assert "goes on" not in capsys.readouterr().out


def test_a_damaged_state_is_told_and_the_training_begins_anew(
    schedule: Schedule, caplog: pytest.LogCaptureFixture
) -> None:
    trial = quality(schedule)
    whole = measured(run(trial, schedule.folder, MACHINE, handling=Handling(checkpoint_s=None)))
    assert whole.resumed_after == []
    for damage in (lambda content: content[: len(content) // 2], lambda content: content[:-9] + b"123456789", bytes):
        run(trial, schedule.folder, MACHINE, tell=stop_at(3), handling=EVERY_ITERATION)
        (state,) = states(schedule)
        state.write_bytes(damage(state.read_bytes()) if damage is not bytes else b"")
        with caplog.at_level(logging.WARNING):
            again = measured(run(trial, schedule.folder, MACHINE, handling=EVERY_ITERATION))
        assert f"{state.name} is damaged, or of another version: the training begins anew" in caplog.text
        assert (again.resumed_after, again.confusion) == ([], whole.confusion)
        caplog.clear()


def test_states_that_are_not_wanted_are_neither_written_nor_read(schedule: Schedule) -> None:
    trial, never = quality(schedule), Handling(checkpoint_s=None)
    run(trial, schedule.folder, MACHINE, tell=stop_at(3), handling=EVERY_ITERATION)
    (state,) = states(schedule)
    before = state.stat().st_mtime_ns
    assert run(trial, schedule.folder, MACHINE, tell=stop_at(5), handling=never).status == "failed"
    assert state.stat().st_mtime_ns == before
    assert measured(run(trial, schedule.folder, MACHINE, handling=never)).resumed_after == []


def test_a_state_that_cannot_be_written_is_told_and_costs_nothing(
    schedule: Schedule, caplog: pytest.LogCaptureFixture
) -> None:
    (schedule.folder).mkdir(parents=True)
    (schedule.folder / "checkpoints").write_text("a file where a folder belongs")
    with caplog.at_level(logging.WARNING):
        assert measured(run(quality(schedule), schedule.folder, MACHINE, handling=EVERY_ITERATION)).resumed_after == []
    assert "the state after iteration 1 is not kept" in caplog.text
