"""Settings and comparisons: names, pairs, refusals."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from bench.parts import ChoiceError
from bench.protocol.setting import Setting
from bench.study.speed import Speed

SMALL, LARGE = Setting(height=64, width=64), Setting(height=128, width=256)


def test_a_name_says_what_differs_from_a_plain_forward() -> None:
    assert SMALL.name == "64x64"
    full = Setting(
        height=64, width=96, batch=8, precision="bfloat16", mode="compile", memory_format="channels_last",
        phase="training",
    )  # fmt: skip
    assert full.name == "64x96 batch 8 bfloat16 channels_last compile training"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"height": 8}, "height=8"),
        ({"mode": "fast"}, "mode='fast'"),
        ({"mode": "channels_last"}, "write memory_format='channels_last', and any mode"),
        ({"memory_format": "NHWC"}, "memory_format='NHWC'"),
        ({"precision": "int8"}, "precision='int8'"),
        ({"phase": "training"}, "needs 2 images"),
        ({"phase": "training", "batch": 2, "mode": "cuda_graph"}, "it runs forwards alone"),
        ({"least_s": 0.0}, "least_s=0.0"),
    ],
)
def test_what_cannot_be_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        Setting(**{"height": 64, "width": 64, **choices})


def test_a_setting_of_an_earlier_bench_is_read_with_its_memory_format() -> None:
    earlier = Setting.from_json({"height": 64, "width": 64, "batch": 2, "mode": "channels_last"})
    assert (earlier.mode, earlier.memory_format, earlier.name) == (
        "eager",
        "channels_last",
        "64x64 batch 2 channels_last",
    )
    assert Setting.from_json({"height": 64, "width": 64, "mode": "compile"}).memory_format == "contiguous"
    assert Setting.from_json(asdict(earlier)) == earlier


def test_tf32_is_refused_elsewhere() -> None:
    Setting(height=64, width=64, precision="tf32").check("cuda")
    with pytest.raises(ChoiceError, match="'tf32' needs a CUDA device, this is 'cpu'; use float32 or bfloat16"):
        Setting(height=64, width=64, precision="tf32").check("cpu")


def test_a_cuda_graph_is_refused_elsewhere() -> None:
    Setting(height=64, width=64, mode="cuda_graph").check("cuda")
    with pytest.raises(ChoiceError, match="needs a CUDA device, this is 'cpu'"):
        Setting(height=64, width=64, mode="cuda_graph").check("cpu")


def test_a_cell_is_timed_where_its_levels_allow_and_never_against_itself() -> None:
    speed = Speed({"neck": "off"}, (SMALL, LARGE), only={LARGE.name: {"head": "fcn"}})
    assert speed.pairs({"neck": "off", "head": "fcn"}) == []
    assert speed.pairs({"neck": "jpu", "head": "fcn"}) == [SMALL, LARGE]
    assert speed.pairs({"neck": "jpu", "head": "psp"}) == [SMALL]


def test_modes_multiply_the_settings_and_each_mode_heeds_what_its_setting_is_restricted_to() -> None:
    speed = Speed({"neck": "off"}, (SMALL, LARGE), {LARGE.name: {"head": "fcn"}}, modes=("eager", "openvino"))
    assert [setting.name for setting in speed.timed()] == [
        SMALL.name, LARGE.name, f"{SMALL.name} openvino", f"{LARGE.name} openvino"
    ]  # fmt: skip
    assert speed.pairs({"neck": "jpu", "head": "fcn"}) == list(speed.timed())
    assert [setting.mode for setting in speed.pairs({"neck": "jpu", "head": "psp"})] == ["eager", "openvino"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, (SMALL,)), "levels to compare against"),
        (({"neck": "off"}, ()), "at least one setting"),
        (({"neck": "off"}, (SMALL, SMALL)), "each may be there once"),
        (({"neck": "off"}, (SMALL,), {"128x256": {}}), "names 128x256"),
        (({"neck": "off"}, (SMALL,), None, ("eager", "eager")), "each may be there once"),
        (({"neck": "off"}, (SMALL,), None, ("eagre",)), "mode='eagre'"),
    ],
)
def test_a_comparison_that_says_nothing_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        Speed(*arguments)
