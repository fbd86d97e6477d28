"""The time that a run takes for a trial besides its work, against bare Ray Tune, and the memory of the driver.

Both sides run the same trials on reused workers of the same cluster of this machine. A trial is identified, logged and
recorded, with the counts of each image; in place of a training and an evaluation,
:mod:`benchmarks.overhead_process` gives numbers that it has. ``bench run`` also claims each trial, gives it a process
that is watched and searched for traces, and tells a display of it. Bare Tune calls the function that runs a trial, and
nothing else. A third side says what Tune takes for a trial that does nothing at all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from ray import tune

from bench.cli.console import PlainConsole
from bench.cli.display import PlainLines, Tally
from bench.records.record import Record
from bench.run import execute as execution
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.processes import worker
from bench.run.processes.cluster import cluster
from bench.run.processes.process import trial_of
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial, run
from bench.study.source import Source, load
from benchmarks.overhead_process import leave_out_work
from benchmarks.side_by_side import close, say

TRIALS = 1000
LIMIT = 1.2
"""The most that a trial may take, as a multiple of the same trial through bare Tune."""
AIM_MS = 60.0
HANDLING = Handling(pictures=False, weights=False)
STARTED = 0.1
"""The share of the trials in which processes start and import; they are left out of all numbers."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STUDY = '''
"""Two variants of a small network on 4 images."""

from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.study.factors import Factor, change
from bench.study.study import Study

