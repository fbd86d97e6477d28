"""Joint pyramid upsampling: a stride-8 map from the last three levels of an undilated backbone.

Shapes: features [C1, …, C5] -> [C1, …, C4, fused]; the fused map has C3's size and ``len(dilations) * width`` channels
in JPU, ``(1 + len(dilations[1])) * width`` in JPU-X.

**Source**: Wu et al., FastFCN: Rethinking Dilated Convolution in the Backbone for Semantic Segmentation, 2019,
section 3.3; branch structure and concatenation order of the released version 1.0.0. JPU-X is the module of that name in
the repository's later state, which no paper describes.

**Departures**:
- If a trainer synchronises normalisation between processes, the depthwise normalisation is synchronised too; in the
  release it is not, which is ``depthwise_norm="local"``. In one process the two are the same.
- The second level that JPU-X reads may have any number of channels; the release needs twice the width there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from bench.network.layers import GroupNorm, Resize, conv_norm_relu, joined, need_coarser_levels, own_draws
from bench.parts import ChoiceError, Count, Level, Levels

Dilations = tuple[Count, ...]
Norm = Callable[[int], nn.Module]


class JPU(nn.Module):
    """JPU: features -> the same list with the last map replaced by the fused one, at the third-last level's stride.

    Args:
        levels: the backbone's pyramid; the last three levels are read.
        width: the channels of each lateral convolution and of each dilated branch.
        dilations: the dilations of the parallel separable convolutions.
        depthwise_norm: the normalisation between the depthwise and the pointwise convolution: ``batch``, ``local``
            (batch normalisation that a trainer does not synchronise between processes) or ``none``.
        frozen: ``True`` to keep the random initial weights, as a control for the effect of the upsampling structure
            without training. The normalisation statistics still follow the data.

    Raises:
        ChoiceError: if there are no dilations.
        WiringError: if there are fewer than three levels, or if the last three leave nothing to upsample.
    """

    zero_gradient: ClassVar[dict[str, str]] = {
        "depthwise_norm.bias": "a shift ahead of a convolution without bias is removed by the normalisation behind it",
    }

    def __init__(
        self,
        levels: Levels,
        *,
        width: Count = 512,
        dilations: Dilations = (1, 2, 4, 8),
        depthwise_norm: Literal["batch", "local", "none"] = "batch",
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if not dilations:
            raise ChoiceError("JPU(dilations=()): expected at least one dilation, such as (1, 2, 4, 8)")
        need_coarser_levels(self, levels)
        norms: dict[str, Norm | None] = {"batch": nn.BatchNorm2d, "local": LocalBatchNorm2d, "none": None}
        self.resize = Resize()
        self.laterals = nn.ModuleList(conv_norm_relu(level.channels, width, 3) for level in levels[-3:])
        self.branches = nn.ModuleList()
        for index, dilation in enumerate(dilations):
            with own_draws(f"branch {index}"):
                self.branches.append(SeparableConv(3 * width, width, dilation, norms[depthwise_norm], nn.BatchNorm2d))
        self.out_levels: Levels = (*levels[:-1], Level(len(dilations) * width, levels[-3].stride))
        if frozen:
            self.requires_grad_(False)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        shallow, middle, deep = (lateral(x) for lateral, x in zip(self.laterals, features[-3:], strict=True))
        size = shallow.shape[-2:]
        # The order from deep to shallow is that of the release, on which converted checkpoints rely.
        joint = joined([self.resize(deep, size), self.resize(middle, size), shallow], shallow)
        fused = joined([branch(joint) for branch in self.branches], shallow)
        return [*features[:-1], fused]


class JPUX(nn.Module):
    """JPU-X, a :class:`JPU` in two steps: C4 joins C3 at half the width, then C5 joins the result at the full width.

    Args:
        levels: the backbone's pyramid; the last three levels are read.
        width: the channels of each lateral convolution and branch in the second step; the first step has half.
        dilations: the dilations of the parallel separable convolutions in each of the two steps.
        groups: the groups of the group normalisation in the branches; lateral convolutions have batch normalisation.

    Raises:
        ChoiceError: if a step has no dilations, or if ``groups`` does not divide half the width.
        WiringError: if there are fewer than three levels, or if the last three leave nothing to upsample.
    """

    zero_gradient: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        levels: Levels,
        *,
        width: Count = 512,
        dilations: tuple[Dilations, Dilations] = ((1, 2, 4), (2, 4, 8)),
        groups: Count = 32,
    ) -> None:
        super().__init__()
        if not all(dilations):
            raise ChoiceError(
                f"JPUX(dilations={dilations}): expected at least one dilation a step, as in ((1, 2), (2,))"
            )
        if width % (2 * groups):
            raise ChoiceError(
                f"JPUX(width={width}, groups={groups}): half the width is normalised in groups, so the width must be a "
                f"multiple of {2 * groups}"
            )
        need_coarser_levels(self, levels)
        shallow, middle, deep = levels[-3:]
        joined = (1 + len(dilations[0])) * (width // 2)
        self.first = JointStep(middle.channels, shallow.channels, width // 2, dilations[0], groups)
        self.second = JointStep(deep.channels, joined, width, dilations[1], groups)
        self.out_levels: Levels = (*levels[:-1], Level((1 + len(dilations[1])) * width, shallow.stride))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        shallow, middle, deep = features[-3:]
        return [*features[:-1], self.second(deep, self.first(middle, shallow))]


class JointStep(nn.Module):
    """A step of JPU-X: a coarse and a fine map -> ``N (1 + len(dilations)) * width h w`` at the fine map's size."""

    def __init__(self, coarse: int, fine: int, width: int, dilations: Dilations, groups: int) -> None:
        super().__init__()

        def norm(channels: int) -> nn.Module:
            return GroupNorm(groups, channels)

        self.resize = Resize()
        with own_draws("laterals"):
            self.coarse = conv_norm_relu(coarse, width, 3)
            self.fine = conv_norm_relu(fine, width, 3)
        self.branches = nn.ModuleList()
        for index, dilation in enumerate(dilations):
            with own_draws(f"branch {index}"):
                self.branches.append(SeparableConv(2 * width, width, dilation, norm, norm))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        fine = self.fine(fine)
        coarse = self.resize(self.coarse(coarse), fine.shape[-2:])
        joint = joined([coarse, fine], fine)
        return joined([coarse, *(branch(joint) for branch in self.branches)], fine)


class SeparableConv(nn.Module):
    """A separable convolution that keeps the size.

    It is a dilated depthwise 3x3 with normalisation but no activation, followed by a 1x1, normalisation and ReLU.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dilation: int, depthwise_norm: Norm | None, norm: Norm
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, padding=dilation, dilation=dilation, groups=in_channels, bias=False
        )
        self.depthwise_norm = nn.Identity() if depthwise_norm is None else depthwise_norm(in_channels)
        self.pointwise = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), norm(out_channels), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise_norm(self.depthwise(x)))
        return out


class LocalBatchNorm2d(nn.Module):
    """A batch normalisation that ``nn.SyncBatchNorm.convert_sync_batchnorm`` leaves alone, as its class is another."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        like = nn.BatchNorm2d(channels)
        self.momentum, self.eps = like.momentum, like.eps
        self.weight, self.bias = like.weight, like.bias
        for name, buffer in like.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        statistics = (self.running_mean, self.running_var)
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, self.momentum or 0.1, self.eps)
