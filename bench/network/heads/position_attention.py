"""The attention of all positions to all positions, computed without holding a map of all pairs.

Shapes: queries and keys ``N D T``, values and attended values ``N C T``; ``T`` positions.

There are two forms of the same sum, and the tensors alone decide which one runs:

- **A fused kernel of a GPU** (cuDNN's, or the memory-efficient one), where :func:`takes_fused_kernel` says that the
  kernel takes the tensors. It keeps tiles of energies in registers, accumulates them in float32, and never writes them.
  Numbers in float32 are multiplied in two parts of TF32 each, which is as exact as float32 but for the last bits.
- **Blocks of queries** everywhere else, with a backward pass that computes the weights of a block again. On a GPU there
  is one block unless the weights exceed :data:`GPU_BLOCK_BYTES`, because each block costs launches and the reading of
  all keys and values.

**Source**: Fu et al., Dual Attention Network for Scene Segmentation, 2019, section 3.2. The kernels tile the softmax as
in Dao et al., FlashAttention, 2022, and Rabe and Staats, Self-attention Does Not Need O(n²) Memory, 2021.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.network.layers import HALF_TYPES, products, wide_operand, without_autocast

BLOCKS = 24
"""The least number of blocks of queries outside a GPU; it is small enough to keep the products large."""

BLOCK_ELEMENTS = 2**24
"""The largest number of attention weights held at once outside a GPU (64 MiB in float32), for any batch and size."""

GPU_BLOCK_BYTES = 2**28
"""The largest size of the attention weights of one block on a GPU, in bytes of the type in which they are computed."""

HEAD_CHANNELS = 128
"""The largest number of channels of a value that all fused kernels take, forward and backward. With queries of 64
channels, cuDNN 9.20 has backward kernels for values of 256 on sm_90 alone, and for 128 on sm_80, sm_90 and sm_100.
Wider values are split into heads of at most this width, which share queries and keys, so the energies are computed
once for each head."""

LEAST_HEAD_CHANNELS = 64
"""The least width of such a head: with narrower ones, computing the energies again would cost more than the values."""

KERNEL_ALIGNMENT = 8
"""The number that must divide the channels of queries and values: 16 bytes in half precision."""


def attend(query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
    """Compute ``gamma * value @ softmax(queryᵀ @ key)ᵀ`` without holding the whole softmax.

    Args:
        query: the queries, ``N D T``.
        key: the keys, ``N D T``.
        value: the values, ``N C T``.
        gamma: the weight, one element. It is a parameter of this function because in blocks its gradient follows from
            that of the softmax, so that the attended values need not be kept for it.

    Returns:
        The weighted attended values, ``N C T``.
    """
    if takes_fused_kernel(query, value):
        return gamma * attend_in_heads(query, key, value, head_channels(value.shape[1]))
    # A tracer can only follow plain operations, and without gradients there is nothing to recompute.
    if torch.is_grad_enabled() and not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch does not export it
        attended: Tensor = _AttendInBlocks.apply(query, key, value, gamma)  # type: ignore[no-untyped-call]  # untyped in torch
        return attended
    return _attend_in_blocks(query, key, value, gamma)


def takes_fused_kernel(query: Tensor, value: Tensor) -> bool:
    """Return ``True`` if a fused kernel takes queries and keys like ``query`` and values like ``value``.

    The conditions are those of torch's memory-efficient kernel, which torch takes where it does not prefer cuDNN's:

    - an NVIDIA GPU; with shapes alone, without a GPU at hand, a recent one is assumed;
    - float32 or half precision, bfloat16 from compute capability 8.0 on;
    - channels that are multiples of :data:`KERNEL_ALIGNMENT`;
    - the kernel is not switched off (``torch.nn.attention.sdpa_kernel``), as it is while products are counted; a
      compiler cannot ask, and takes it to be on;
    - no training with deterministic algorithms, as the backward passes of the kernels add in an order that varies.
    """
    return (
        value.is_cuda
        and torch.version.hip is None
        and value.dtype in (torch.float32, *HALF_TYPES)
        and query.shape[1] % KERNEL_ALIGNMENT == 0
        and value.shape[1] % KERNEL_ALIGNMENT == 0
        and (torch.compiler.is_compiling() or torch.backends.cuda.mem_efficient_sdp_enabled())
        and not (torch.are_deterministic_algorithms_enabled() and torch.is_grad_enabled())
        and (value.dtype != torch.bfloat16 or _multiplies_bfloat16(value.device))
    )


def _multiplies_bfloat16(device: torch.device) -> bool:
    return not torch.cuda.is_available() or torch.cuda.get_device_capability(device) >= (8, 0)


def attend_in_heads(query: Tensor, key: Tensor, value: Tensor, width: int) -> Tensor:
    """Compute ``value @ softmax(queryᵀ @ key)ᵀ`` by torch's scaled dot product attention, without scaling.

    The values are split into heads that a fused kernel takes, and every head gets the same queries and keys. They are
    copied for each head, which is little beside the values: cuDNN lays its output out like the queries, and an expanded
    dimension of stride 0 would become the innermost one.

    Args:
        query: the queries, ``N D T``.
        key: the keys, ``N D T``.
        value: the values, ``N C T``. From feature maps in channels-last memory they are not copied.
        width: the channels of a head, a divisor of ``C``, such as :func:`head_channels`.

    Returns:
        The attended values, ``N C T``, a view of memory in the order ``N T C``.
    """
    batch, channels, positions = value.shape
    heads = channels // width

    def repeated(x: Tensor) -> Tensor:
        return x.transpose(1, 2).unsqueeze(2).expand(-1, -1, heads, -1).contiguous().transpose(1, 2)

    values = value.transpose(1, 2).contiguous().view(batch, positions, heads, width).transpose(1, 2)
    attended = F.scaled_dot_product_attention(repeated(query), repeated(key), values, scale=1.0)
    return attended.transpose(1, 2).reshape(batch, positions, channels).transpose(1, 2)


def head_channels(channels: int) -> int:
    """The width of a head of values: the widest aligned divisor of ``channels`` from 64 to 128, or all channels.

    Values of fewer channels, or of a number without such a divisor, are one head. Above 128 channels only the
    memory-efficient kernel takes it.
    """
    widths = range(HEAD_CHANNELS, LEAST_HEAD_CHANNELS - 1, -KERNEL_ALIGNMENT)
    return next((width for width in widths if channels % width == 0), channels)


def _attend_in_blocks(query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
    blocks = [
        value.bmm(_weights(query_block, key).transpose(1, 2)) for query_block in query.split(_block(query), dim=2)
    ]
    return gamma * (blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2))


def _weights(query: Tensor, key: Tensor) -> Tensor:
    """The attention weights of a block of queries, ``N block T``; energies and softmax are in float32 at least."""
    with without_autocast(query):
        energy = products(wide_operand(query).transpose(1, 2), wide_operand(key))
        return torch.softmax(energy, dim=-1).to(query.dtype)


def _block(query: Tensor) -> int:
    """The number of queries in a block."""
    batch, _, positions = query.shape
    if query.is_cuda:
        row_bytes = batch * positions * torch.promote_types(query.dtype, torch.float32).itemsize
        return max(1, min(positions, GPU_BLOCK_BYTES // row_bytes))
    return max(1, min(-(-positions // BLOCKS), BLOCK_ELEMENTS // (batch * positions)))


class _AttendInBlocks(torch.autograd.Function):
    """The function :func:`_attend_in_blocks` with a backward pass that recomputes blocks of attention."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value, gamma)
        return _attend_in_blocks(query, key, value, gamma)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        query, key, value, gamma = ctx.saved_tensors
        wide = torch.promote_types(query.dtype, torch.float32)
        grad_key, grad_value = torch.zeros_like(key, dtype=wide), torch.zeros_like(value, dtype=wide)
        grad_query, grad_gamma, block = [], torch.zeros_like(gamma), _block(query)
        for part, upstream in zip(query.split(block, dim=2), grad.split(block, dim=2), strict=True):
            weights = _weights(part, key)
            _add_product(grad_value, (gamma * upstream).to(value.dtype), weights)
            energy = upstream.to(value.dtype).transpose(1, 2).bmm(value).to(wide).mul_(weights)
            # The product of a query's upstream gradient and the values that it attended to.
            share = energy.sum(-1, keepdim=True)
            grad_gamma += share.sum()
            # Softmax: d energy = weights * (d weights - sum(weights * d weights)), in place to hold only two blocks.
            energy = energy.addcmul_(weights.to(wide), share, value=-1).mul_(gamma).to(query.dtype)
            del weights
            grad_query.append(key.bmm(energy.transpose(1, 2)))
            _add_product(grad_key, part, energy)
            del energy  # frees memory before the next block allocates two arrays of this size
        return torch.cat(grad_query, dim=2), grad_key.to(key.dtype), grad_value.to(value.dtype), grad_gamma


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right`` to ``total`` in place; the sum over blocks has the precision of ``total``."""
    if total.dtype == left.dtype:
        torch.baddbmm(total, left, right, out=total)
    else:
        total += left.bmm(right)
