"""``python -m benchmarks NAME`` runs one side-by-side measurement; without a name, it lists all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks.attention import attention_memory, attention_time
from benchmarks.augmentation import augmentation
from benchmarks.counting import counting
from benchmarks.data import data
from benchmarks.null import null
from benchmarks.quality import boundary, confusion
from benchmarks.report import report
from benchmarks.report_calls import report_calls
from benchmarks.upsampling import upsampling

MEASUREMENTS: dict[str, Callable[[], None]] = {
    "attention_memory": attention_memory,
    "attention_time": attention_time,
    "augmentation": augmentation,
    "boundary": boundary,
    "confusion": confusion,
    "counting": counting,
    "data": data,
    "null": null,
    "report": report,
    "report_calls": report_calls,
    "upsampling": upsampling,
}


def main(arguments: Sequence[str]) -> int:
    """Run the named measurement, and return the exit status, which is 2 if there is no measurement of that name."""
    if not arguments:
        for name, measure in MEASUREMENTS.items():
            sys.stdout.write(f"{name}: {(measure.__doc__ or '').splitlines()[0]}\n")
        return 0
    unknown = [name for name in arguments if name not in MEASUREMENTS]
    if unknown:
        sys.stderr.write(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}\n")
        return 2
    for name in arguments:
        MEASUREMENTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
