"""``python -m benchmarks NAME`` runs one side-by-side measurement; without a name, it lists all of them.

A measurement of :data:`WITH_OPTIONS` takes the arguments behind its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks import attention_steps, overhead
from benchmarks.attention import attention_memory, attention_time
from benchmarks.augmentation import augmentation
from benchmarks.counting import counting
from benchmarks.data import data
from benchmarks.null import null
from benchmarks.plan import plan
from benchmarks.quality import boundary, confusion
from benchmarks.report import report
from benchmarks.report_calls import report_calls
from benchmarks.sequential import sequential
from benchmarks.shared_training import shared_memory
from benchmarks.steps import host_step, step_cuda
from benchmarks.upsampling import upsampling

MEASUREMENTS: dict[str, Callable[[], None]] = {
    "attention_memory": attention_memory,
    "attention_time": attention_time,
    "augmentation": augmentation,
    "boundary": boundary,
    "confusion": confusion,
    "counting": counting,
    "data": data,
    "host_step": host_step,
    "null": null,
    "plan": plan,
    "report": report,
    "report_calls": report_calls,
    "shared_memory": shared_memory,
    "sequential": sequential,
    "step_cuda": step_cuda,
    "upsampling": upsampling,
}

WITH_OPTIONS: dict[str, Callable[[Sequence[str]], int]] = {
    "attention_cuda": attention_steps.main,
    "overhead": overhead.main,
}


def main(arguments: Sequence[str]) -> int:
    """Run the named measurement, and return the exit status, which is 2 if there is no measurement of that name."""
    if not arguments:
        for name, measure in (MEASUREMENTS | WITH_OPTIONS).items():
            sys.stdout.write(f"{name}: {(measure.__doc__ or '').splitlines()[0]}\n")
        return 0
    if arguments[0] in WITH_OPTIONS:
        return WITH_OPTIONS[arguments[0]](arguments[1:])
    unknown = [name for name in arguments if name not in MEASUREMENTS]
    if unknown:
        sys.stderr.write(
            f"no measurement {', '.join(unknown)}; there are {', '.join(sorted(MEASUREMENTS | WITH_OPTIONS))}\n"
        )
        return 2
    for name in arguments:
        MEASUREMENTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
