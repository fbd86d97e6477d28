"""The plan of a study as people read it: its trials, what is left of them, and what that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from bench.cli.console import PlainConsole
from bench.cli.decoding import need_of, spell_need
from bench.cli.display import spell_s, table_of
from bench.cli.documents.plan import DiskNeed, PlanDocument, Time, TrialState
from bench.cli.trials.notices import print_aliases, print_excluded, print_faulty
from bench.cli.trials.rounds import in_words
from bench.data.decoded.shelf import Shelf
from bench.protocol.words import bytes_in_words, first_few, plural
from bench.run.schedule.schedule import Schedule

MOST_LISTED = 300
"""The most trials that a plan lists without --all; of a larger one, the first :data:`FIRST_LISTED`, and those that are
faulty or run again."""
FIRST_LISTED = 50
MOST_NAMED = 5
"""The most networks that a line about shared costs names."""


def most_told(schedule: Schedule, *, whole: bool) -> int | None:
    """The most trials that are listed though there is nothing to say about them; ``None`` for all."""
    return None if whole or len(schedule.trials) <= MOST_LISTED else FIRST_LISTED


def show(
    plan: PlanDocument, schedule: Schedule, shelf: Shelf | None, console: PlainConsole, *, whole: bool = False
) -> None:
    """Print a plan.

    Args:
        plan: the plan.
        schedule: the schedule that it is of.
        shelf: the shelf for decoded samples; ``None`` for none.
        console: the console.
        whole: ``True`` to list every trial, however many there are.
    """
    _print_trials(plan, schedule, console, whole=whole)
    print_excluded(schedule.study, console)
    print_aliases(schedule.study, console)
    for line in _lines(plan):
        console.print(line, soft_wrap=True)
    print_faulty(schedule.faulty.values(), console)
    if plan.time is not None:
        console.print(_spell_time(plan.time), soft_wrap=True)
    if plan.disk is not None:
        console.print(_spell_disk(plan.disk), soft_wrap=True)
    if shelf is not None and (need := need_of(schedule, shelf, schedule.pending())).samples:
        console.print(spell_need(need, shelf), soft_wrap=True)


def _print_trials(plan: PlanDocument, schedule: Schedule, console: PlainConsole, *, whole: bool) -> None:
    listed = plan.trials
    if (most := most_told(schedule, whole=whole)) is not None:
        rest = (state for state in listed[most:] if state.again or state.fault or state.goes_on_after is not None)
        listed = [*listed[:most], *islice(rest, MOST_LISTED - most)]
    again = any(state.again for state in listed)
    table = table_of("stage", "variant", "seed", "outcome", "key", *(["runs again, because"] if again else []))
    for state in listed:
        seed = "" if state.seed is None else str(state.seed)
        reason = [state.again.text if state.again else ""] if again else []
        table.add_row(state.stage, _variant(state), seed, state.outcome, state.key, *reason)
    console.print(table)
    if left_out := len(schedule.trials) - len(listed):
        outcomes = Counter(zip((trial.stage for trial in schedule.trials), schedule.outcomes(), strict=True))
        counts = ", ".join(f"{count:,} {stage} {outcome}" for (stage, outcome), count in outcomes.items())
        console.print(f"and {left_out:,} more trials (--all lists them); of all: {counts}.", soft_wrap=True)


def _variant(state: TrialState) -> str:
    return state.variant if state.setting is None else f"{state.variant} at {state.setting}"


def _lines(plan: PlanDocument) -> Iterator[str]:
    yield from plan.tuning
    if plan.kept:
        variants = ", ".join(dict.fromkeys(row.variant for row in plan.kept))
        count = plural(len(plan.kept), "trial")
        yield f"{count} of earlier runs stay in the report, though not planned now: {variants}."
    if stale := sum(unused.records for unused in plan.unused):
        yield f"{stale} records belong to no planned cell. They are kept, and left out of the report."
        yield from (f"  {plural(unused.records, 'record')}: {unused.reason}" for unused in plan.unused)
    if plan.notes:
        yield "It is not certain which code runs here, so the keys include all code that may run:"
        yield from (f"  {note}" for note in plan.notes)
    if plan.rounds is not None:
        yield in_words(plan.rounds)
    if plan.same_cost:
        shared = [f"{variant} for {', '.join(others)}" for variant, others in plan.same_cost.items()]
        yield f"The same networks, whose cost is measured once: {first_few(shared, MOST_NAMED, '; ')}."
    yield f"{plan.done} of {plan.done + plan.left} trials done, {plan.left} to run."
    if plan.not_built:
        yield f"Not built to look for faults: {plan.not_built} of {plan.cells} networks; bench check builds all."
    if again := sum(state.again is not None for state in plan.trials):
        yield f"Of these, {again} were run before and run again."
    for state in plan.trials:
        if state.goes_on_after is not None:
            after = f"after iteration {state.goes_on_after}, " if state.goes_on_after else ""
            seed = "" if state.seed is None else f" seed {state.seed}"
            yield f"{state.stage} {_variant(state)}{seed} goes on {after}from its kept state."


def _spell_time(time: Time) -> str:
    if time.device_s is None or time.here_s is None:
        return f"The time cannot be estimated, {time.problem}."
    between = "" if time.low_s is None or time.high_s is None else f" ({_hours(time.low_s)} to {_hours(time.high_s)})"
    basis = "from records" if time.basis == "records" else "rough, from some training steps"
    return (
        f"About {_hours(time.device_s)} device-hours{between} of trials one after the other, "
        f"{spell_s(time.here_s)} on this machine ({basis})."
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2g}" if seconds < 360_000 else f"{seconds / 3600:,.0f}"


def _spell_disk(disk: DiskNeed) -> str:
    kinds = {"records": disk.records + disk.counts, "weights": disk.weights, "pictures": disk.pictures}
    parts = ", ".join(f"{name} {bytes_in_words(size)}" for name, size in kinds.items() if size)
    kept = bytes_in_words(sum(kinds.values()))
    states = f"; states of trainings take {bytes_in_words(disk.states)} at most meanwhile" if disk.states else ""
    return f"Their files will take about {kept} ({parts}){states}. run --no-weights and --no-pictures keep less."
