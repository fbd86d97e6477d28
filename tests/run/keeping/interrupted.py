"""Trains one trial over and over, killing its process at random moments, and prints what it found as JSON.

    python interrupted.py RESULTS STUDY KILLS SEED

The processes are forked from one that has imported everything and never trains. They take turns in the number of
threads that make batches beside the training: none, one, three.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import bench.run.trial
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.outcomes.progress import Event
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.trial import Trial, run
from bench.study.source import Source, load


def main(results: Path, study: str, kills: int, seed: int) -> None:
    """Kill a trial a number of times, then let it end."""
    schedule = make_schedule(load(Source(study)), results, here())
    trial, draw, seen = schedule.trials[0], random.Random(seed), results / "seen"
    last = []
    workers = itertools.cycle((0, 1, 3))
    for _ in range(kills):
        seen.write_text("0")
        child = started(trial, schedule.folder, seen, next(workers))
        noted: set[str] = set()
        while len(noted) < 3:  # nothing yet, and two iterations: the state after the first of them is kept
            noted.add(seen.read_text())
            time.sleep(0.001)
            if os.waitpid(child, os.WNOHANG)[0]:
                raise SystemExit("the trial ended before it could be killed")
        time.sleep(draw.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        last.append(int(seen.read_text()))
    os.waitpid(started(trial, schedule.folder, seen, next(workers)), 0)
    found = {"last": last, "left": [path.name for path in schedule.folder.glob("checkpoints/*")]}
    sys.stdout.write(json.dumps(found))


def started(trial: Trial, folder: Path, seen: Path, workers: int) -> int:
    """The id of a new process that runs a trial with so many threads for its batches, and notes each iteration."""

    def note(event: Event) -> None:
        if event.phase == "train":
            new = seen.with_suffix(".new")
            new.write_text(str(event.done))
            new.replace(seen)

    child = os.fork()
    if child == 0:
        bench.run.trial.workers_of = lambda machine: workers
        run(trial, folder, Machine("cpu", 1), tell=note, handling=Handling(checkpoint_s=1e-9))
        os._exit(0)
    return child


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
