"""The code and the packages that the trials of a plan execute, as the plan lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.records.plan.plan import Plan

HARNESS = "segbench"
"""The distribution that measures, which no key lists because its code is in the keys."""
OWN_PACKAGE = "bench/"
"""The beginning of the file names of the harness itself."""


def packages(plan: Plan) -> dict[str, dict[str, str]]:
    """Key of a trial -> version of every distribution that the trial's code refers to, by the distribution's name.

    A plan of an earlier bench does not list them; its trials are left out.
    """
    versions, trials = plan.identity.get("versions"), plan.identity.get("trials")
    if not isinstance(versions, Sequence) or not isinstance(trials, Mapping):
        return {}
    return {
        str(key): {str(name): str(version) for name, version in versions[place].items()}
        for key, place in _places(trials, 2)
        if place < len(versions) and isinstance(versions[place], Mapping)
    }


def module_files(plan: Plan) -> list[str]:
    """The files outside of the harness that define what the trials execute, as the parts of the keys name them."""
    lines = plan.identity.get("definitions")
    labels = [str(line).partition(":") for line in lines] if isinstance(lines, Sequence) else []
    names = dict.fromkeys(file for file, colon, _ in labels if colon and file.endswith(".py"))
    return [file for file in names if not file.startswith(OWN_PACKAGE)]


def _places(trials: Mapping[Any, Any], position: int) -> Iterator[tuple[Any, int]]:
    """The number that stands at a position in the list that a plan holds for each trial."""
    for key, numbers in trials.items():
        if isinstance(numbers, Sequence) and len(numbers) > position:
            place = numbers[position]
            if isinstance(place, int) and place >= 0:
                yield key, place
