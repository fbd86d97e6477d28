"""Named protocols of testing: the recipe accepts each, and an option gives their fields or says what it expects."""

from __future__ import annotations

from typing import Any

import pytest

from bench.data.synthetic import Synthetic
from bench.parts import ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.protocol.testing import PROTOCOLS, TEST_FIELDS, protocol_fields

RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=2, batch=2)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_named_protocol_sets_fields_of_testing_alone(name: str) -> None:
    fields = protocol_fields(name)
    assert fields.keys() <= TEST_FIELDS
    recipe = RECIPE.having(**fields)
    assert all(getattr(recipe, field) == value for field, value in fields.items())


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("test_flip=true", {"test_flip": True}),
        ("test_scales=0.75:1:1.25, averaged=logits", {"test_scales": (0.75, 1.0, 1.25), "averaged": "logits"}),
        ("test_scales=0.5", {"test_scales": (0.5,)}),
        ("window_px=512x512,window_stride_px=341x300", {"window_px": (512, 512), "window_stride_px": (341, 300)}),
        ("test_long_side_px=2048,eval_batch=4", {"test_long_side_px": 2048, "eval_batch": 4}),
        ("test_long_side_px=none", {"test_long_side_px": None}),
        ("test_mode=openvino,test_precision=bfloat16", {"test_mode": "openvino", "test_precision": "bfloat16"}),
        ("flip,test_mode=compile", {**PROTOCOLS["flip"], "test_mode": "compile"}),
        ("boundary_px=3:5,boundary_iou_share=0.01", {"boundary_px": (3, 5), "boundary_iou_share": 0.01}),
    ],
)
def test_an_option_may_name_fields(text: str, fields: dict[str, Any]) -> None:
    assert protocol_fields(text) == fields
    assert type(next(iter(protocol_fields(text).values()))) is type(next(iter(fields.values())))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flipp", "no such protocol.*did you mean 'flip'"),
        ("", "no such protocol"),
        ("learning_rate=1", "expected one of averaged"),
        ("split=test", "expected one of averaged"),
        ("test_flip=true,scales=1", "expected one of averaged"),
        ("test_flip=true,whole", "expected one of averaged"),
    ],
)
def test_what_is_no_protocol_is_refused(text: str, message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        protocol_fields(text)


@pytest.mark.parametrize("text", ["test_flip=maybe", "window_px=512", "test_scales=big", "window_px=9x9"])
def test_a_value_that_no_recipe_has_is_refused_by_the_recipe(text: str) -> None:
    with pytest.raises(ChoiceError, match="Recipe"):
        RECIPE.having(**protocol_fields(text))
