"""What every component keeps of its inputs, inside and outside: half precision, and the channels-last memory format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.layers import GroupNorm, Resize, is_channels_last, joined, summed
from tests.network.test_component_contract import Case, every_case, run

HALF_TYPES = [torch.bfloat16, torch.float16]
FLOAT32_LAYERS = ("encoding.norm",)
"""Layers that get float32 on purpose: the encoding of EncNet, whose distances half precision cannot hold."""


def in_channels_last(x: Tensor) -> bool:
    """Return ``True`` for a map in channels-last memory, one that is alike in both formats, and for what is no map."""
    return x.ndim != 4 or x.is_contiguous(memory_format=torch.channels_last)


def converted(value: Any, **choices: Any) -> Any:
    """The inputs of a component with all tensors converted by ``Tensor.to(**choices)``."""
    if isinstance(value, dict):
        return {name: converted(item, **choices) for name, item in value.items()}
    if isinstance(value, list):
        return [converted(item, **choices) for item in value]
    return value.to(**choices) if isinstance(value, Tensor) else value


@contextlib.contextmanager
def layer_inputs(module: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Inside the block, collect what every layer without children gets, as (name of the layer, tensor)."""
    inputs: list[tuple[str, Tensor]] = []
    handles = [
        layer.register_forward_pre_hook(
            lambda _, given, name=name: inputs.extend((name, x) for x in given if isinstance(x, Tensor))
        )
        for name, layer in module.named_modules()
        if not list(layer.children())
    ]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


@pytest.fixture
def interpolation_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under autocast, let interpolation give float32, as autocast has it on a GPU; on a CPU it keeps the type."""
    interpolate = nn.functional.interpolate  # noqa: TID251  # replaced, not used for a component

    def in_float32(x: Tensor, **choices: Any) -> Tensor:
        return interpolate(x.float() if torch.is_autocast_enabled("cpu") else x, **choices)

    monkeypatch.setattr(nn.functional, "interpolate", in_float32)


@every_case
@pytest.mark.parametrize("dtype", HALF_TYPES, ids=str)
def test_a_component_in_half_precision_gives_half_precision(case: Case, dtype: torch.dtype) -> None:
    outputs = run(case.build().to(dtype), case.inputs(dtype=dtype))
    assert {output.dtype for output in outputs} == {dtype}


@every_case
@pytest.mark.parametrize("recording", [True, False], ids=["training", "inference"])
@pytest.mark.usefixtures("interpolation_in_float32")
def test_under_autocast_half_precision_stays_half_precision_from_layer_to_layer(case: Case, recording: bool) -> None:
    module, inputs = case.build(), case.inputs(dtype=torch.bfloat16)
    with layer_inputs(module) as got, torch.autocast("cpu", dtype=torch.bfloat16), torch.set_grad_enabled(recording):
        outputs = run(module, inputs)
    wide = {name for name, x in got if x.is_floating_point() and x.dtype != torch.bfloat16}
    assert {name for name in wide if not name.endswith(FLOAT32_LAYERS)} == set()
    assert {output.dtype for output in outputs} == {torch.bfloat16}


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_channels_last_stays_channels_last_from_layer_to_layer(case: Case, dtype: torch.dtype) -> None:
    module, inputs = case.build(), converted(case.inputs(), memory_format=torch.channels_last)
    with layer_inputs(module) as got, torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        outputs = run(module, inputs)
    assert {name for name, x in got if not in_channels_last(x)} == set()
    assert all(in_channels_last(output) for output in outputs)


@every_case
def test_the_memory_format_changes_no_value_beyond_rounding_and_contiguous_maps_stay_contiguous(case: Case) -> None:
    module, inputs = case.build().double().eval(), case.inputs(dtype=torch.float64)
    contiguous, channels_last = run(module, inputs), run(module, converted(inputs, memory_format=torch.channels_last))
    assert all(output.is_contiguous() for output in contiguous)
    for one, other in zip(contiguous, channels_last, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_maps_are_joined_in_the_format_of_the_map_that_they_are_to_be_like() -> None:
    one, other = torch.randn(2, 3, 4, 5), torch.randn(2, 1, 1, 1).expand(-1, -1, 4, 5)
    expected = torch.cat([one, other], 1)
    like = one.to(memory_format=torch.channels_last)
    for given in ([one, other], [like, other], [one[:, :1], other]):
        for format_like in (one, like):
            result = joined(given, format_like)
            assert torch.equal(result, torch.cat(given, 1))
            assert is_channels_last(result) == is_channels_last(format_like)
    assert joined([one, other], one).equal(expected)


def test_a_sum_of_maps_has_the_format_of_the_first_and_the_values_of_a_sum() -> None:
    maps = [torch.randn(2, 3, 4, 5) for _ in range(3)]
    assert torch.equal(summed(maps), torch.stack(maps).sum(0))
    assert is_channels_last(summed([maps[0].to(memory_format=torch.channels_last), *maps[1:]]))


def test_a_resized_map_has_the_same_numbers_with_and_without_gradients_and_its_own_type_under_autocast() -> None:
    x = torch.randn(2, 3, 4, 5).to(torch.bfloat16)
    outputs = []
    for recording in (True, False):
        with torch.set_grad_enabled(recording), torch.autocast("cpu", dtype=torch.bfloat16):
            outputs.append(Resize()(x, (7, 9)))
    assert torch.equal(*outputs)
    assert {output.dtype for output in outputs} == {torch.bfloat16}


def test_group_normalisation_is_that_of_torch() -> None:
    x, ours, plain = torch.randn(2, 6, 4, 5), GroupNorm(3, 6), nn.GroupNorm(3, 6)
    assert torch.equal(ours(x), plain(x))
    assert is_channels_last(ours(x.to(memory_format=torch.channels_last)))
    assert list(ours.state_dict()) == list(plain.state_dict())
