"""The simple feature pyramid on a stand-in for a vision transformer of timm: sizes, values, refusals."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.network.backbones.simple_pyramid import SimplePyramid
from bench.network.backbones.timm import Timm
from bench.network.normalisation import MEAN, STD
from bench.parts import ChoiceError, Level, part
from bench.training.optimiser import layers_of

CHANNELS, WIDTH = 8, 6


class Plain(nn.Module):
    """Like timm's wrapper of a vision transformer: three maps at the stride of its patches."""

    def __init__(self, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, CHANNELS, strides[0], stride=strides[0])
        self.blocks = nn.Sequential(*(nn.Conv2d(CHANNELS, CHANNELS, 1) for _ in strides))
        self.feature_info = SimpleNamespace(channels=lambda: [CHANNELS] * len(strides), reduction=lambda: list(strides))
        self.pretrained_cfg = {"mean": MEAN, "std": STD}

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [self.patch_embed(image)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[1:]


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, patch_size: int = 14, **choices: Any) -> nn.Module:
        return Plain((8, 16, 32) if name == "swin" else (patch_size,) * 3)

    stand_in = SimpleNamespace(create_model=create_model, get_pretrained_cfg=lambda name: None)
    monkeypatch.setitem(sys.modules, "timm", stand_in)


VIT = part(Timm, name="vit", patch_px=16)


def built(**choices: Any) -> SimplePyramid:
    pyramid = part(SimplePyramid, transformer=VIT, width=WIDTH, **choices).build()
    assert isinstance(pyramid, SimplePyramid)
    return pyramid


@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (8, 16, 32), (4,)])
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (16, 16)])
def test_maps_have_the_sizes_of_their_levels(strides: tuple[int, ...], size: tuple[int, int]) -> None:
    pyramid = built(strides=strides)
    assert pyramid.out_levels == tuple(Level(WIDTH, stride) for stride in strides)
    maps = pyramid(torch.randn(2, 3, *size))
    assert [tuple(x.shape[1:]) for x in maps] == [(WIDTH, *level.size(*size)) for level in pyramid.out_levels]


def over_channels(x: Tensor) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()


def test_values_are_those_of_the_description() -> None:
    torch.manual_seed(0)
    pyramid = built().double()
    image = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    maps = pyramid(image)
    last = pyramid.inner(image)[-1]
    quarter, half, same, double = pyramid.scales

    def smoothed(x: Tensor, one: nn.Conv2d, three: nn.Conv2d) -> Tensor:
        x = over_channels(functional.conv2d(x, one.weight))
        return over_channels(functional.conv2d(x, three.weight, padding=1))

    def doubled(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
        assert layer.bias is not None
        rows, columns = x.shape[-2:]
        values = torch.einsum("nchw,cdyx->ndhywx", x, layer.weight)
        return values.reshape(1, -1, 2 * rows, 2 * columns) + layer.bias.view(1, -1, 1, 1)

    finest = doubled(functional.gelu(over_channels(doubled(last, quarter[0]))), quarter[3])
    pooled = functional.pad(last, (0, 1), value=-torch.inf).unfold(2, 2, 2).unfold(3, 2, 2).amax((-2, -1))
    expected = [
        smoothed(finest, quarter[4], quarter[6]),
        smoothed(doubled(last, half[0]), half[1], half[3]),
        smoothed(last, same[0], same[2]),
        smoothed(pooled, double[1], double[3]),
    ]
    for got, want in zip(maps, expected, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"transformer": part(Timm, name="vit")}, "name='vit'.* has stride 14; Timm has patch_px=16"),
        ({"transformer": part(Timm, name="swin")}, "name='swin'.* has a pyramid of its own; choose it as the backbone"),
        ({"transformer": VIT, "strides": (8, 4)}, "ascending order"),
        ({"transformer": VIT, "strides": ()}, "ascending order"),
    ],
)
def test_what_gives_no_pyramid_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        part(SimplePyramid, **choices).build()


def test_the_layers_are_those_of_the_transformer_and_then_the_pyramid() -> None:
    pyramid = built()
    network: Any = pyramid.inner.network
    assert [set(map(id, layer)) for layer in layers_of(pyramid)] == [
        set(map(id, module.parameters())) for module in (network.patch_embed, *network.blocks, pyramid.scales)
    ]
