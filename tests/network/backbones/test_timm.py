"""timm networks, with a small stand-in for timm: levels, layout, choices, refusals."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.backbones.timm import Timm
from bench.parts import BenchError, ChoiceError, Level, part


class Features(nn.Module):
    """Like timm's feature wrapper: four levels, and ``feature_info`` and ``output_fmt`` beside them."""

    def __init__(self, output_stride: int, output_fmt: str) -> None:
        super().__init__()
        reductions = [min(stride, output_stride) for stride in (4, 8, 16, 32)]
        self.convs = nn.ModuleList(
            nn.Conv2d(3, 2 + index, 3, stride=r, padding=1) for index, r in enumerate(reductions)
        )
        self.feature_info = SimpleNamespace(channels=lambda: [2, 3, 4, 5], reduction=lambda: reductions)
        self.output_fmt = output_fmt

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [conv(image) for conv in self.convs]
        return [x.permute(0, 2, 3, 1) for x in features] if self.output_fmt == "NHWC" else features


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts the stand-in in timm's place; gives the choices of each network that was asked of it."""
    asked: list[dict[str, Any]] = []

    def create_model(name: str, features_only: bool, pretrained: bool, output_stride: int = 32) -> nn.Module:
        asked.append({"name": name, "features_only": features_only, "pretrained": pretrained})
        if name == "unknown":
            raise RuntimeError("Unknown model (unknown)")
        if name == "swin" and output_stride != 32:
            raise TypeError("unexpected keyword argument 'output_stride'")
        return Features(output_stride, "NHWC" if name == "swin" else "NCHW")

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    return asked


@pytest.mark.parametrize(("choices", "strides"), [({}, (4, 8, 16, 32)), ({"output_stride": 8}, (4, 8, 8, 8))])
def test_levels_are_what_timm_says_and_the_maps_have_their_sizes(
    calls: list[dict[str, Any]], choices: dict[str, Any], strides: tuple[int, ...]
) -> None:
    backbone = part(Timm, name="resnet", **choices).build()
    assert backbone.out_levels == tuple(map(Level, (2, 3, 4, 5), strides))
    features = backbone(torch.zeros(2, 3, 65, 97))
    assert [tuple(x.shape[1:]) for x in features] == [(e.channels, *e.size(65, 97)) for e in backbone.out_levels]
    assert calls == [{"name": "resnet", "features_only": True, "pretrained": False}]


def test_maps_with_channels_last_are_turned(calls: list[dict[str, Any]]) -> None:
    features = part(Timm, name="swin").build()(torch.zeros(1, 3, 64, 96))
    assert [tuple(x.shape) for x in features][:2] == [(1, 2, 16, 24), (1, 3, 8, 12)]
    assert len(calls) == 1


def test_weights_are_fetched_on_request_but_not_on_the_meta_device(calls: list[dict[str, Any]]) -> None:
    part(Timm, name="resnet", pretrained=True).build()
    with torch.device("meta"):
        part(Timm, name="resnet", pretrained=True).build()
    assert [each["pretrained"] for each in calls] == [True, False]


@pytest.mark.parametrize(("name", "stride"), [("unknown", 32), ("swin", 8)])
def test_what_timm_does_not_have_is_refused_with_its_own_words(
    calls: list[dict[str, Any]], name: str, stride: int
) -> None:
    with pytest.raises(ChoiceError, match=r"Timm\(name=.*(Unknown model|unexpected keyword).*choose a network"):
        part(Timm, name=name, output_stride=stride).build()
    assert len(calls) == 1


def test_without_timm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BenchError, match=r"pip install 'segbench\[timm\]'"):
        part(Timm, name="resnet").build()


def test_the_name_is_a_choice_that_must_be_made() -> None:
    with pytest.raises(ChoiceError, match="Timm needs the choice 'name'"):
        part(Timm)
