"""The backbones of timm with timm itself: sizes, files of weights, layers. Run by ``nox -s timm``."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bench.network.backbones.simple_pyramid import SimplePyramid
from bench.network.backbones.timm import Timm
from bench.parts import ChoiceError, part
from bench.training.optimiser import layers_of

pytestmark = pytest.mark.timm

NETWORKS = (
    part(Timm, name="resnet18"),
    part(Timm, name="resnet18", output_stride=8),
    part(Timm, name="convnext_atto"),
    part(Timm, name="swin_tiny_patch4_window7_224"),
    part(Timm, name="vit_tiny_patch16_224"),
    part(Timm, name="vit_small_patch16_dinov3"),
    part(Timm, name="vit_small_patch14_dinov2"),
    part(Timm, name="maxvit_pico_rw_256"),
    part(Timm, name="halonet26t"),
    part(Timm, name="bat_resnext26ts"),
    part(Timm, name="botnet26t_256"),
    part(Timm, name="coatnet_pico_rw_224"),
    part(Timm, name="coat_lite_tiny"),
    part(Timm, name="gmlp_ti16_224", image_px=(112, 144)),
    part(Timm, name="crossvit_tiny_240"),
    part(Timm, name="mvitv2_tiny"),
    part(Timm, name="test_vit.r160_in1k", image_px=(64, 64)),
    part(SimplePyramid, transformer=part(Timm, name="vit_small_patch16_dinov3")),
    part(SimplePyramid, transformer=part(Timm, name="vit_small_patch14_dinov2", patch_px=16)),
)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: repr(network)[:70])
@pytest.mark.parametrize("size", [(96, 128), (97, 131)])
def test_maps_have_the_sizes_of_their_levels(network: Any, size: tuple[int, int]) -> None:
    backbone = network.build().eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, *size))
    assert [tuple(x.shape[1:]) for x in maps] == [(e.channels, *e.size(*size)) for e in backbone.out_levels]


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_of_weights_fills_every_tensor(name: str, suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = import_module("timm").create_model(name)
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(whole.state_dict(), file)
    else:
        save_file(whole.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    torch.manual_seed(2)
    backbone = part(Timm, name=name, weights=str(file), weights_sha256=digest).build().eval()
    saved = whole.state_dict()
    filled = backbone.network.state_dict()
    assert filled
    for key, value in filled.items():
        assert any(other.shape == value.shape and torch.equal(other, value) for other in saved.values()), key


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    state = import_module("timm").create_model("resnet18").state_dict()
    del state["layer3.0.conv1.weight"]
    file = tmp_path / "weights.pth"
    torch.save(state, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ChoiceError, match=r"layer3\.0\.conv1\.weight"):
        part(Timm, name="resnet18", weights=str(file), weights_sha256=digest).build()


def test_a_plain_transformer_decays_block_by_block() -> None:
    layers = layers_of(part(SimplePyramid, transformer=part(Timm, name="vit_tiny_patch16_224"), width=8).build())
    assert len(layers) == 1 + 12 + 1  # patches, blocks, the pyramid
