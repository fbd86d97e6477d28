"""Runtimes outside of torch compute what eager torch does; they need their packages (`nox -s extras`)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.evidence.speedups import CHANGES
from bench.measure.timing.execution import forward_call, timed_call
from bench.measure.timing.outputs import Deviation, difference
from bench.measure.timing.runtimes.int8 import CALIBRATION_BATCHES, calibration_images
from bench.measure.timing.runtimes.prepared import Prepared
from bench.measure.timing.runtimes.runtime import PreparationError
from bench.measure.timing.turns import MIN_BLOCKS
from bench.network import (
    JPU,
    DualAttentionHead,
    FCNHead,
    GatedShapeStream,
    ResNet,
    SegmentationLoss,
    SegModel,
    Variant,
)
from bench.parts import Part, part
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting
from bench.run.stages import measure_speed
from tests.network.whole.small import CONFIGS
from tests.network.whole.small import network as whole_network

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore"),
]  # the packages warn of each other's deprecations

CPU = torch.device("cpu")
CLASSES = 9
RECIPE = Recipe(data=part(Synthetic), crop_px=(64, 64), iterations=1, batch=2)


class SegFormer(nn.Module):
    """SegFormer-B0 of transformers: image -> logits at a quarter of its size."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        self.network = SegformerForSemanticSegmentation(SegformerConfig(num_labels=num_classes))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


class Unexportable(nn.Module):
    """A network whose output depends on its values in a way that no graph holds."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image)
        return logits * 2 if float(logits.sum()) > 0 else logits


def slots(**choices: Any) -> Variant:
    stride = 32 if "neck" in choices else 8
    backbone = part(ResNet, depth=18, width=16, output_stride=stride)
    return Variant(**{"backbone": backbone, "head": part(FCNHead), "losses": LOSSES, **choices})


LOSSES: tuple[Part[Any], ...] = (part(SegmentationLoss),)
NETWORKS = {
    "DANet": slots(head=part(DualAttentionHead)),
    "FastFCN, JPU": slots(neck=part(JPU, width=32)),
    "FastFCN, dilated": slots(),
    "Gated-SCNN": slots(shape_stream=part(GatedShapeStream)),
    "SegFormer": Variant(whole=part(SegFormer), losses=LOSSES),
}


def compared(variant: Variant, **choices: Any) -> Deviation:
    plain = Setting(height=64, width=96)
    eager = forward_call(SegModel(variant, CLASSES), plain, CPU)()
    call = timed_call(SegModel(variant, CLASSES), RECIPE, Setting(height=64, width=96, **choices), CPU)
    assert isinstance(call, Prepared)
    assert call.prepared_s > 0
    logits = call()
    assert isinstance(eager, Tensor)
    assert logits.shape == eager.shape
    return difference(logits, eager)


@pytest.fixture(autouse=True)
def _no_graphs_of_other_tests() -> None:
    """A speed trial has a process of its own; graphs of other tests count against the limit of torch.compile here."""
    torch.compiler.reset()


def timed(variant: Variant, mode: str) -> dict[str, Any]:
    """The measurements of a speed trial of a network against itself, as its record has them."""
    setting = Setting(height=64, width=96, mode=mode, least_s=0.05)  # type: ignore[arg-type]  # a parameter of a test
    return measure_speed(variant, variant, RECIPE, setting, Synthetic(None), CPU, lambda event: None)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("mode", ["onnxruntime", "openvino", "compile"])
def test_every_paper_is_timed_in_a_mode_that_computes_what_eager_torch_does(mode: str, network: str) -> None:
    measured = timed(NETWORKS[network], mode)
    assert min(measured["latency_s"] + measured["against_s"]) > 0
    assert len(measured["log_ratios"]) >= MIN_BLOCKS
    for side in ("ours", "against"):
        assert measured["prepared_s"][side] > 0
        found = Deviation(**measured["difference"][side])
        assert 0 < found.max_abs < 1e-4 * found.largest
        assert found.changed < 1e-3


WITHOUT_GRAPH = {
    "oneformer": "no ONNX function|_is_all_true",
    "eomt": "data-dependent",
    "eomt-dinov3": "data-dependent",
}
"""Architecture of transformers -> why it has no ONNX graph."""


@pytest.mark.parametrize("mode", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_whole_network_is_timed_or_told_in_one_line_to_have_no_graph(architecture: str, mode: str) -> None:
    variant = Variant(whole=whole_network(architecture), losses=LOSSES)
    if architecture in WITHOUT_GRAPH:
        with pytest.raises(PreparationError, match=WITHOUT_GRAPH[architecture]) as raised:
            timed(variant, mode)
        assert "\n" not in str(raised.value)
    else:
        found = Deviation(**timed(variant, mode)["difference"]["ours"])
        assert found.max_abs < 1e-4 * found.largest
        assert found.changed < 1e-3


@pytest.mark.parametrize("mode", ["aot_inductor", "compile_max_autotune"])
def test_a_compiler_of_torch_computes_what_eager_torch_does(mode: str) -> None:
    found = compared(NETWORKS["FastFCN, JPU"], mode=mode)
    assert found.max_abs < 1e-4 * found.largest
    assert found.changed < 1e-3


def test_openvino_computes_in_the_precision_that_is_asked_for() -> None:
    import openvino

    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        found = compared(NETWORKS["DANet"], mode="openvino", precision="bfloat16")
        assert found.max_abs > 1e-4 * found.largest
    else:
        with pytest.raises(PreparationError, match="has no bfloat16 on this CPU"):
            compared(NETWORKS["DANet"], mode="openvino", precision="bfloat16")


QUANTISED = [("onnxruntime", "int8_static"), ("onnxruntime", "int8_dynamic"), ("openvino", "int8_static")]


@pytest.mark.parametrize("network", ["FastFCN, JPU", "DANet"])
@pytest.mark.parametrize(("mode", "precision"), QUANTISED)
def test_8_bit_integers_compute_nearly_the_same_and_other_classes(mode: str, precision: str, network: str) -> None:
    found = compared(NETWORKS[network], mode=mode, precision=precision)
    assert 1e-4 * found.largest < found.max_abs < 0.3 * found.largest
    assert CHANGES < found.changed < 0.3


def test_images_that_calibrate_are_of_the_training_split_and_of_the_size_of_the_timing() -> None:
    timed, *others = calibration_images(Synthetic(None), Setting(height=32, width=64, batch=2))
    assert {tuple(images.shape) for images in (timed, *others)} == {(2, 3, 32, 64)}
    assert len(others) == CALIBRATION_BATCHES
    assert not torch.equal(timed, others[0])
    assert timed.dtype == torch.float32
    assert float(timed.abs().max()) < 3


@pytest.mark.parametrize("mode", ["onnxruntime", "openvino"])
def test_a_network_that_cannot_be_exported_is_told_in_one_line(mode: str) -> None:
    with pytest.raises(PreparationError, match="the export to ONNX failed") as raised:
        compared(Variant(whole=part(Unexportable), losses=LOSSES), mode=mode)
    assert "\n" not in str(raised.value)
