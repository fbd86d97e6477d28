"""Tables and lists that several parts of a report start from are computed once for one set of results."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, Self, TypeVar

from bench.records.results import Results

P = ParamSpec("P")


class Copied(Protocol):
    def copy(self) -> Self: ...


T = TypeVar("T", bound=Copied)
Make = Callable[Concatenate[Results, P], T]


def once(make: Make[P, T]) -> Make[P, T]:
    """``make`` that remembers what it made with the results, for each set of arguments; callers get copies."""

    @wraps(make)
    def made(results: Results, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = make.__module__, make.__qualname__, args, tuple(sorted(kwargs.items()))
        if key not in results.made:
            results.made[key] = make(results, *args, **kwargs)
        found: T = results.made[key]
        return found.copy()

    return made
