"""Building blocks that several components share. Feature maps are ``N C H W``."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.autocast_mode import is_autocast_available

from bench.parts import BenchError, Level, Levels

HALF_TYPES = (torch.float16, torch.bfloat16)
"""The types of half precision."""


def resize(x: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """The map resized bilinearly to ``size`` = (height, width). All interpolation in the harness uses this function."""
    height, width = int(size[0]), int(size[1])
    if (height, width) == tuple(x.shape[-2:]):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=align_corners)


class Resize(nn.Module):
    """The function :func:`resize` as a module. :class:`~bench.network.model.SegModel` sets its convention.

    The map keeps its type. On a GPU, autocast interpolates in float32, so that the gradients of the pixels that one
    pixel becomes are summed in float32. The result is rounded to the type of ``x``, in which the next layer reads it.
    Without gradients, interpolation in half precision gives the same numbers, and moves half of the bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.align_corners = True

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        if torch.is_grad_enabled():
            return resize(x, size, self.align_corners).to(x.dtype)
        with without_autocast(x):
            return resize(x, size, self.align_corners)


def joined(maps: Sequence[Tensor], like: Tensor) -> Tensor:
    """The maps side by side in the dimension of channels, in the memory format of the map ``like``.

    ``torch.cat`` gives up the channels-last format if one map has another, as a map enlarged from one pixel has.
    """
    if not is_channels_last(like):
        return torch.cat(list(maps), dim=1)
    return torch.cat([x.permute(0, 2, 3, 1) for x in maps], dim=3).permute(0, 3, 1, 2)


def is_channels_last(x: Tensor) -> bool:
    """Return ``True`` if a map is in channels-last memory alone; with a single channel, both formats are the same."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class GroupNorm(nn.GroupNorm):
    """A group normalisation that keeps the type and the memory format of its input, which that of torch does on a CPU.

    On a GPU, autocast computes it in float32, and torch's kernel gives up the channels-last format.
    """

    def forward(self, x: Tensor) -> Tensor:
        normal = super().forward(x).to(x.dtype)
        return normal.contiguous(memory_format=torch.channels_last) if is_channels_last(x) else normal


def summed(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps of one shape, in the type of the maps and the memory format of the first one.

    ``torch.stack`` gives up the channels-last format, and autocast computes ``torch.sum`` in float32 on a GPU.
    """
    return functools.reduce(torch.add, maps)


def widened(x: Tensor) -> Tensor:
    """The tensor in float32, or unchanged if its type is at least that wide."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def wide_operand(x: Tensor) -> Tensor:
    """The operand of :func:`products` for ``x``: in float32 at least, or ``x`` itself where float32 would add nothing.

    On a GPU, products of numbers in half precision are exact in float32, in which they are summed there. torch has no
    gradient of such a product, so it is used where none is recorded.
    """
    return x if x.is_cuda and x.dtype in HALF_TYPES and not torch.is_grad_enabled() else widened(x)


def products(left: Tensor, right: Tensor) -> Tensor:
    """The products of two batches of matrices in float32 at least; the operands come from :func:`wide_operand`."""
    return torch.bmm(left, right, out_dtype=torch.float32) if left.dtype in HALF_TYPES else torch.bmm(left, right)


def without_autocast(x: Tensor) -> torch.autocast:
    """A context without autocast on the device of ``x``, for sums of products that half precision cannot hold.

    Under autocast, float32 operands alone are not enough, because the product itself would use half precision.
    """
    device = x.device.type
    return torch.autocast(device if is_autocast_available(device) else "cpu", enabled=False)


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size, followed by batch normalisation and ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


@contextlib.contextmanager
def own_draws(name: str) -> Iterator[None]:
    """Inside the block, draw initial weights from a stream of its own, which leaves the outer random stream unchanged.

    An optional module, or one whose shape depends on a choice, is built in such a block, so that all other tensors of
    the component start out bit-identical with and without it.
    """
    outside = torch.get_rng_state()
    digest = hashlib.sha256(f"{torch.initial_seed()}/{name}".encode()).digest()
    # Weights are drawn on the CPU. torch.manual_seed would also record a stack trace for each GPU to be seeded later.
    torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    try:
        yield
    finally:
        torch.set_rng_state(outside)


class WiringError(BenchError, ValueError):
    """Neighbouring components that do not fit together, for example because of too few levels or a wrong stride."""


def need_levels(owner: nn.Module, levels: Levels, count: int, remedy: str) -> None:
    """Reject a pyramid of fewer than ``count`` levels.

    Raises:
        WiringError: if there are fewer; the message names the levels, the needed number and the remedy.
    """
    if len(levels) < count:
        raise WiringError(
            f"{type(owner).__name__} needs the last {count} levels of a pyramid, got {len(levels)}: "
            f"{', '.join(map(str, levels)) or 'none'}; {remedy}"
        )


def need_stride(owner: nn.Module, level: Level, allowed: Sequence[int], remedy: str) -> None:
    """Reject a map whose stride is not one of ``allowed``.

    Raises:
        WiringError: if it is not; the message names the stride, the allowed ones and the remedy.
    """
    if level.stride not in allowed:
        raise WiringError(
            f"{type(owner).__name__} reads a map of stride {', '.join(map(str, allowed))}, got stride {level.stride} "
            f"({level.channels} channels); {remedy}"
        )


class BoundaryFusion(nn.Module):
    """The addition of a boundary map to the features before a head's classifier; the identity without a boundary map.

    The map is resized to the features and embedded by a 1x1 convolution, so that every head can use a shape stream.
    Only ASPP has the separate branch that Gated-SCNN describes.
    """

    def __init__(self, channels: int, boundary: Level | None) -> None:
        super().__init__()
        self.resize = Resize()
        self.embed: nn.Conv2d | None = None
        if boundary is not None:
            with own_draws("boundary"):
                self.embed = nn.Conv2d(boundary.channels, channels, 1)

    def forward(self, features: Tensor, boundary: Tensor | None) -> Tensor:
        if self.embed is None or boundary is None:
            return features
        embedded: Tensor = self.embed(self.resize(boundary, features.shape[-2:]))
        return features + embedded


def draw_by_name(network: nn.Module) -> None:
    """Draw the weights of convolutions from a normal distribution, std sqrt(2 / (k * k * out)) as in PyTorch-Encoding.

    Normalisation keeps its initial weights of 1 and biases of 0. Each convolution draws from a stream that depends on
    its name, so that tensors which two configurations share start out equal. Nothing is drawn on the meta device, where
    a draw would load torch's compiler.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            fan_out = module.out_channels * math.prod(module.kernel_size)
            with own_draws(name):
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))


def need_coarser_levels(owner: nn.Module, levels: Levels) -> None:
    """Reject a pyramid whose last three levels do not become coarser.

    Raises:
        WiringError: if there are fewer than three levels, or if the last three leave nothing to upsample.
    """
    need_levels(owner, levels, 3, "take a backbone with more stages")
    strides = tuple(level.stride for level in levels[-3:])
    if not strides[0] <= strides[1] <= strides[2] or strides[0] == strides[2]:
        raise WiringError(
            f"{type(owner).__name__} upsamples to the third level from the end, so the last three must become coarser, "
            f"as in strides 8, 16, 32; got strides {', '.join(map(str, strides))}; take a backbone with "
            "output_stride=32, or neck=None"
        )
