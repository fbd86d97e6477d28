"""The line that tells an exception: the place of it, and how much of its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.parts import ChoiceError
from bench.study.faults import MOST_CHARACTERS, MOST_OF_OURS, fault_line

RAISES = "def forward():\n    raise ValueError('height 3 is too small')\n"


def _raised_in(*files: Path) -> ValueError:
    """The exception of a function in the last file, which functions in the others call in turn."""
    function: dict[str, object] = {}
    for file in reversed(files):
        code = "def forward():\n    inner()\n" if function else RAISES
        names: dict[str, object] = {"inner": function.get("forward")}
        exec(compile(code, str(file), "exec"), names)
        function = names
    with pytest.raises(ValueError, match="height 3") as caught:
        function["forward"]()  # type: ignore[operator] # the code above defines it as a function
    # The frame of this file is of no installed package; it stands for the caller in bench.
    assert caught.value.__traceback__ is not None
    return caught.value.with_traceback(caught.value.__traceback__.tb_next)


@pytest.mark.parametrize("inside", [(), ("site-packages/torch/__init__.py",)])
def test_without_code_of_the_user_the_place_in_the_library_of_the_network_is_told(
    inside: tuple[str, ...], tmp_path: Path
) -> None:
    error = _raised_in(*(tmp_path / name for name in ("site-packages/timm/models/maxxvit.py", *inside)))
    assert fault_line(error) == "ValueError: height 3 is too small (raised in timm/models/maxxvit.py:2)"


def test_the_line_of_the_user_comes_before_that_of_a_library(tmp_path: Path) -> None:
    error = _raised_in(tmp_path / "head.py", tmp_path / "site-packages" / "timm" / "x.py")
    assert fault_line(error) == f"{tmp_path / 'head.py'}:2: ValueError: height 3 is too small"


def test_a_line_of_ours_keeps_its_remedy_and_that_of_another_package_is_cut() -> None:
    text = "word " * 40 + "remedy"
    assert fault_line(ChoiceError(text)) == text
    assert len(fault_line(ChoiceError(text * 9))) == MOST_OF_OURS + 1
    assert fault_line(ValueError(text)) == f"ValueError: {text[:MOST_CHARACTERS]}…"
