"""The work of ``--until-resolved``: seeds that are added round by round, by rules that are fixed before the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.documents.document import Document, Give
from bench.cli.documents.rounds import RoundsState
from bench.cli.documents.trials import RunDocument
from bench.protocol.columns import JUDGED
from bench.protocol.words import joined, plural
from bench.records.files import RecordError
from bench.records.plan.plan import labels_of, read_plan
from bench.records.plan.rounds import Rounds
from bench.records.results import Results
from bench.run.schedule.making import schedule_of
from bench.run.schedule.plan import plan_of
from bench.run.schedule.schedule import Schedule
from bench.run.sharing.shares import Share
from bench.run.trial import Trial
from bench.study.factors import StudyError
from bench.study.source import load

if TYPE_CHECKING:  # statistics take a third of a second to import, and commands without rounds need none
    from bench.evidence.contrasts import Contrast
    from bench.evidence.sequential.progress import Progress


@dataclass(frozen=True)
class InRounds:
    """A study whose seeds are added in rounds.

    Attributes:
        rounds: the rounds.
        whole: the schedule with all seeds up to the maximum.
    """

    rounds: Rounds
    whole: Schedule

    def progress(self) -> Progress:
        """How far the rounds have come, by the records in the folder."""
        from bench.evidence.effects import by_seed, rounds_so_far

        plan = plan_of(self.whole, "")
        keys = {trial.key for trial in self.whole.trials}
        results = Results(plan, [record for record in self.whole.records() if record.planned_key in keys])
        compared = _contrasts(results)
        return rounds_so_far(results, compared, by_seed(compared, results.scores(JUDGED)))

    def due(self, progress: Progress) -> Schedule:
        """The schedule with the seeds up to the round that is due."""
        places = {seed: place for place, seed in enumerate(self.rounds.seeds)}
        trials = [
            trial
            for trial in self.whole.trials
            if trial.seed is None or places[trial.seed] < progress.seeds.get(trial.variant, 0)
        ]
        return _with_networks_of(self.whole, replace(self.whole, trials=tuple(trials)))

    def state(self, progress: Progress) -> RoundsState:
        """How far the rounds have come, as documents tell it."""
        return RoundsState(
            over=progress.over,
            ended=progress.ended,
            seeds=max(progress.seeds.values(), default=0),
            most=self.rounds.looks[-1],
            effect=self.rounds.effect,
            comparisons=dict(Counter(comparison.stand for comparison in progress.following.comparisons)),
        )


def asked(schedule: Schedule, until_resolved: bool, most: int | None, share: Share | None = None) -> InRounds | None:
    """The rounds that the options ask for; ``None`` for fixed seeds.

    Raises:
        StudyError: as :func:`in_rounds` does, for options that do not go together, and for fixed seeds in a folder
            whose seeds are added in rounds, as p-values there count on them.
    """
    if not until_resolved:
        if most is not None:
            raise StudyError("--seeds-at-most goes with --until-resolved alone")
        if rounds_in(schedule.folder) is not None:
            raise StudyError(
                f"{schedule.folder} adds seeds in rounds: give --until-resolved, or another folder with --results"
            )
        return None
    if share is not None:
        raise StudyError("--until-resolved waits for all trials of a round, so it takes no --shard")
    return in_rounds(schedule, most)


def in_rounds(schedule: Schedule, most: int | None) -> InRounds:
    """The rounds of a study, those that its results folder holds or new ones. Nothing is written.

    Args:
        schedule: the schedule with the study's own seeds.
        most: the maximum number of seeds that was asked for; ``None`` for that of the folder, or as many as are needed.

    Raises:
        StudyError: if the folder holds another rule or results of fixed seeds, or for a maximum that cannot be.
    """
    if "quality" not in schedule.study.stages:
        raise StudyError(f"--until-resolved: study {schedule.study.name!r} trains nothing, so it has no seeds to add")
    compared = [one for one in _contrasts(Results(plan_of(schedule, ""), ())) if not one.incomparable]
    rounds = _fixed(schedule, len(compared), most)
    loaded = load(replace(schedule.loaded.source, seeds=tuple(rounds.seeds)))
    whole = schedule_of(loaded, schedule.folder.parent, schedule.resources, schedule.fingerprints)
    whole = replace(whole, most_built=schedule.most_built, rounds=rounds)
    return InRounds(rounds, _with_networks_of(schedule, whole))


def _fixed(schedule: Schedule, comparisons: int, most: int | None) -> Rounds:
    """The rounds that the folder holds, if the study and the options still ask for these, or new ones."""
    from bench.evidence.sequential.progress import fix_rounds

    own, recorded = schedule.study.seeds, rounds_in(schedule.folder)
    if recorded is None:
        _refuse_results(schedule)
    try:
        wanted = fix_rounds(own, comparisons, recorded.looks[-1] if recorded is not None and most is None else most)
        by_default = fix_rounds(own, comparisons) if recorded is not None else wanted
    except ValueError as error:
        raise StudyError(f"--seeds-at-most: {error}") from None
    if recorded is None or recorded == wanted:
        return wanted
    if recorded == by_default and wanted.looks == recorded.looks:
        return recorded
    raise _change(recorded, wanted, schedule.folder)


def rounds_in(folder: Path) -> Rounds | None:
    """The rounds that the plan in a folder fixes; ``None`` if it fixes none, or if there is no plan to be read."""
    try:
        return read_plan(folder).rounds
    except (OSError, RecordError):
        return None


def run_rounds(
    study: InRounds,
    run: Callable[[Schedule, Sequence[Trial] | None, Give], bool],
    give: Give,
    say: Callable[[str], None],
) -> bool:
    """Run round after round until no comparison needs more seeds.

    Args:
        study: the study.
        run: a function that runs the trials of a schedule, or some of them, and says whether all are done.
        give: the function that takes the document of all rounds.
        say: a function that tells a line.

    Returns:
        ``True`` if all trials are done.
    """
    documents: list[Document] = []
    before: Schedule | None = None
    progress, complete = study.progress(), True
    try:
        while True:
            due = study.due(progress)
            say(in_words(study.state(progress)))
            earlier = set() if before is None else {trial.key for trial in before.trials}
            new = None if before is None else [trial for trial in due.trials if trial.key not in earlier]
            complete = run(due, new, documents.append) and complete
            over, before, progress = progress.over, due, study.progress()
            if progress.ended or progress.over == over:
                break
        say(in_words(study.state(progress)))
    finally:
        if ran := [document for document in documents if isinstance(document, RunDocument)]:
            give(_of_all(ran, study.state(progress)))
    return complete and progress.ended


def in_words(state: RoundsState) -> str:
    """How far the rounds have come, in a line."""
    stands = joined([f"{count} {stand}" for stand, count in state.comparisons.items()], "and")
    lead = f"{plural(state.over, 'round')} over, comparisons: {stands}."
    if state.ended:
        return f"{lead} No more seeds are needed: {state.seeds} of at most {state.most} taken."
    return f"{lead} The next round is up to {state.seeds} seeds, of at most {state.most}."


def _of_all(documents: Sequence[RunDocument], state: RoundsState) -> RunDocument:
    """The documents of all rounds as one."""
    trials = {trial.key: trial for document in documents for trial in document.trials}
    last = documents[-1]
    changes = {
        "complete": all(document.complete for document in documents) and state.ended,
        "ran": sum(document.ran for document in documents),
        "trials": list(trials.values()),
        "rounds": state,
    }
    return last.model_copy(update=changes)


def _contrasts(results: Results) -> list[Contrast]:
    from bench.evidence.contrasts import contrasts

    return contrasts(results, labels_of(results.plan), results.plan.levels)


_CACHED = ("networks", "cells")
"""The properties of a schedule that do not depend on its seeds."""


def _with_networks_of(one: Schedule, other: Schedule) -> Schedule:
    """The other schedule, which has the same networks: they take long to build."""
    other.__dict__.update({name: value for name, value in one.__dict__.items() if name in _CACHED})
    return other


def _refuse_results(schedule: Schedule) -> None:
    """Raise StudyError if the folder holds finished trainings, which may have been looked at."""
    done = [record for record in schedule.records() if record.trial.stage == "quality" and record.status == "done"]
    if done:
        raise StudyError(
            f"{schedule.folder} holds {plural(len(done), 'training')} of fixed seeds, which may have been looked at: "
            "rounds are fixed before the first look, so give another folder with --results"
        )


def _change(recorded: Rounds, wanted: Rounds, folder: Path) -> StudyError:
    before = recorded.as_json()
    changes = [
        f"{name} from {before[name]} to {value}" for name, value in wanted.as_json().items() if before[name] != value
    ]
    return StudyError(
        f"{folder} has fixed its rounds before the first look, and this would change {'; '.join(changes)}: give the "
        "same options and study, or another folder with --results"
    )
