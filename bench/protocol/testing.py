"""Named ways of testing a trained network, each with its source: the recipe's fields that training does not read.

The papers' values were read in their published code: DANet's and FastFCN's ``encoding/models/base.py`` and test
scripts, Gated-SCNN's ``train.py``, mmsegmentation's ``configs/_base_``. Where a paper pads an image that is smaller
than its window up to the window's size, the image is tested whole here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from bench.parts import ChoiceError, nearest
from bench.protocol.recipe import Recipe

TEST_FIELDS = frozenset(
    {
        "split", "eval_batch", "reported", "boundary_px", "trimap_px", "boundary_iou_share", "distance_crop_px",
        "vanishing_point", "window_px", "window_stride_px", "test_scales", "test_long_side_px", "test_flip", "averaged",
        "test_mode", "test_precision",
    }
)  # fmt: skip
"""The recipe's fields that say how a network is tested: those with other values train the same network."""

WHOLE: Mapping[str, Any] = {
    "window_px": None, "window_stride_px": None, "test_scales": (), "test_long_side_px": None, "test_flip": False,
    "averaged": "probabilities",
}  # fmt: skip

LOGITS_FIELDS = frozenset({*WHOLE, "eval_batch", "test_mode", "test_precision"})
"""Those of :data:`TEST_FIELDS` that say how logits are computed: other values give the same measures of a network."""

PROTOCOLS: Mapping[str, Mapping[str, Any]] = {
    # The whole image, once: also Gated-SCNN's validation and mmsegmentation's mode="whole".
    "whole": WHOLE,
    "flip": {**WHOLE, "test_flip": True},
    # mmsegmentation's test-time augmentation (configs/_base_/datasets, tta_pipeline).
    "multi-scale": {**WHOLE, "test_scales": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), "test_flip": True},
    # mmsegmentation's mode="slide" for crops of 512 and 769 pixels.
    "sliding-512": {**WHOLE, "window_px": (512, 512), "window_stride_px": (341, 341)},
    "sliding-769": {**WHOLE, "window_px": (769, 769), "window_stride_px": (513, 513)},
    # DANet on Cityscapes: the long side is 2048 times the scale, windows of 768 by two thirds, or of 1024 by half.
    "danet-single": {
        "window_px": (768, 768), "window_stride_px": (512, 512), "test_scales": (), "test_long_side_px": 2048,
        "test_flip": True, "averaged": "exponentials",
    },
    "danet-multi": {
        "window_px": (1024, 1024), "window_stride_px": (512, 512),
        "test_scales": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.2), "test_long_side_px": 2048,
        "test_flip": True, "averaged": "exponentials",
    },
    # FastFCN on PASCAL Context and ADE20K: the long side is 520 times the scale, windows of 480 by two thirds.
    "fastfcn-single": {
        "window_px": (480, 480), "window_stride_px": (320, 320), "test_scales": (), "test_long_side_px": 520,
        "test_flip": False, "averaged": "exponentials",
    },
    "fastfcn-multi": {
        "window_px": (480, 480), "window_stride_px": (320, 320), "test_scales": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
        "test_long_side_px": 520, "test_flip": True, "averaged": "exponentials",
    },
}  # fmt: skip
"""Name -> the fields of the recipe."""


def protocol_fields(text: str) -> dict[str, Any]:
    """The fields of the recipe that an option ``--protocol`` names.

    Args:
        text: a name of :data:`PROTOCOLS`, or fields such as ``test_flip=true,test_scales=0.75:1:1.25,window_px=512x512,
            window_stride_px=341x341``, which change the study's own, or fields after a name, which change that one's.

    Raises:
        ChoiceError: for an unknown name, field or value.
    """
    if "=" not in text:
        if text not in PROTOCOLS:
            raise ChoiceError(
                f"--protocol {text!r}: no such protocol; there are {', '.join(PROTOCOLS)}{nearest(text, PROTOCOLS)}, "
                "or fields such as test_flip=true,window_px=512x512,window_stride_px=341x341"
            )
        return dict(PROTOCOLS[text])
    known = sorted(TEST_FIELDS - {"split", "reported"})
    fields: dict[str, Any] = {}
    for term in text.split(","):
        if not fields and term.strip() in PROTOCOLS:
            fields |= PROTOCOLS[term.strip()]
            continue
        name, equals, value = term.strip().partition("=")
        if not equals or name not in known:
            raise ChoiceError(f"--protocol {term.strip()!r}: expected one of {', '.join(known)}{nearest(name, known)}")
        fields[name] = _value(name, value)
    return fields


def _value(name: str, text: str) -> Any:
    """The value of a field in an option: ``true``, ``none``, ``512x512``, ``0.75:1:1.25``, a number or a word."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    whole = int in _numbers_of(name)
    try:
        if "x" in text:
            return tuple(int(side) for side in text.split("x"))
        if ":" in text or name.endswith(("_scales", "boundary_px", "trimap_px", "crop_px")):
            return tuple(int(part) if whole else float(part) for part in text.split(":") if part)
        return int(text) if whole else float(text)
    except ValueError:
        return text


def _numbers_of(name: str) -> set[type]:
    """The types of numbers in a field's annotation."""
    left, found = [get_type_hints(Recipe)[name]], set()
    while left:
        kind = left.pop()
        left += get_args(kind)
        found |= {kind} & {int, float}
    return found
