"""Values of options that several commands share."""

from __future__ import annotations

import pytest

from bench.cli.options import parse_px
from bench.parts import BenchError


def test_a_size_is_height_by_width() -> None:
    assert parse_px("512x1024") == (512, 1024)
    assert parse_px("16X16") == (16, 16)


@pytest.mark.parametrize(
    "text", ["512", "512x", "x512", "x", "512x1024x3", "axb", "12x64", "64x15", "-32x64", "²x64", "64 x 64"]
)
def test_a_size_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BenchError, match="expected HEIGHTxWIDTH of 16 pixels at least, such as 360x480"):
        parse_px(text)
