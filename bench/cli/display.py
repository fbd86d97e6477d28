"""The display of commands: a run is one live table on a terminal and plain lines elsewhere; tables have no rules."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from bench.cli.console import PlainConsole
from bench.protocol.text import plain
from bench.records.record import Record
from bench.run.outcomes.progress import Event
from bench.run.sharing.mirror import Mirror
from bench.run.tracking.tracking import Tracking
from bench.run.trial import Trial

PLAIN_EVERY_S = 30.0
"""The seconds between two progress lines of a trial, without a terminal."""


@dataclass
class Tally:
    """The state of a run: the trials that wait, run and have ended, and the time that they take.

    Attributes:
        trials: all trials that this run executes.
        slots: stage -> number of its trials that run at a time.
        clock: a monotonic clock, in seconds.
        running: key -> a running trial, its start on the clock, and its last event.
        walls: stage -> the number of its ended trials, and the seconds that they took.
        over: key -> the status with which a trial has ended. One that is tried again is open again.
        open: stage -> the number of its trials that have not ended.
        statuses: status -> the number of trials that have ended with it.
    """

    trials: Sequence[Trial]
    slots: Mapping[str, int]
    clock: Callable[[], float] = time.monotonic
    running: dict[str, tuple[Trial, float, Event | None]] = field(default_factory=dict)
    walls: dict[str, tuple[int, float]] = field(default_factory=dict)
    over: dict[str, str] = field(default_factory=dict)
    open: Counter[str] = field(init=False)
    statuses: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.open = Counter(trial.stage for trial in self.trials)

    def started(self, trial: Trial) -> None:
        self._reopen(trial)
        self.running[trial.key] = (trial, self.clock(), None)

    def progress(self, trial: Trial, event: Event) -> None:
        _, since, _ = self.running.get(trial.key, (trial, self.clock(), None))
        self.running[trial.key] = (trial, since, event)

    def finished(self, trial: Trial, record: Record) -> None:
        ran = self.running.pop(trial.key, None)
        self._reopen(trial)  # a trial may be told of twice
        self.over[trial.key] = record.status
        self.open[trial.stage] -= 1
        self.statuses[record.status] += 1
        if ran is not None:  # else another run has ended it
            count, total_s = self.walls.get(trial.stage, (0, 0.0))
            self.walls[trial.stage] = count + 1, total_s + self.clock() - ran[1]

    def taken(self, trial: Trial) -> None:
        """Another run has the trial, so that it waits here."""
        self.running.pop(trial.key, None)

    def left_s(self) -> float | None:
        """The seconds until the run is over; ``None`` while there is nothing to estimate a coming stage from."""
        total = 0.0
        for stage, count in self.open.items():
            if not count:
                continue
            typical = self._typical_s(stage)
            if typical is None:
                return None
            spent = sum(self.clock() - since for key, (t, since, _) in self.running.items() if t.stage == stage)
            total += max(0.0, typical * count - spent) / self.slots[stage]
        return total

    def trial_left_s(self, key: str) -> float | None:
        """The seconds until a running trial is over, estimated from its progress; ``None`` if not known."""
        _, since, event = self.running[key]
        whole = _whole_s(self.clock() - since, event)
        return None if whole is None else max(0.0, whole - (self.clock() - since))

    def summary(self) -> str:
        left = self.left_s()
        parts = [f"{len(self.over)}/{len(self.trials)} trials"]
        parts += [f"{count} {status}" for status, count in sorted(self.statuses.items()) if count]
        parts.append(f"{spell_s(left)} left" if left is not None else "time left not known yet")
        return " · ".join(parts)

    def _reopen(self, trial: Trial) -> None:
        """Count a trial that has ended as open again."""
        status = self.over.pop(trial.key, None)
        if status is not None:
            self.open[trial.stage] += 1
            self.statuses[status] -= 1

    def _typical_s(self, stage: str) -> float | None:
        if stage in self.walls:
            count, total_s = self.walls[stage]
            return total_s / count
        guesses = [
            whole
            for trial, since, event in self.running.values()
            if trial.stage == stage and (whole := _whole_s(self.clock() - since, event)) is not None
        ]
        return max(guesses) if guesses else None


class LiveTable:
    """A table of the running trials, redrawn in place. A trial that does not end as done leaves a line above it."""

    def __init__(self, tally: Tally, console: PlainConsole) -> None:
        self.tally, self.console = tally, console
        self.live = Live(console=console, get_renderable=self._draw, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()
        self.console.print(self.tally.summary())

    def started(self, trial: Trial) -> None:
        self.tally.started(trial)

    def progress(self, trial: Trial, event: Event) -> None:
        self.tally.progress(trial, event)

    def finished(self, trial: Trial, record: Record) -> None:
        self.tally.finished(trial, record)
        if record.status != "done":
            self.console.print(Text(_ending(trial, record), style="yellow"))

    def taken(self, trial: Trial, owner: str) -> None:
        self.tally.taken(trial)
        if owner:
            self.console.print(Text(_taken(trial, owner), style="dim"))

    def _draw(self) -> Group:
        numeric = ("seed", "iteration", "loss", "left")
        table = table_of("variant", "seed", "stage", "iteration", "loss", "left", numeric=numeric)
        for key, (trial, _, event) in self.tally.running.items():
            left = self.tally.trial_left_s(key)
            table.add_row(
                trial.variant,
                "" if trial.seed is None else str(trial.seed),
                f"{trial.stage}: {event.phase}" if event else trial.stage,
                f"{event.done}/{event.total}" if event else "starting",
                f"{event.loss:.3f}" if event and event.loss is not None else "",
                "" if left is None else spell_s(left),
            )
        return Group(table, Text(self.tally.summary(), style="dim"))


class PlainLines:
    """Plain lines: one when a trial starts, one when it ends, and one with its progress now and then."""

    def __init__(self, tally: Tally, console: PlainConsole) -> None:
        self.tally, self.console = tally, console
        self.said_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._say(self.tally.summary())

    def started(self, trial: Trial) -> None:
        self.tally.started(trial)
        self.said_at[trial.key] = self.tally.clock()
        self._say(f"start  {name_of(trial)}")

    def progress(self, trial: Trial, event: Event) -> None:
        self.tally.progress(trial, event)
        now = self.tally.clock()
        if now - self.said_at.get(trial.key, now) >= PLAIN_EVERY_S:
            self.said_at[trial.key] = now
            loss = "" if event.loss is None else f", loss {event.loss:.3f}"
            self._say(f"       {name_of(trial)}: {event.phase} {event.done}/{event.total}{loss}")

    def finished(self, trial: Trial, record: Record) -> None:
        self.tally.finished(trial, record)
        self._say(f"{_ending(trial, record)}  [{self.tally.summary()}]")

    def taken(self, trial: Trial, owner: str) -> None:
        self.tally.taken(trial)
        if owner:
            self._say(_taken(trial, owner))

    def _say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


class Together:
    """Several displays, each of which is told of everything."""

    def __init__(self, *displays: LiveTable | PlainLines | Tracking | Mirror) -> None:
        self.displays = displays

    def started(self, trial: Trial) -> None:
        for display in self.displays:
            display.started(trial)

    def progress(self, trial: Trial, event: Event) -> None:
        for display in self.displays:
            display.progress(trial, event)

    def finished(self, trial: Trial, record: Record) -> None:
        for display in self.displays:
            display.finished(trial, record)

    def taken(self, trial: Trial, owner: str) -> None:
        for display in self.displays:
            display.taken(trial, owner)


def display_for(tally: Tally, console: PlainConsole) -> LiveTable | PlainLines:
    """The display of a run: the live table on a terminal, plain lines elsewhere."""
    return LiveTable(tally, console) if console.is_terminal else PlainLines(tally, console)


@contextmanager
def progress_of(console: PlainConsole, verb: str) -> Iterator[Callable[[int, int], None]]:
    """Inside the block, show the progress of some work: as a bar on a terminal, elsewhere as a line every half minute.

    Args:
        console: the console.
        verb: the work in the past tense, such as ``decoded``, before the number that is done and that of all.
    """
    said_at = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > PLAIN_EVERY_S:
            said_at = time.monotonic()
            console.print(f"{verb} {done}/{total}")

    if not console.is_terminal:
        yield say
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def spell_s(seconds: float) -> str:
    """A duration in words, such as ``45 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _whole_s(spent: float, event: Event | None) -> float | None:
    """The seconds that a trial takes in all, estimated from its training; ``None`` before and after training."""
    if event is None or event.phase != "train" or event.done < max(1, event.total // 20):
        return None
    return spent * event.total / event.done


def name_of(trial: Trial) -> str:
    """A trial as people are told it, such as ``quality neck=on seed 0`` or ``speed neck=on at 512x512``."""
    setting = "" if trial.setting is None else f" at {trial.setting.name}"
    parts = f" in {trial.parts} parts" if trial.parts > 1 else ""
    return f"{trial.stage} {trial.variant}{setting}" + ("" if trial.seed is None else f" seed {trial.seed}") + parts


def _ending(trial: Trial, record: Record) -> str:
    wall = record.outcome.wall_s
    reason = record.outcome.reason
    return (
        f"{record.status:<6} {name_of(trial)}"
        + (f" ({spell_s(wall)})" if wall else "")
        + (f": {plain(reason)}" if reason else "")
    )


def _taken(trial: Trial, owner: str) -> str:
    return f"waits  {name_of(trial)}: another run has it ({owner})"


def table_of(*columns: str, numeric: Collection[str] = ()) -> Table:
    """A table without rules, whose ``numeric`` columns are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name in numeric else "left")
    return table
