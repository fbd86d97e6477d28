"""timm networks, with a small stand-in for timm: levels, layout, choices, refusals."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.backbones.timm import Timm
from bench.network.checkpoints.files import StateFileError
from bench.network.normalisation import MEAN, STD
from bench.parts import BenchError, ChoiceError, Level, part

MEANS = {"vit": (0.5, 0.5, 0.5)}
DEVIATIONS = {"vit": (0.25, 0.5, 0.5)}
SIZED = {"vit": "dynamic_img_size", "swin": "strict_img_size", "mixer": None}
"""The networks with a fixed size, and the choice by which each accepts others, if any."""


class Features(nn.Module):
    """Like timm's feature wrapper: four levels, and ``feature_info`` and ``output_fmt`` beside them."""

    def __init__(self, name: str, output_stride: int, output_fmt: str) -> None:
        super().__init__()
        reductions = [min(stride, output_stride) for stride in (4, 8, 16, 32)]
        self.convs = nn.ModuleList(
            nn.Conv2d(3, 2 + index, 3, stride=r, padding=1) for index, r in enumerate(reductions)
        )
        self.feature_info = SimpleNamespace(channels=lambda: [2, 3, 4, 5], reduction=lambda: reductions)
        self.output_fmt = output_fmt
        self.pretrained_cfg = {"mean": MEANS.get(name, MEAN), "std": DEVIATIONS.get(name, STD)}
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.seen.append(image)
        features = [conv(image) for conv in self.convs]
        return [x.permute(0, 2, 3, 1) for x in features] if self.output_fmt == "NHWC" else features


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts the stand-in in timm's place; gives the choices of each network that was asked of it."""
    asked: list[dict[str, Any]] = []

    def create_model(name: str, output_stride: int = 32, **choices: Any) -> nn.Module:
        if name == "unknown":
            raise RuntimeError("Unknown model (unknown)")
        if name == "unreachable" and choices["pretrained"]:
            raise FileNotFoundError("the file is not in the local cache")
        if name == "swin" and output_stride != 32:
            raise TypeError("unexpected keyword argument 'output_stride'")
        if name == "resnet" and "img_size" in choices:
            raise TypeError("unexpected keyword argument 'img_size'")
        for choice in ("dynamic_img_size", "strict_img_size"):
            if choice in choices and SIZED.get(name) != choice:
                raise TypeError(f"unexpected keyword argument {choice!r}")
        asked.append({"name": name, **choices})
        return Features(name, output_stride, "NHWC" if name == "swin" else "NCHW")

    def get_pretrained_cfg(name: str) -> SimpleNamespace | None:
        return None if name == "unknown" else SimpleNamespace(fixed_input_size=name in SIZED, input_size=(3, 96, 96))

    monkeypatch.setitem(
        sys.modules,
        "timm",
        SimpleNamespace(
            create_model=create_model,
            get_pretrained_cfg=get_pretrained_cfg,
            model_entrypoint=lambda name: SimpleNamespace(__module__="timm.models.mlp_mixer"),
        ),
    )
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


def test_a_network_that_timm_does_not_have_is_refused_with_its_own_words(calls: list[dict[str, Any]]) -> None:
    with pytest.raises(ChoiceError, match=r"Timm\(name=.*Unknown model.*choose a network"):
        part(Timm, name="unknown").build()
    assert calls == []


@pytest.mark.parametrize(("name", "choice", "value"), [("swin", "output_stride", 8), ("resnet", "image_px", (64, 64))])
def test_a_choice_that_timm_does_not_have_for_a_network_is_refused_by_name(
    calls: list[dict[str, Any]], name: str, choice: str, value: object
) -> None:
    with pytest.raises(ChoiceError, match=rf"Timm\(name='{name}'\): timm cannot change .*; leave out {choice}"):
        part(Timm, name=name, **{choice: value}).build()
    assert calls == []


