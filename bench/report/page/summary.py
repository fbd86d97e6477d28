"""The texts around a report's tables and figures: the facts under its title, notes, tracebacks, commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.evidence.evidence import Evidence
from bench.protocol.words import NOTHING, first_few, plural
from bench.records.plan.plan import Plan
from bench.records.results import Results
from bench.report.tables import protocol
from bench.report.tables.variants import not_compared

MOST_TRACEBACKS = 50
"""The most different tracebacks that a page shows."""
MOST_IN_A_NOTE = 3
"""The most names in one note."""
LONGEST_NAMES = 100
"""The most characters of the names in one note."""
OUTCOMES, PROVENANCE, STALE, AUDIT = "outcomes-section", "provenance-section", "stale", "audit-section"
"""The ids of the places on the page that notes link to."""
MOST_NAMES = 20
"""The most records that a page names beside a traceback that they share."""


UNCOMMITTED = "Some records come from source with uncommitted changes: their commit does not reproduce them."
"""The sentence on records that differ from their commits."""


@dataclass(frozen=True)
class Traceback:
    """One traceback and the files of the records that have it."""

    text: str
    files: list[str]

    @property
    def title(self) -> str:
        more = len(self.files) - 1
        return f"Traceback of {self.files[0]}" + (f" and {plural(more, 'more record')}" if more else "")

    @property
    def named(self) -> str:
        """The files of the records that share the traceback, as many as a page has room for; empty for a single one."""
        return first_few(self.files, MOST_NAMES) if len(self.files) > 1 else ""


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """The names and values of the facts that a reader wants to know first."""
    results = evidence.results
    plan, statuses = results.plan, results.trials()["status"]
    levels = evidence.levels.get(results.baseline, {})
    baseline = ", ".join(f"{factor}={level}" for factor, level in levels.items()) or results.baseline
    timed = {str(record.environment.device) for record in results.records if record.status == "done"}
    return [
        ("Trials", f"{int((statuses == 'done').sum())} of {int((statuses != 'excluded').sum())} done"),
        ("Baseline", baseline),
        ("Data", ", ".join(dict.fromkeys(data.name for data in (plan.data, *plan.other_data.values())))),
        *([("Seeds", str(len(plan.seeds)))] if "quality" in plan.stages else []),
        ("Device", ", ".join(sorted(timed)) or NOTHING),
        ("Source", ", ".join(protocol.commits(results))),
    ]


@dataclass(frozen=True)
class Note:
    """A fact that a reader must know before believing the numbers.

    Attributes:
        text: the fact in one sentence.
        href: the id of the place on the page that says more; empty if there is none.
    """

    text: str
    href: str = ""


def notes(evidence: Evidence) -> list[Note]:
    """The notes on results that were left out, cannot be reproduced, or are in doubt."""
    results, names = evidence.results, evidence.labels
    plan = results.plan
    left_out = {trial.variant: trial.excluded for trial in plan.trials if trial.excluded}
    notes = [Note(f"{names[variant]} was left out: {reason}", OUTCOMES) for variant, reason in left_out.items()]
    if text := protocol.kept_variants(evidence):
        notes.append(Note(text, OUTCOMES))
    if not results.records:
        notes.append(Note("Nothing has been measured yet."))
    if plan.size and "quality" in plan.stages:
        notes.append(Note(f"Run at size “{plan.size}”: it shows that the study works, not what its answer is."))
    if any(record.environment.differs_from_commits for record in results.records):
        notes.append(Note(UNCOMMITTED, PROVENANCE))
    if len(protocol.commits(results)) > 1:
        text = f"The records come from several states of the source: {', '.join(protocol.commits(results))}."
        notes.append(Note(text, PROVENANCE))
    if text := not_compared(evidence).strip():
        notes.append(Note(text, AUDIT))
    if results.stale:
        text = (
            f"{plural(len(results.stale), 'stale record')} {'was' if len(results.stale) == 1 else 'were'} left out: "
            "made by other source, data or settings than the plan's."
        )
        notes.append(Note(text, STALE))
    if confounded := evidence.confounded:
        text = (
            f"{plural(len(confounded), 'comparison')} {'differs' if len(confounded) == 1 else 'differ'} in more than "
            f"the factors are about{_in_brackets(confounded)}."
        )
        notes.append(Note(text, AUDIT))
    if doubted := evidence.in_doubt:
        whose = plural(len(doubted), "comparison" if results.plan.stages == ["speed"] else "variant")
        text = f"Timings of {whose} are in doubt: not known to be alone, noisy or not steady{_in_brackets(doubted)}."
        notes.append(Note(text, AUDIT))
    return notes


def _in_brackets(names: Sequence[str]) -> str:
    """The names as `` (a, b, c and 2 more)``; empty if they would fill lines, since the linked table lists them."""
    text = first_few(names, MOST_IN_A_NOTE)
    return f" ({text})" if len(text) <= LONGEST_NAMES else ""


def tracebacks(results: Results) -> list[Traceback]:
    """Every different traceback once, in the order of the records."""
    files: dict[str, list[str]] = {}
    for file, text in protocol.tracebacks(results).items():
        files.setdefault(text, []).append(file)
    return [Traceback(text, names) for text, names in files.items()]


def commands(results: Results) -> list[str]:
    """The commands that make the records and the report again."""
    commits = [commit for commit in protocol.commits(results) if commit != protocol.NO_REPOSITORY]
    mixed = len(commits) > 1
    return [
        *(["# the records come from several states of the source; each makes its own:"] if mixed else []),
        *(f"git checkout {commit.split()[0]}{_uncommitted(commit)}" for commit in commits),
        results.plan.command,
        report_command(results.plan, results.plan.command),
    ]


def report_command(plan: Plan, command: str) -> str:
    """The command that makes the report of the folder that ``command`` makes, under its original name."""
    try:
        words = shlex.split(command)
    except ValueError:  # the command has a quotation mark without its pair, so nobody typed it
        words = []
    given = [word.partition("=")[2] for word in words if word.startswith("--results=")]
    given += [value for name, value in pairwise(words) if name == "--results"]
    made = plan.folder or "-".join(filter(None, [plan.name, plan.size, "final" if plan.final else None]))
    root = given[-1] if given else "results"
    return f"bench report {shlex.quote(' '.join(f'{root}/{made}'.split()))}"


def _uncommitted(commit: str) -> str:
    """The comment after a checkout that brings no uncommitted changes back; empty if there were none."""
    _, _, more = commit.partition(" ")
    return f"  # {more}" if more else ""
