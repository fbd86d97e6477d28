"""Tables that several parts of a report start from are computed once for one set of results."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import pandas as pd

from bench.records import Results

P = ParamSpec("P")
Make = Callable[Concatenate[Results, P], pd.DataFrame]


def once(make: Make[P]) -> Make[P]:
    """``make`` that remembers its table with the results, for each set of arguments; callers get copies."""

    @wraps(make)
    def made(results: Results, /, *args: P.args, **kwargs: P.kwargs) -> pd.DataFrame:
        key = make.__module__, make.__qualname__, args, tuple(sorted(kwargs.items()))
        if key not in results.made:
            results.made[key] = make(results, *args, **kwargs)
        table: pd.DataFrame = results.made[key]
        return table.copy()

    return made