def test_a_network_for_one_size_alone_sees_that_size_and_refuses_larger_images(calls: list[dict[str, Any]]) -> None:
    backbone = part(Timm, name="mixer").build()
    image = torch.randn(1, 3, 60, 80)
    features = backbone(image)
    assert backbone.network.seen[0].shape == (1, 3, 96, 96)
    assert torch.equal(backbone.network.seen[0][..., :60, :80], image)
    assert [tuple(x.shape[2:]) for x in features] == [e.size(60, 80) for e in backbone.out_levels]
    with pytest.raises(ChoiceError, match=r"made for images of 96x96 pixels, got 60x97; choose image_px=\(64, 128\)"):
        backbone(torch.zeros(1, 3, 60, 97))
    assert part(Timm, name="mixer", image_px=(64, 128)).build()(torch.zeros(1, 3, 60, 97))[0].shape[2:] == (15, 25)
    assert [each.get("img_size") for each in calls] == [None, (64, 128)]


def test_without_timm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BenchError, match=r"pip install 'segbench\[timm\]'"):
        part(Timm, name="resnet").build()


def test_the_name_is_a_choice_that_must_be_made() -> None:
    with pytest.raises(ChoiceError, match="Timm needs the choice 'name'"):
        part(Timm)


@pytest.mark.parametrize(
    ("name", "choice"), [("vit", {"dynamic_img_size": True}), ("swin", {"strict_img_size": False})]
)
def test_a_network_with_a_fixed_size_is_made_to_accept_others(
    calls: list[dict[str, Any]], name: str, choice: dict[str, bool]
) -> None:
    part(Timm, name=name).build()
    assert calls == [{"name": name, "features_only": True, "pretrained": False, **choice}]


def test_images_are_padded_with_the_mean_colour_to_whole_strides(calls: list[dict[str, Any]]) -> None:
    backbone = part(Timm, name="resnet").build()
    image = torch.randn(1, 3, 65, 96)
    backbone(image)
    seen = backbone.network.seen[0]
    assert seen.shape == (1, 3, 96, 96)
    assert torch.equal(seen[..., :65, :], image)
    assert not seen[..., 65:, :].any()
    assert len(calls) == 1


def test_weights_that_cannot_be_fetched_are_told_with_the_remedy(calls: list[dict[str, Any]]) -> None:
    with pytest.raises(StateFileError, match=r"'unreachable'.*cannot be fetched: the file is not.*weights_sha256"):
        part(Timm, name="unreachable", pretrained=True).build()


def test_images_are_normalised_as_the_network_expects(calls: list[dict[str, Any]]) -> None:
    backbone = part(Timm, name="vit").build()
    raw = torch.rand(1, 3, 64, 64)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    backbone((raw - mean) / deviation)
    expected = (raw - 0.5) / torch.tensor(DEVIATIONS["vit"]).view(3, 1, 1)
    torch.testing.assert_close(backbone.network.seen[0], expected)
    assert not [name for name in backbone.state_dict() if "scale" in name or "shift" in name]
    assert len(calls) == 1


def test_a_file_of_weights_is_given_to_timm_after_its_checksum_was_verified(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    part(Timm, name="resnet", weights=str(file), weights_sha256=digest).build()
    assert calls[0]["pretrained"] is True
    assert calls[0]["pretrained_cfg_overlay"]["file"] == str(file)
    with torch.device("meta"):
        part(Timm, name="resnet", weights=str(file), weights_sha256=digest).build()
    assert calls[1] == {"name": "resnet", "features_only": True, "pretrained": False}
    with pytest.raises(StateFileError, match="expected 0000"):
        part(Timm, name="resnet", weights=str(file), weights_sha256="0" * 64).build()
    with pytest.raises(ChoiceError, match="choose one of the two"):
        part(Timm, name="resnet", pretrained=True, weights=str(file), weights_sha256=digest).build()


def test_the_size_of_patches_is_passed_on(calls: list[dict[str, Any]]) -> None:
    part(Timm, name="vit", patch_px=16).build()
    assert calls[0]["patch_size"] == 16
