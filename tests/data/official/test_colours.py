"""The published colours of classes, against values that were typed from their sources."""

from __future__ import annotations

from typing import Any

import pytest

from bench.data import ADE20K, VOC2012, Cityscapes

KNOWN = {
    Cityscapes: {"road": (128, 64, 128), "sidewalk": (244, 35, 232), "traffic light": (250, 170, 30),
                 "sky": (70, 130, 180), "car": (0, 0, 142), "bicycle": (119, 11, 32)},
    VOC2012: {"background": (0, 0, 0), "aeroplane": (128, 0, 0), "boat": (0, 0, 128), "cat": (64, 0, 0),
              "person": (192, 128, 128), "tvmonitor": (0, 64, 128)},
    ADE20K: {"wall": (120, 120, 120), "sky": (6, 230, 230), "road": (140, 140, 140), "person": (150, 5, 61),
             "car": (0, 102, 200), "flag": (92, 0, 255)},
}  # fmt: skip
"""Some colours of helpers/labels.py of cityscapesScripts, of the development kit of VOC2012, and of color150."""


@pytest.mark.parametrize("data", KNOWN, ids=lambda data: data.name)
def test_each_class_has_its_published_colour(data: Any) -> None:
    colours = dict(zip(data.classes, data.colours, strict=True))
    assert {name: colours[name] for name in KNOWN[data]} == KNOWN[data]
