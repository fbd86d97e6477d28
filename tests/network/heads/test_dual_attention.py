"""Dual attention: equal to the plain form with all gradients, no map of all pairs, countable, controls, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.network.heads import position_attention
from bench.network.heads.dual_attention import ChannelAttention, DualAttentionHead, PositionAttention
from bench.network.heads.fcn import FCNHead
from bench.network.heads.position_attention import attend
from bench.network.layers import WiringError
from bench.parts import ChoiceError, Level, Levels
from benchmarks import plain
from tests.network.heads.largest import Largest

LEVELS: Levels = (Level(12, 8),)


def attend_plainly(query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
    """The printed equation, with all T x T weights at once: what :func:`attend` must equal."""
    return gamma * plain.attend(query, key, value)


def operands(positions: int = 77, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, positions), (2, 3, positions), (2, 5, positions), (1,))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def with_gradients(function: Callable[..., Tensor], given: list[Tensor]) -> list[Tensor]:
    out = function(*given)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out.dtype)
    return [out, *torch.autograd.grad(out, given, upstream)]


@pytest.mark.parametrize("positions", [1, 7, 64, 77, 300])
def test_position_attention_and_its_gradients_equal_the_plain_form(positions: int) -> None:
    given = operands(positions)
    for got, expected in zip(with_gradients(attend, given), with_gradients(attend_plainly, given), strict=True):
        assert torch.allclose(got, expected, rtol=1e-10, atol=1e-10)


def test_position_attention_passes_a_numerical_gradient_check() -> None:
    assert torch.autograd.gradcheck(attend, operands(9))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_position_attention_stays_close_to_the_exact_values_in_lower_precision(dtype: torch.dtype) -> None:
    low = [each.detach().to(dtype).requires_grad_() for each in operands()]
    exact = [each.detach().double().requires_grad_() for each in low]
    bound = 20 * torch.finfo(dtype).eps
    for got, expected in zip(with_gradients(attend, low), with_gradients(attend_plainly, exact), strict=True):
        assert got.dtype == dtype
        assert (got.double() - expected).abs().max() <= bound * expected.abs().max()


def test_position_attention_without_gradients_gives_the_same_values() -> None:
    given = operands()
    with torch.no_grad():
        assert torch.equal(attend(*given), attend(*given))
        without = attend(*given)
    assert torch.equal(without, attend(*given))


@pytest.mark.parametrize("training", [True, False])
def test_no_map_of_all_pairs_of_positions_is_made_forward_or_backward(training: bool) -> None:
    head = DualAttentionHead(LEVELS, 3, width=8).train(training)
    x = torch.randn(2, 12, 20, 30, requires_grad=training)
    positions = 20 * 30
    with Largest() as largest, torch.set_grad_enabled(training):
        logits, _ = head([x], with_aux=training)
        if training:
            logits.sum().backward()
    a_sample = largest.elements / 2
    assert 0 < a_sample <= positions * positions / 24
    assert a_sample >= positions * 12, "the recorder sees the features at least"


def test_the_plain_form_is_caught_by_that_check() -> None:
    with Largest() as largest:
        attend_plainly(*operands(100))
    assert largest.elements == 2 * 100 * 100


def test_a_large_batch_is_looked_at_in_smaller_blocks() -> None:
    assert position_attention._block(torch.empty(1, 1, 9216, device="meta")) == 9216 // position_attention.BLOCKS
    block = position_attention._block(torch.empty(64, 1, 9216, device="meta"))
    assert 64 * block * 9216 <= position_attention.BLOCK_ELEMENTS < 64 * (block + 1) * 9216


def test_gamma_at_zero_makes_both_attentions_the_identity_and_a_half_adds_half_of_the_attended() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 7)
    for attention in (PositionAttention(8, 2, "trainable"), ChannelAttention("trainable", "released")):
        assert tuple(attention.gamma.shape) == (1,)
        assert torch.equal(attention(x), x)
        with torch.no_grad():
            attention.gamma.fill_(1)
            whole = attention(x) - x
            attention.gamma.fill_(0.5)
            assert whole.abs().max() > 0.1
            assert torch.allclose(attention(x) - x, whole / 2, atol=1e-6)


@pytest.mark.parametrize(("sign", "factor"), [("released", -1), ("paper", 1)])
def test_channel_attention_is_the_softmax_of_the_signed_products_of_channels(sign: Any, factor: int) -> None:
    attention = ChannelAttention("trainable", sign)
    nn.init.constant_(attention.gamma, 0.5)
    x = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    flat = x.flatten(2)
    expected = 0.5 * (torch.softmax(factor * flat @ flat.mT, -1) @ flat).view_as(x) + x
    assert torch.allclose(attention(x), expected, atol=1e-6)


def test_channel_attention_computes_its_energies_in_float32_under_autocast() -> None:
    attention = ChannelAttention("trainable", "released")
    products: list[tuple[tuple[int, ...], torch.dtype]] = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            if func is torch.ops.aten.bmm.default:
                products.append((tuple(out.shape), out.dtype))
            return out

    x = torch.randn(1, 4, 6, 7).to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16), Products():
        torch.bmm(torch.randn(1, 2, 2), torch.randn(1, 2, 2))  # autocast is really on
        attention(x)
    assert products == [((1, 2, 2), torch.bfloat16), ((1, 4, 4), torch.float32), ((1, 4, 42), torch.bfloat16)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("recording", [True, False])
def test_position_attention_to_large_activations_is_finite_under_autocast_and_nearly_that_in_float32(
    dtype: torch.dtype, recording: bool
) -> None:
    torch.manual_seed(0)
    attention = PositionAttention(64, 8, "trainable")
    nn.init.constant_(attention.gamma, 0.5)
    x = 500 * torch.rand(1, 64, 9, 11)  # energies of some 8 * 300 * 300, float16 ends at 65504
    query, key = attention.query(x).flatten(2), attention.key(x).flatten(2)
    assert query.transpose(1, 2).bmm(key).abs().max() > 65504
    with torch.autocast("cpu", dtype=dtype), torch.set_grad_enabled(recording):
        attended = attention(x)
    assert attended.isfinite().all()
    assert torch.allclose(attended, attention(x), atol=0.05 * float(x.max()))


def test_channel_attention_survives_energies_beyond_half_precision() -> None:
    attention = ChannelAttention("trainable", "released")
    nn.init.constant_(attention.gamma, 0.5)
    x = torch.full((1, 4, 64, 64), 30.0, dtype=torch.float16)  # energies of 4096 * 900, half precision ends at 65504
    assert attention.half()(x).isfinite().all()


def macs_of_attention(positions: int, channels: int, reduction: int) -> tuple[int, int]:
    """MACs of the matrix products, (position, channel), an image."""
    return positions**2 * (channels // reduction + channels), 2 * channels**2 * positions


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_matrix_product_is_counted_by_the_dispatch_counter(device: str) -> None:
    x = torch.randn(1, 16, 6, 7, device=device, requires_grad=True)
    position, channel = macs_of_attention(42, 16, 4)
    modules = PositionAttention(16, 4, "trainable").to(device), ChannelAttention("trainable", "paper").to(device)
    for module, macs in zip(modules, (position, channel), strict=True):
        with FlopCounterMode(display=False) as forward, torch.no_grad():
            module(x)
        counted = forward.get_flop_counts()["Global"]
        assert counted[torch.ops.aten.bmm] == 2 * macs
    query, key, value = (torch.randn(1, c, 42, device=device, requires_grad=True) for c in (4, 4, 16))
    with FlopCounterMode(display=False) as both:
        attend(query, key, value, torch.ones(1, device=device)).sum().backward()
    recomputed = 42 * 42 * 4
    assert both.get_total_flops() == 2 * (3 * position + recomputed)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("grad", [True, False])
def test_every_matrix_product_is_counted_by_fvcore(grad: bool) -> None:
    x = torch.randn(1, 16, 6, 7)
    position, channel = macs_of_attention(42, 16, 4)
    modules = PositionAttention(16, 4, "trainable").eval(), ChannelAttention("trainable", "paper").eval()
    for module, macs in zip(modules, (position, channel), strict=True):
        with torch.set_grad_enabled(grad):
            analysis = FlopCountAnalysis(module, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            assert analysis.by_operator()["bmm"] == macs


@pytest.mark.parametrize(
    ("choices", "count"),
    [
        ({}, 23_954_619),
        ({"channel": False}, 12_136_596),
        ({"position": False}, 11_808_276),
        ({"position": False, "channel": False}, 9_447_955),
        ({"branch_logits": False}, 23_954_619 - 2 * 9_747),
    ],
)
def test_parameter_counts_are_the_published_ones(choices: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        head = DualAttentionHead((Level(2048, 8),), 19, **choices)
    assert sum(p.numel() for p in head.parameters()) == count


def test_with_both_attentions_off_it_is_the_fcn_head_tensor_by_tensor() -> None:
    boundary = Level(1, 1)
    heads = []
    for build in (lambda: FCNHead(LEVELS, 3, boundary, width=8), lambda: off(boundary)):
        torch.manual_seed(0)
        heads.append(build())
    fcn, neither = heads
    assert fcn.state_dict().keys() == neither.state_dict().keys()
    assert all(torch.equal(fcn.state_dict()[name], value) for name, value in neither.state_dict().items())
    x, edges = torch.randn(2, 12, 5, 7), torch.rand(2, 1, 33, 50)
    outputs = []
    for head in heads:
        torch.manual_seed(1)  # dropout
        outputs.append(head([x], edges, with_aux=True))
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert outputs[0][1] == outputs[1][1] == {}


def off(boundary: Level | None) -> DualAttentionHead:
    return DualAttentionHead(LEVELS, 3, boundary, width=8, position=False, channel=False)


def test_the_combinations_of_both_attentions_share_their_initial_tensors() -> None:
    states = {}
    for position in (True, False):
        for channel in (True, False):
            torch.manual_seed(0)
            head = DualAttentionHead(LEVELS, 3, width=8, position=position, channel=channel)
            states[position, channel] = head.state_dict()
    for state in states.values():
        assert torch.equal(state["classifier.weight"], states[True, True]["classifier.weight"])
    for alone, name in (((True, False), "pam"), ((False, True), "cam")):
        shared = [key for key in states[alone] if key.startswith(f"branches.{name}")]
        assert len(shared) > 10
        assert all(torch.equal(states[alone][key], states[True, True][key]) for key in shared)


def test_side_outputs_are_the_two_branches_logits_where_there_are_two() -> None:
    x = torch.randn(2, 12, 5, 7)
    for choices, names in (
        ({}, ["pam", "cam"]), ({"position": False}, []), ({"channel": False}, []), ({"branch_logits": False}, [])
    ):  # fmt: skip
        head = DualAttentionHead(LEVELS, 3, width=8, **choices).eval()
        assert list(head([x], with_aux=True)[1]) == names
        assert head([x], with_aux=False)[1] == {}
    head = DualAttentionHead(LEVELS, 3, width=8).eval()
    logits, aux = head([x], with_aux=True)
    pam, cam = (branch(x) for branch in head.branches.values())
    assert torch.allclose(logits, head.classifier(pam + cam), atol=1e-6)
    assert torch.allclose(aux["pam"], head.branch_classifiers["pam"](pam), atol=1e-6)
    assert torch.allclose(aux["cam"], head.branch_classifiers["cam"](cam), atol=1e-6)


def test_a_frozen_gamma_still_computes_the_attention_but_stays_at_zero() -> None:
    frozen = DualAttentionHead(LEVELS, 3, width=8, gamma="frozen")
    gammas = [p for name, p in frozen.named_parameters() if name.endswith("gamma")]
    assert [g.item() for g in gammas] == [0, 0]
    assert not any(g.requires_grad for g in gammas)
    flops = []
    for head in (frozen, DualAttentionHead(LEVELS, 3, width=8)):
        with FlopCounterMode(display=False) as counter:
            head([torch.randn(2, 12, 5, 7)])
        flops.append(counter.get_total_flops())
    assert flops[0] == flops[1]


def test_a_width_that_the_reduction_does_not_divide_is_refused() -> None:
    with pytest.raises(ChoiceError, match="reduction=8 divides, got width=12"):
        DualAttentionHead(LEVELS, 3, width=12)


@pytest.mark.parametrize("stride", [2, 4])
def test_a_map_with_too_many_pairs_of_positions_is_refused(stride: int) -> None:
    with pytest.raises(WiringError, match=f"DualAttentionHead reads a map of stride 8, 16, 32, got stride {stride}"):
        DualAttentionHead((Level(12, stride),), 3, width=8)
