"""The published colours of classes, against values that were typed from their sources."""

from __future__ import annotations

from typing import Any

import pytest

from bench.data import ADE20K, VOC2012, CamVid, Cityscapes

KNOWN = {
    CamVid: {"sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128), "road": (128, 64, 128),
             "sidewalk": (60, 40, 222), "tree": (128, 128, 0), "sign symbol": (192, 128, 128), "fence": (64, 64, 128),
             "car": (64, 0, 128), "pedestrian": (64, 64, 0), "bicyclist": (0, 128, 192)},
    Cityscapes: {"road": (128, 64, 128), "sidewalk": (244, 35, 232), "traffic light": (250, 170, 30),
                 "sky": (70, 130, 180), "car": (0, 0, 142), "bicycle": (119, 11, 32)},
    VOC2012: {"background": (0, 0, 0), "aeroplane": (128, 0, 0), "boat": (0, 0, 128), "cat": (64, 0, 0),
              "person": (192, 128, 128), "tvmonitor": (0, 64, 128)},
    ADE20K: {"wall": (120, 120, 120), "sky": (6, 230, 230), "road": (140, 140, 140), "person": (150, 5, 61),
             "car": (0, 102, 200), "flag": (92, 0, 255)},
}  # fmt: skip
"""Colours of Scripts/test_segmentation_camvid.py of SegNet-Tutorial (all of them), of helpers/labels.py of
cityscapesScripts, of the development kit of VOC2012, and of color150."""

OWN_OF_CAMVID = {
    "Bicyclist": (0, 128, 192), "Building": (128, 0, 0), "Car": (64, 0, 128), "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128), "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128), "Tree": (128, 128, 0),
}  # fmt: skip
"""The colours of these classes in CamVid's own table of 32."""


@pytest.mark.parametrize("data", KNOWN, ids=lambda data: data.name)
def test_each_class_has_its_published_colour(data: Any) -> None:
    colours = dict(zip(data.classes, data.colours, strict=True))
    assert {name: colours[name] for name in KNOWN[data]} == KNOWN[data]


def test_camvid_keeps_its_own_colours_but_for_the_sidewalk_of_segnet() -> None:
    colours = dict(zip(CamVid.classes, CamVid.colours, strict=True))
    own = {name.lower().replace("column_", "").replace("signs", "sign s"): rgb for name, rgb in OWN_OF_CAMVID.items()}
    assert {name for name in colours if colours[name] != own[name]} == {"sidewalk"}
