"""Values of options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.parametrize(
    ("gpus", "allowed"),
    [("2", "a measurement takes one GPU (1) or none (0)"), ("1.5", "a trial uses whole GPUs (1, 2, ")],
)
@pytest.mark.parametrize(
    "command", [("plan",), ("run",), ("trial", "baseline"), ("speed",), ("limits", "baseline"), ("cost", "baseline")]
)
def test_gpus_that_a_trial_cannot_use_are_refused_in_one_line_by_every_command(
    bench: Callable[..., tuple[int, str, str]],
    tiny_study: Callable[..., Path],
    tmp_path: Path,
    command: tuple[str, ...],
    gpus: str,
    allowed: str,
) -> None:
    name, *variant = command
    if gpus == "2" and name in ("plan", "run", "trial"):  # it is more than this machine has, and no mistake else
        allowed = ""
    options = ["--against", "neck=off"] if name == "speed" else []
    code, _, err = bench(name, tiny_study(), *variant, *options, "--gpus", gpus, "--results", tmp_path / "results")
    assert code == 2
    assert f"--gpus {gpus}: {allowed}" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()
