"""``python -m parity [DIR]`` compares this harness with all cases of a golden folder, and prints a line for each.

Exit status 0 if every case passes, 1 if one does not, 2 if the folder cannot be used.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from bench.parts import BenchError
from parity.compare import Check, Verdict
from parity.counterparts import MODULES
from parity.counts import run_counts
from parity.forward import run_network
from parity.golden import Case, Folder, GoldenError, listed, read_folder
from parity.images import IMAGES
from parity.losses import LOSSES
from parity.metrics import METRICS
from parity.modules import run_module
from parity.networks import NETWORKS

DEFAULT = Path("tests/golden")

RUNNERS: Mapping[str, Callable[[Case], Verdict]] = {
    **dict.fromkeys(NETWORKS, run_network),
    **dict.fromkeys(MODULES, run_module),
    **LOSSES,
    **IMAGES,
    **METRICS,
}
"""Kind of a case, or class of the original -> function that compares it."""

FAILURES = (BenchError, ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""The errors that a case may raise, from a missing key to different shapes; the other cases still run."""


def main(arguments: Sequence[str]) -> int:
    """Print a line for each case and a summary, and return the exit status."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write("usage: python -m parity [DIR]\n")
        return 2
    folder = Path(arguments[0]) if arguments else DEFAULT
    torch.set_num_threads(2)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    tally: dict[str, int] = {}
    started = time.monotonic()
    try:
        for verdict in verdicts(folder):
            sys.stdout.write("\n".join(lines(verdict)) + "\n")
            sys.stdout.flush()
            tally[verdict.status] = tally.get(verdict.status, 0) + 1
    except GoldenError as error:
        sys.stderr.write(f"parity: {error}\n")
        return 2
    counted = ", ".join(f"{count} {status}" for status, count in sorted(tally.items()))
    sys.stdout.write(f"{sum(tally.values())} in {folder}: {counted} ({time.monotonic() - started:.0f} s)\n")
    return 0 if set(tally) == {"pass"} else 1


def verdicts(folder: Path) -> Iterator[Verdict]:
    """Yield the verdict on each case, and on the parameter counts if the folder has them.

    Raises:
        GoldenError: if the folder cannot be used.
    """
    found = read_folder(folder)
    yield from map(run_case, found.cases)
    yield from (_failed(name, "file", problem) for name, problem in found.unreadable.items())
    others = {"param_counts": lambda: run_counts(folder), "index": lambda: _missing(folder, found)}
    for name in [each for each in others if each not in found.unreadable]:
        try:
            yield from others[name]()
        except FAILURES as error:
            yield _failed(name, "run", f"{type(error).__name__}: {error}")


def _missing(folder: Path, found: Folder) -> Iterator[Verdict]:
    """Yield failures for cases that the folder's index lists and the folder lacks."""
    for name in sorted(listed(folder) - {case.name for case in found.cases} - found.unreadable.keys()):
        yield _failed(name, "files", "in index.json, but not in the folder")


def _failed(name: str, what: str, problem: str) -> Verdict:
    return Verdict(name, "fail", (Check(what, problem=problem),))


def run_case(case: Case) -> Verdict:
    """The verdict on one case; an error while it runs is its failure."""
    if case.kind not in RUNNERS:
        known = ", ".join(sorted(RUNNERS))
        return _failed(case.name, "kind", f"{case.kind!r} is none of {known}")
    try:
        return RUNNERS[case.kind](case)
    except FAILURES as error:
        return _failed(case.name, "run", f"{type(error).__name__}: {error}")


def lines(verdict: Verdict) -> list[str]:
    """The lines to print: one with the largest differences and the closest check, then all failures, then the notes."""
    shown = f"{verdict.status}  {verdict.case}"
    compared = [check for check in verdict.checks if not check.problem]
    if compared:
        relative = [check.relative for check in compared if not math.isnan(check.relative)]
        worst = max(compared, key=lambda check: check.strain)
        shown += f"  max abs {max(check.error for check in compared):.2e}  max rel {max(relative, default=0.0):.2e}"
        shown += f"  {len(compared)} checks, nearest to its limit {worst.what}: {_numbers(worst)}"
    failed = [f"    {check.what}: {check.problem or _numbers(check)}" for check in verdict.checks if not check.passed]
    return [shown, *failed, *(f"    {note}" for note in verdict.notes)]


def _numbers(check: Check) -> str:
    return f"{check.error:.2e} of {check.tolerance:.2e}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
