"""EncNet head: equal to the plain form with all gradients, small, countable, exact in half precision, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.network.heads.encoding import ContextEncoding, EncNetHead, encode
from bench.network.layers import WiringError
from bench.parts import Level, Levels
from benchmarks import plain
from tests.network.heads.largest import Largest

LEVELS: Levels = (Level(6, 8), Level(8, 8), Level(12, 8))
ENCNET_50, ENCNET_50_JPU = 33_672_854, 45_019_798  # FastFCN, 59 classes, without the auxiliary head
RESNET_50, JPU = 23_631_808, 19_735_552


def operands(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 21, generator=generator, dtype=torch.float64)
    codewords = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    scale = -torch.rand(4, generator=generator, dtype=torch.float64)
    return [each.to(dtype).requires_grad_() for each in (x, codewords, scale)]


def test_the_encoding_and_its_gradients_equal_the_plain_form() -> None:
    results = []
    for function in (encode, plain.encode):
        given = operands()
        out = function(*given)
        upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        results.append([out, *torch.autograd.grad(out, given, upstream)])
    assert all(torch.allclose(got, expected, rtol=1e-10, atol=1e-10) for got, expected in zip(*results, strict=True))


@pytest.mark.parametrize(("function", "factor"), [(encode, 1), (plain.encode, 7)])
def test_nothing_larger_than_the_features_is_made_but_in_the_plain_form(function: Any, factor: int) -> None:
    x, codewords = torch.randn(2, 16, 50, requires_grad=True), torch.randn(7, 16, requires_grad=True)
    with Largest() as largest:
        function(x, codewords, -torch.rand(7)).sum().backward()
    assert largest.elements == x.numel() * factor


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_activations_are_encoded_in_float32_under_autocast(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    encoding = ContextEncoding(16, 4).eval()
    torch.nn.init.constant_(encoding.entry[0].weight, 2.0)
    x = 60 + torch.rand(1, 16, 5, 7)  # squares of 2000 * 16: half precision ends at 65504
    with torch.autocast("cpu", dtype=dtype):
        context = encoding(x)
        products = torch.bmm(torch.ones(1, 1, 1), torch.ones(1, 1, 1))  # autocast is really on
    assert products.dtype == dtype
    assert context.isfinite().all()
    assert torch.allclose(context.float(), encoding(x), rtol=0.05)


def test_the_products_of_matrices_are_counted() -> None:
    """Distances and residuals: 2 * T * M * D multiplications an image, each."""
    head = EncNetHead(LEVELS, 3, width=10, codes=4).eval()
    x = torch.randn(1, 12, 5, 7)
    other = 35 * 10 * (9 * 12 + 10 + 3) + 10 * 10  # convolutions and the gate
    with FlopCounterMode(display=False) as counter:
        head([x, x, x])
    assert counter.get_total_flops() == 2 * (other + 2 * 35 * 4 * 10)
    counted = FlopCountAnalysis(head.encoding, torch.randn(1, 10, 5, 7)).unsupported_ops_warnings(False).by_operator()
    assert counted["matmul"] + counted["bmm"] == 2 * 35 * 4 * 10


@pytest.mark.parametrize(("kernel", "count"), [(3, ENCNET_50 - RESNET_50), (1, ENCNET_50_JPU - RESNET_50 - JPU)])
def test_parameter_counts_are_the_published_ones(kernel: Any, count: int) -> None:
    with torch.device("meta"):
        head = EncNetHead((Level(2048, 8),), 59, entry_kernel=kernel)
    assert sum(p.numel() for p in head.parameters()) == count


def test_the_context_gates_channels_and_says_what_is_present() -> None:
    head = EncNetHead(LEVELS, 3, width=10, codes=4).eval()
    x = torch.randn(2, 12, 5, 7)
    logits, aux = head([x, x, x], with_aux=True)
    features = head.entry(x)
    context = head.encoding(features)
    gate = torch.sigmoid(head.gate(context))[:, :, None, None]
    assert torch.allclose(logits, head.classifier(torch.relu(features * (1 + gate))), atol=1e-6)
    assert head.presence is not None
    assert torch.equal(aux["presence"], head.presence(context))
    assert tuple(aux["presence"].shape) == (2, 3)


def test_presence_is_neither_computed_without_auxiliaries_nor_built_when_it_is_off() -> None:
    x = [torch.randn(2, 12, 5, 7)] * 3
    assert EncNetHead(LEVELS, 3, width=10)(x)[1] == {}
    off = EncNetHead(LEVELS, 3, width=10, presence=False)
    assert off(x, with_aux=True)[1] == {}
    assert not any(name.startswith("presence") for name, _ in off.named_parameters())


def test_codewords_and_scales_start_in_the_published_ranges() -> None:
    torch.manual_seed(0)
    encoding = ContextEncoding(64, 16)
    bound = (16 * 64) ** -0.5
    assert encoding.codewords.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert encoding.scale.min().item() >= -1
    assert encoding.scale.max().item() <= 0


def test_laterals_are_projected_and_fused_behind_the_features_shallow_to_deep() -> None:
    head = EncNetHead(LEVELS, 3, width=10, lateral=True).eval()
    features = [torch.randn(2, level.channels, 5, 7) for level in LEVELS]
    assert head.laterals is not None
    first, second = head.laterals.project
    joint = torch.cat([head.entry(features[2]), first(features[0]), second(features[1])], 1)
    expected = head.classifier(head.gated(head.laterals.fuse(joint))[0])
    assert torch.allclose(head(features)[0], expected, atol=1e-5)


def test_a_choice_leaves_every_other_initial_tensor_as_it_was() -> None:
    def state(**choices: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        return EncNetHead(LEVELS, 3, Level(1, 8), width=10, **choices).state_dict()

    first = state()
    for other in (state(lateral=True), state(presence=False), state(entry_kernel=1)):
        shared = {name for name in first if name in other and not name.startswith("entry.0")}
        assert len(shared) >= len(first) - 3
        assert all(torch.equal(first[name], other[name]) for name in shared)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (
            (Level(6, 8), Level(8, 16), Level(12, 32)),
            "must have one stride, got 8, 16, 32; take a backbone with output",
        ),
        ((Level(6, 8), Level(8, 16), Level(12, 8)), "got 8, 16, 8; .*, or lateral=False"),
        ((Level(6, 8),), "needs the last 3 levels of a pyramid, got 1: .*lateral=False"),
    ],
)
def test_laterals_of_unequal_size_are_refused(levels: Levels, said: str) -> None:
    with pytest.raises(WiringError, match=said):
        EncNetHead(levels, 3, lateral=True)
