"""The commands about data sets: names from a data set act on no terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.own.description import DESCRIPTION


def test_a_class_of_a_hostile_name_is_printed_with_escapes(
    bench: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    pixels = np.zeros((16, 16), np.uint8)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / kind / split / "one.png")
    classes = '[[classes]]\nname = "road"\nvalues = [0]\n[[classes]]\nname = "\\u001b[31mred"\nvalues = [1]\n'
    (tmp_path / DESCRIPTION).write_text(classes)
    code, out, err = bench("data", "check", f"folder={tmp_path}")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "No pixel of the train split is \\x1b[31mred." in out
