"""The work of ``bench rekey``: records of an earlier bench get the keys of this one."""

from __future__ import annotations

from pathlib import Path

from bench.cli.console import console_for_people
from bench.cli.documents.document import Give, keep_silent
from bench.cli.documents.results import RekeyDocument, Untouched
from bench.cli.trials.lock import alone
from bench.run.identity.rekey import rekey as rekeyed


def rekey(folder: Path, source_tree: Path | None, *, assume_installed: bool, give: Give = keep_silent) -> None:
    """Give the records of a results folder keys of the present version, and print their numbers and the differences.

    Raises:
        BenchError: if it cannot be proven that only the form of the keys changed; then no record is changed.
    """
    console = console_for_people()
    with alone(folder):
        done = rekeyed(folder, source_tree, assume_installed=assume_installed)
    give(
        RekeyDocument(
            folder=str(folder),
            planned=len(done.trials),
            records=done.records,
            digests=done.digests,
            untouched=[Untouched(records=count, reason=reason) for reason, count in done.untouched.items()],
            differences=list(done.compared),
        )
    )
    if done.digests:
        console.print(f"The keys are present ones; {done.digests} records have a digest now.")
        return
    console.print(f"{done.records} records of {len(done.trials)} planned trials have new keys.")
    for reason, count in done.untouched.items():
        console.print(f"{count} records are left as they are: {reason}.")
    for line in done.compared or ("The present source has the same keys: the records stand for it as it is.",):
        console.print(line, soft_wrap=True)
