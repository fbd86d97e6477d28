"""The place in an installed library where an exception was raised, for the line that tells of it."""

from __future__ import annotations

import traceback
from pathlib import Path

MACHINERY = ("torch", "torchvision", "bench", "huggingface_hub")
"""The packages whose code raises what the code or the values of other packages caused."""

INSTALLED = ("site-packages/", "dist-packages/")
"""The folders that packages are installed in."""


def raised_in(error: BaseException) -> str:
    """Words such as " (raised in timm/models/maxxvit.py:763)"; none if an exception passed no code of a library."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        for folder in INSTALLED:
            _, found, inside = Path(frame.f_code.co_filename).as_posix().rpartition(folder)
            if found and inside.partition("/")[0] not in MACHINERY:
                return f" (raised in {inside}:{line})"
    return ""
