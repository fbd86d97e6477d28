"""A study that can be tuned, for the tests of searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.study.source import Source


@pytest.fixture
def tunable(tiny_study: Callable[..., Path]) -> Source:
    """A study of two arms that tunes the learning rate, with one iteration a training."""
    path = tiny_study(iterations="1")
    text = path.read_text().replace("seeds=", 'tune={"learning_rate": LogRange(1e-3, 0.1)},\n    seeds=')
    path.write_text(text.replace("STUDY = Study(", "from bench import LogRange\n\nSTUDY = Study(", 1))
    return Source(str(path))