STUDY = Study(
    name="trivial",
    question="What does a trial take besides its work?",
    base=Variant(part(ResNet, depth=18, width=8), part(FCNHead, width=8), losses=(part(SegmentationLoss),)),
    factors=(Factor("head", {{"small": change(), "smaller": change(head=part(FCNHead, width=4))}}),),
    baseline={{"head": "small"}},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=32, train_images=4, val_images=4, test_images=4),
        crop_px=(32, 32), iterations=1, batch=4, learning_rate=0.01,
    ),
    seeds=tuple(range({seeds})),
    stages=("quality",),
)
'''


def main(arguments: Sequence[str]) -> int:
    """A trial's time besides its work, against that of bare Ray Tune with reused actors, and the driver's memory."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- overhead", description=main.__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="trials of each side (default: %(default)s)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side is not None:
        sys.stdout.write(json.dumps([astuple(moment) for moment in SIDES[options.side](options.trials)]) + "\n")
        return 0
    half = options.trials // 2
    empty, first, ours, second = (
        _apart(side, count) for side, count in (("empty", half), ("bare", half), ("ours", 2 * half), ("bare", half))
    )
    mine, least = 1000 * _seconds_a_trial(ours), 1000 * _seconds_a_trial(empty)
    bare = 1000 * (_seconds_a_trial(first) + _seconds_a_trial(second)) / 2
    say(f"bare Tune takes {least:.1f} ms for a trial that does nothing at all")
    what = (
        f"a trial of {2 * half}; other: bare Tune, half before and half after; wanted: ≤ {LIMIT:g}, {AIM_MS:g} ms; ms"
    )
    close("overhead", f"{mine:.1f}", f"{bare:.1f}", f"{mine / bare:.3f}", what)
    start, end = (ours[place].rss_bytes / 1e6 for place in (int(STARTED * len(ours)), -1))
    what = f"after {2 * half} trials; other: after a tenth of them; the driver's memory, MB"
    close("overhead_memory", f"{end:.0f}", f"{start:.0f}", f"{end / start:.3f}", what)
    grown, of_empty = (_growth_kb(side) for side in (ours, empty))
    what = "growth of the driver's memory with a trial; other: bare Tune's that does nothing, kB"
    close("overhead_growth", f"{grown:.1f}", f"{of_empty:.1f}", f"{grown / of_empty:.3f}", what)
    return 0


@dataclass(frozen=True)
class Moment:
    """The moment at which a trial was over.

    Attributes:
        at_s: on a clock of its process.
        rss_bytes: the memory of the driver's process.
    """

    at_s: float
    rss_bytes: int

    @classmethod
    def now(cls) -> Moment:
        return cls(time.monotonic(), int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES)


def _apart(side: str, trials: int) -> list[Moment]:
    """The ends of the trials of a side, which has a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "overhead", "--side", side, "--trials", str(trials)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [Moment(*moment) for moment in json.loads(done.stdout.splitlines()[-1])]


def _seconds_a_trial(moments: Sequence[Moment]) -> float:
    steady = moments[int(len(moments) * STARTED) :]
    return (steady[-1].at_s - steady[0].at_s) / (len(steady) - 1)


def _growth_kb(moments: Sequence[Moment]) -> float:
    """The slope of the memory over the trials, in kB a trial."""
    steady = [moment.rss_bytes for moment in moments[int(len(moments) * STARTED) :]]
    return float(np.polyfit(np.arange(len(steady)), steady, 1)[0]) / 1000


class Ends(tune.Callback):
    """The moments at which the trials of a Tune run were over."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as an empty callback, as Tune pickles callbacks now and then."""
        return tune.Callback, ()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.moments.append(Moment.now())


def _empty(trials: int) -> list[Moment]:
    return _by_tune(_nothing, {"trial": tune.grid_search(list(range(trials)))})


def _bare(trials: int) -> list[Moment]:
    with tempfile.TemporaryDirectory() as name:
        schedule = _schedule(Path(name), trials)
        given = {
            "trial": tune.grid_search([asdict(trial) for trial in schedule.trials]),
            "folder": str(schedule.folder),
            "machine": asdict(schedule.resources.machine("quality")),
        }
        return _by_tune(_one_trial, given)


def _by_tune(work: Callable[[Mapping[str, Any]], None], given: Mapping[str, Any]) -> list[Moment]:
    ends = Ends()
    with cluster(here(cpus=1, gpus=0)) as scratch:
        tune.Tuner(
            tune.with_resources(work, {"cpu": 1.0}),
            param_space=dict(given),
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(name="bare", storage_path=str(scratch / "tune"), verbose=0, callbacks=[ends]),
        ).fit()
    return ends.moments


def _nothing(config: Mapping[str, Any]) -> None:
    tune.report({"trial": config["trial"]})


def _one_trial(config: Mapping[str, Any]) -> None:
    leave_out_work()
    record = run(trial_of(config["trial"]), Path(config["folder"]), Machine(**config["machine"]), handling=HANDLING)
    tune.report({"status": record.status})


def _ours(trials: int) -> list[Moment]:
    moments: list[Moment] = []

    class Lines(PlainLines):
        def finished(self, trial: Trial, record: Record) -> None:
            assert record.status == "done", record.outcome.reason
            super().finished(trial, record)
            moments.append(Moment.now())

    with tempfile.TemporaryDirectory() as name, open(os.devnull, "w", encoding="utf-8") as nowhere:
        schedule = _schedule(Path(name), trials)
        tally = Tally(schedule.trials, {"quality": schedule.resources.at_a_time("quality")})
        with patch.object(execution, "work", _work), Lines(tally, PlainConsole(file=nowhere)) as display:
            execution.execute(schedule.trials, schedule.folder, schedule.resources, display, HANDLING)
    return moments


def _schedule(folder: Path, trials: int) -> Schedule:
    (folder / "trivial.py").write_text(STUDY.format(seeds=trials // 2), encoding="utf-8")
    schedule = make_schedule(load(Source(str(folder / "trivial.py"))), folder, here(cpus=1, gpus=0))
    (schedule.folder / "records").mkdir(parents=True)
    return schedule


def _work(config: Mapping[str, Any]) -> None:
    """The work of a trial on a worker, whose trials have another process."""
    with patch.object(worker, "PROCESS", "benchmarks.overhead_process"):
        worker.work(config)


SIDES = {"empty": _empty, "bare": _bare, "ours": _ours}
