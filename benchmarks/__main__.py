"""``nox -s bench -- NAME`` runs one measurement; without a name it lists them."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.upsampling import upsampling

MEASUREMENTS: dict[str, Callable[[], None]] = {"upsampling": upsampling}


def main() -> int:
    """Run what the command line names; exit status 2 for an unknown name."""
    names = sys.argv[1:]
    if len(names) == 1 and names[0] in MEASUREMENTS:
        MEASUREMENTS[names[0]]()
        return 0
    print("Name one measurement: nox -s bench -- NAME", file=sys.stderr)  # noqa: T201 - the output of this command
    for name, measurement in MEASUREMENTS.items():
        print(f"  {name}: {(measurement.__doc__ or '').splitlines()[0]}", file=sys.stderr)  # noqa: T201
    return 2 if names else 0


if __name__ == "__main__":
    sys.exit(main())
