"""WiderResNet-38 A2, the pre-activation trunk of Gated-SCNN, at output stride 8.

Shapes: image ``N 3 H W`` -> levels [mod1, mod2, mod3, mod4, mod7] at strides ``s`` of 1, 2, 4, 8, 8, each
``N C ceil(H/s) ceil(W/s)``.

**Source**: Wu et al., Wider or Deeper: Revisiting the ResNet Model for Visual Recognition, 2019, model A2; dilated as
in Rota Bulò et al., In-Place Activated BatchNorm, 2018. As in Gated-SCNN the last level is the raw sum of mod7, without
the normalisation and activation that would end the network. Written from a description; no code of the release is used.

**Departures**:
- No classifier.
- Convolutions are initialised like those of :class:`~bench.network.backbones.resnet.ResNet`; with PyTorch's default, as
  in the release, the signal fades with depth. The choice ``weights`` loads weights trained on ImageNet.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from bench.network.backbones.pretrained import load_weights
from bench.network.checkpoints.gscnn import WIDE_RESNET
from bench.network.checkpoints.verified import check_weights_choice
from bench.network.layers import draw_by_name
from bench.parts import Count, Fraction, Level, Levels


class WideStage(NamedTuple):
    """One of mod2 … mod7; ``channels`` lists those of each convolution, as multiples of the width."""

    blocks: int
    channels: tuple[int, ...]
    stride: int = 1
    dilation: int = 1


STAGES = {
    "mod2": WideStage(3, (2, 2)),
    "mod3": WideStage(3, (4, 4)),
    "mod4": WideStage(6, (8, 8), stride=2),
    "mod5": WideStage(3, (8, 16), dilation=2),
    "mod6": WideStage(1, (8, 16, 32), dilation=4),
    "mod7": WideStage(1, (16, 32, 64), dilation=4),
}
"""The stages. Blocks with two ``channels`` have two 3x3 convolutions, those with three are bottlenecks. A pooling
precedes mod2 and mod3."""

OUTPUTS = ("mod2", "mod3", "mod4", "mod7")


RELEASED = WIDE_RESNET | {theirs.removesuffix(".0"): ours for theirs, ours in WIDE_RESNET.items()}
"""Name of a module in weights of Gated-SCNN's trunk, or of In-Place ABN, whose normalisation includes the activation ->
its name here."""


class PreActivationBlock(nn.Module):
    """Convolutions, each after normalisation and ReLU, and a shortcut: ``N I H W`` -> ``N channels[-1] H/s W/s``.

    With two ``channels``, the convolutions are 3x3 and 3x3; with three they are 1x1, 3x3 and, after dropout, 1x1. If
    the shape changes, the shortcut is a 1x1 convolution of the activated input, otherwise the input itself. The first
    convolution has the stride, and every 3x3 convolution the dilation.
    """

    def __init__(
        self, in_channels: int, channels: tuple[int, ...], *, stride: int = 1, dilation: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        inputs = (in_channels, *channels[:-1])
        self.count = len(channels)
        for index, (entering, leaving, kernel) in enumerate(zip(inputs, channels, kernels, strict=True), start=1):
            step = stride if index == 1 else 1
            spread = dilation if kernel == 3 else 1
            padding = spread * (kernel // 2)
            self.add_module(f"bn{index}", nn.BatchNorm2d(entering))
            self.add_module(
                f"conv{index}",
                nn.Conv2d(entering, leaving, kernel, stride=step, padding=padding, dilation=spread, bias=False),
            )
        self.relu = nn.ReLU()
        self.dropout: nn.Module = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.projection: nn.Conv2d | None = None
        if stride != 1 or in_channels != channels[-1]:
            self.projection = nn.Conv2d(in_channels, channels[-1], 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu(self.get_submodule("bn1")(x))
        shortcut = x if self.projection is None else self.projection(active)
        out = self.get_submodule("conv1")(active)
        for index in range(2, self.count + 1):
            out = self.relu(self.get_submodule(f"bn{index}")(out))
            if index == self.count:
                out = self.dropout(out)
            out = self.get_submodule(f"conv{index}")(out)
        summed: Tensor = out + shortcut
        return summed


class WideResNet38(nn.Module):
    """WiderResNet-38: image ``N 3 H W`` -> [mod1, mod2, mod3, mod4, mod7] at 1/1, 1/2, 1/4, 1/8 and 1/8 of its size.

    Args:
        width: the channels of mod1, 64 in the published network; the other levels have 2, 4, 8 and 64 times as many.
        dropout: the shares of channels that are dropped in training before the last convolution of mod6 and of mod7.
        weights: the path or URL of a state dict to start from, with the names of Gated-SCNN's trunk or of In-Place ABN;
            its classifier, and the normalisation before that, are dropped. ``None`` keeps the random initial weights.
        weights_sha256: the checksum of that file.

    Attributes:
        loaded: the result of loading the weights; ``None`` without weights, and on the meta device.

    Raises:
        ChoiceError: if weights are given without a checksum, or the reverse.
        StateFileError: if the weights cannot be fetched or do not fit.
    """

    def __init__(
        self,
        *,
        width: Count = 64,
        dropout: tuple[Fraction, Fraction] = (0.3, 0.5),
        weights: str | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        super().__init__()
        check_weights_choice("WideResNet38", weights, weights_sha256)
        self.mod1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        drops = {"mod6": dropout[0], "mod7": dropout[1]}
        channels = width
        for name, stage in STAGES.items():
            widths = tuple(width * channels for channels in stage.channels)
            blocks = []
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(
                    PreActivationBlock(
                        channels, widths, stride=stride, dilation=stage.dilation, dropout=drops.get(name, 0.0)
                    )
                )
                channels = widths[-1]
            self.add_module(name, nn.Sequential(*blocks))
        outputs = [width * STAGES[name].channels[-1] for name in OUTPUTS]
        self.out_levels: Levels = tuple(map(Level, (width, *outputs), (1, 2, 4, 8, 8)))
        draw_by_name(self)
        self.loaded = None
        if weights is not None and weights_sha256 is not None:
            drop = ("bn_out", "classifier")
            self.loaded = load_weights(self, weights, weights_sha256, drop=drop, names=RELEASED)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.mod1(image)
        features = [x]
        for name in STAGES:
            if name in ("mod2", "mod3"):
                x = self.pool(x)
            x = self.get_submodule(name)(x)
            if name in OUTPUTS:
                features.append(x)
        return features
