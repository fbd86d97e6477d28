"""A copy of a data set's official layout that a test may damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def damaged(copy: Path, tmp_path: Path) -> Path:
    """The files of the test module's own ``copy`` anew, for one test."""
    return Path(shutil.copytree(copy, tmp_path / "copy"))
