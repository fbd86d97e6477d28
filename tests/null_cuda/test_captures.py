"""The forward of every variant of every study can be captured as a CUDA graph, in every precision and memory format."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from bench.measure.timing.execution import forward_call
from bench.network.model import SegModel, Variant
from bench.network.numerics import switches
from bench.protocol.recipe import Precision
from bench.protocol.setting import MemoryFormat, Setting
from bench.study.source import load_study
from tests.measure.networks import unloaded
from tests.null_cuda.device import GPU, Counted, counted
from tests.null_cuda.networks import READING
from tests.studies.test_study_contract import NARROWER, STUDIES, narrowed

CLASSES = 5
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


def capture(variant: Variant, precision: Precision, memory_format: MemoryFormat) -> Counted:
    """The counts of the capture of a variant's forward and of one replay."""
    setting = Setting(
        height=64, width=96, batch=1, mode="cuda_graph", precision=precision, memory_format=memory_format
    )
    with counted() as counts, switches(precision, "default", GPU):
        forward_call(SegModel(variant, CLASSES), setting, GPU)()
    return counts


VARIANTS = distinct()


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_nothing_illegal_is_called_in_a_capture_of_any_variant_in_any_precision(variant: Variant) -> None:
    illegal = {
        f"{precision} {memory_format}": counts.illegal_in_capture
        for precision in PRECISIONS
        for memory_format in FORMATS
        for counts in [capture(variant, precision, memory_format)]
    }
    assert illegal == dict.fromkeys(illegal, 0)
    assert len(illegal) == len(PRECISIONS) * len(FORMATS) > 7


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_forward_that_reads_a_value_is_seen_in_its_capture(precision: Precision) -> None:
    assert capture(READING, precision, "contiguous").illegal_in_capture > 0
