"""Two processes that several test modules share, since each takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.training.parallel.workers import Together, processes


@pytest.fixture(scope="session")
def together() -> Iterator[Together]:
    """Calls a function in each of two processes of a group."""
    with processes(2) as call:
        yield call
