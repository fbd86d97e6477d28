"""Position attention in heads, as a GPU computes it: equal to the plain form, the rule that chooses it, its memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.cost.shapes import FLOPS, plain_attention
from bench.network.heads import position_attention
from bench.network.heads.dual_attention import ChannelAttention, PositionAttention
from bench.network.heads.position_attention import attend, attend_in_heads, head_channels, takes_fused_kernel
from bench.network.numerics import switches
from benchmarks import plain

DEVIATION = {torch.float64: 1e-14, torch.float32: 1.2e-6, torch.bfloat16: 2**-6}
"""The largest difference from the plain form in float64, as a share of the largest value, by the type."""

AGREEMENT = {torch.float64: 1e-14, torch.float32: 8e-7}
"""The same from the plain form in that type. In bfloat16 the plain form rounds the energies, so it is farther away."""


def operands(batch: int, query_channels: int, channels: int, positions: int) -> list[Tensor]:
    """Queries, keys, values and gamma in float64; energies are about as large as those of features of a network."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    scale = query_channels**-0.25
    shape = (batch, query_channels, positions)
    return [scale * draw(*shape), scale * draw(*shape), draw(batch, channels, positions), draw(1)]


def in_heads(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return attend_in_heads(query, key, value, head_channels(value.shape[1]))


def with_gradients(form: str, given: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The output of a form of position attention on operands of a type, and the gradients of all operands."""
    leaves = [x.to(dtype).requires_grad_() for x in given]
    query, key, value, gamma = leaves
    out = gamma * (plain.attend(query, key, value) if form == "plain" else in_heads(query, key, value))
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [out, *torch.autograd.grad(out, leaves, upstream.to(dtype))]


@pytest.mark.parametrize("dtype", list(DEVIATION), ids=str)
@pytest.mark.parametrize(
    ("batch", "query_channels", "channels", "positions"),
    [(1, 64, 512, 187), (3, 8, 256, 77), (2, 3, 5, 64), (2, 8, 8, 1)],
)
def test_in_heads_the_output_and_every_gradient_are_those_of_the_plain_form(
    batch: int, query_channels: int, channels: int, positions: int, dtype: torch.dtype
) -> None:
    given = [x.to(dtype).double() for x in operands(batch, query_channels, channels, positions)]
    results, alike, exact = (
        with_gradients(form, given, of_type)
        for form, of_type in (("heads", dtype), ("plain", dtype), ("plain", torch.float64))
    )
    for result, plain_result, truth in zip(results, alike, exact, strict=True):
        assert result.dtype == dtype
        assert deviation(result, truth) <= DEVIATION[dtype]
        assert dtype not in AGREEMENT or deviation(result, plain_result) <= AGREEMENT[dtype]


def deviation(result: Tensor, truth: Tensor) -> float:
    """The largest difference as a share of the largest value, or itself where all are 0, as for a single position."""
    scale = float(truth.detach().abs().max()) or 1.0
    return float((result.detach().double() - truth.detach().double()).abs().max()) / scale


def test_values_that_are_split_in_more_heads_than_one_still_give_one_softmax() -> None:
    query, key, value, _ = operands(2, 8, 512, 33)
    assert head_channels(512) == 128
    attended = in_heads(query, key, value)
    for start in range(0, 512, 128):
        alone = plain.attend(query, key, value[:, start : start + 128])
        assert torch.allclose(attended[:, start : start + 128], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "width"),
    [(512, 128), (256, 128), (128, 128), (64, 64), (32, 32), (8, 8), (384, 128), (320, 80), (1088, 64), (136, 136)],
)
def test_a_head_has_from_64_to_128_aligned_channels_or_all(channels: int, width: int) -> None:
    assert head_channels(channels) == width
    assert channels % width == 0


def test_maps_in_channels_last_memory_are_neither_copied_nor_given_back_in_another_format() -> None:
    x = torch.randn(2, 64, 5, 7).to(memory_format=torch.channels_last).flatten(2)
    assert x.transpose(1, 2).is_contiguous()
    assert in_heads(x[:, :8], x[:, :8], x).transpose(1, 2).is_contiguous()


def on(device: str, channels: int, dtype: torch.dtype) -> Tensor:
    """A tensor ``2 channels 30`` without values that says it is on a device, whether or not that device is at hand."""
    with FakeTensorMode():
        return torch.empty(2, channels, 30, dtype=dtype, device=device)


@pytest.mark.parametrize(
    ("device", "query_channels", "channels", "dtype", "taken"),
    [
        ("cuda", 64, 512, torch.bfloat16, True),
        ("cuda", 64, 512, torch.float16, True),
        ("cuda", 64, 512, torch.float32, True),
        ("cuda", 8, 64, torch.bfloat16, True),
        ("cuda", 64, 512, torch.float64, False),
        ("cuda", 12, 512, torch.bfloat16, False),
        ("cuda", 12, 96, torch.float32, False),
        ("cuda", 64, 500, torch.float32, False),
        ("cpu", 64, 512, torch.float32, False),
        ("cpu", 64, 512, torch.bfloat16, False),
        ("meta", 64, 512, torch.float32, False),
    ],
)
def test_a_fused_kernel_is_taken_on_a_gpu_for_aligned_channels_in_single_and_half_precision_alone(
    device: str, query_channels: int, channels: int, dtype: torch.dtype, taken: bool
) -> None:
    assert takes_fused_kernel(on(device, query_channels, dtype), on(device, channels, dtype)) is taken


def test_an_old_gpu_gets_blocks_in_bfloat16_and_the_kernel_in_other_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, taken in (((7, 5), False), ((8, 0), True), ((12, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert takes_fused_kernel(*(on("cuda", channels, torch.bfloat16) for channels in (64, 512))) is taken
        assert takes_fused_kernel(*(on("cuda", channels, torch.float16) for channels in (64, 512)))


def test_no_kernel_is_taken_while_products_are_counted_or_while_it_is_switched_off() -> None:
    query, value = on("cuda", 64, torch.float32), on("cuda", 512, torch.float32)
    assert takes_fused_kernel(query, value)
    with plain_attention():
        assert not takes_fused_kernel(query, value)
    with sdpa_kernel(SDPBackend.MATH):
        assert not takes_fused_kernel(query, value)


def test_a_training_with_deterministic_algorithms_takes_no_kernel_and_an_inference_takes_it() -> None:
    query, value = on("cuda", 64, torch.bfloat16), on("cuda", 512, torch.bfloat16)
    with switches("float32", "deterministic", torch.device("cpu")):
        assert not takes_fused_kernel(query, value)
        with torch.no_grad():
            assert takes_fused_kernel(query, value)
    assert takes_fused_kernel(query, value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products_of_half_precision_summed_in_float32_are_counted_like_others(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own counter fails at such products, which run on a GPU; the meta device has their shapes."""
    monkeypatch.setattr(position_attention, "wide_operand", lambda x: x)
    query, value, gamma = (torch.empty(2, c, 77, dtype=dtype, device="meta") for c in (64, 500, 1))
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=dict(FLOPS)) as counter:
        attend(query, query, value, gamma)
    assert counter.get_total_flops() == 2 * 2 * 77 * 77 * (64 + 500)


@pytest.mark.parametrize(
    ("batch", "positions", "dtype", "block"),
    [
        (1, 45 * 60, torch.float32, 45 * 60),
        (1, 64 * 128, torch.bfloat16, 64 * 128),
        (2, 64 * 128, torch.bfloat16, 64 * 64),
        (1, 64 * 128, torch.float64, 64 * 64),
        (1, 128 * 256, torch.float32, 2048),
        (10**6, 10**4, torch.float32, 1),
    ],
)
def test_on_a_gpu_there_is_one_block_unless_the_weights_exceed_the_budget(
    batch: int, positions: int, dtype: torch.dtype, block: int
) -> None:
    with FakeTensorMode():
        query = torch.empty(batch, 1, positions, dtype=dtype, device="cuda")
    assert position_attention._block(query) == block


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_attended_features_have_the_type_of_the_features_under_autocast_and_equal_the_sum_in_float32(
    dtype: torch.dtype,
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 5, 7).to(dtype)
    for attention in (PositionAttention(16, 2, "trainable"), ChannelAttention("trainable", "paper")):
        torch.nn.init.constant_(attention.gamma, 0.3)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32), torch.no_grad():
            result = attention(x)
        assert result.dtype == dtype
        assert attention.gamma.dtype == torch.float32
    flat = [x.flatten(2).double() for _ in range(3)]
    gamma = torch.full((1,), 0.3, dtype=torch.float64)
    assert attend(*flat, gamma).dtype == torch.float64
