"""The forward of every variant of every study can be captured as a CUDA graph, in every precision and memory format."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from bench.measure.timing.execution import forward_call
from bench.network.model import SegModel, Variant
from bench.network.numerics import switches
from bench.protocol.recipe import Precision
from bench.protocol.setting import MemoryFormat, Setting
from bench.study.source import load_study
from tests.measure.networks import unloaded
from tests.null_cuda.device import GPU, counted
from tests.null_cuda.networks import READING
from tests.studies.test_study_contract import STUDIES, narrowed

CLASSES = 5
NARROWER = 2
"""What widths are divided by; with 1 channel in attention's keys, torch takes a Triton kernel, which cannot run."""
COPYING = "vit-small-dinov3"
"""The backbone of timm that copies its rotary embedding from the host in every forward."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
FORMATS: tuple[MemoryFormat, ...] = get_args(MemoryFormat)


def distinct() -> dict[str, Variant]:
    """Every variant of every study once, narrow, and without losses of its own, which a forward does not have."""
    names: dict[Variant, str] = {}
    for path in STUDIES:
        for cell in load_study(path).cells():
            variant = unloaded(cell.variant)
            slots = {**narrowed(variant, NARROWER), "auxiliary": None}
            narrow = replace(variant, **slots, losses=READING.losses)
            names.setdefault(narrow, f"{path.stem}-{cell.name}")
    return {name: variant for variant, name in names.items()}


@pytest.fixture(scope="module")
def of_torch() -> int:
    """The calls that the null device finds illegal in a capture of one addition: those that torch itself makes."""
    number, graph = torch.zeros((), device=GPU), torch.cuda.CUDAGraph()
    with counted() as counts, torch.cuda.graph(graph):
        number.add_(1)
    return counts.illegal_in_capture


def illegal_calls(variant: Variant, precision: Precision, memory_format: MemoryFormat) -> int:
    """The illegal calls in the capture of a variant's forward and in one replay."""
    setting = Setting(height=64, width=96, batch=1, mode="cuda_graph", precision=precision, memory_format=memory_format)
    with counted() as counts, switches(precision, "default", GPU):
        forward_call(SegModel(variant, CLASSES), setting, GPU)()
    return counts.illegal_in_capture


VARIANTS = distinct()
CAPTURED = {name: variant for name, variant in VARIANTS.items() if COPYING not in name}
OTHERS = {name: variant for name, variant in VARIANTS.items() if COPYING in name}


@pytest.mark.parametrize("variant", CAPTURED.values(), ids=CAPTURED)
def test_nothing_illegal_is_called_in_a_capture_of_any_variant_in_any_precision(
    variant: Variant, of_torch: int
) -> None:
    calls = {
        f"{precision} {memory_format}": illegal_calls(variant, precision, memory_format)
        for precision in PRECISIONS
        for memory_format in FORMATS
    }
    assert calls == dict.fromkeys(calls, of_torch)
    assert len(calls) == len(PRECISIONS) * len(FORMATS) > 7


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_forward_that_reads_a_value_is_seen_in_its_capture(precision: Precision, of_torch: int) -> None:
    assert illegal_calls(READING, precision, "contiguous") > of_torch


@pytest.mark.parametrize("variant", OTHERS.values(), ids=OTHERS)
def test_torch_refuses_to_capture_a_network_of_timm_that_copies_from_the_host(variant: Variant) -> None:
    with pytest.raises(RuntimeError, match="unless the CPU tensor is pinned"):
        illegal_calls(variant, "float32", "contiguous")
