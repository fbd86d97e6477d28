"""A network in an execution mode computes what the mode does, and is compared with eager torch in every forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.measure.quality import in_mode
from bench.measure.quality.evaluate import evaluate
from bench.measure.quality.in_mode import MOST_SIZES, InMode, ModeError
from bench.measure.timing.execution import Forward
from bench.measure.timing.runtimes.runtime import PreparationError
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting

CPU = torch.device("cpu")
VARIANT = Variant(
    part(ResNet, depth=18, width=8, output_stride=32), part(FCNHead, width=8), losses=(part(SegmentationLoss),)
)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=1, batch=2)
DATASET = Synthetic(None)


def network_in(**choices: Any) -> InMode:
    model = SegModel(VARIANT, len(DATASET.classes), seed=3).eval()
    return InMode(model, DATASET, RECIPE.having(**choices)).eval()


def images(height: int = 48, width: int = 64) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Setting]:
    """The settings in which networks are compiled, by torch.compile that leaves them as they are."""
    settings: list[Setting] = []
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)  # it imports the compiler, which takes two seconds
    monkeypatch.setattr(
        in_mode,
        "prepared_call",
        lambda network, setting, *rest: settings.append(setting) or PREPARED(network, setting, *rest),
    )
    return settings


PREPARED = in_mode.prepared_call


def test_another_precision_is_computed_by_autocast_and_compared_with_float32() -> None:
    half, image = network_in(test_precision="bfloat16"), images()
    with torch.inference_mode():
        logits = half(image, with_aux=False).logits
        eager = SegModel(VARIANT, len(DATASET.classes), seed=3).eval()(image).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = SegModel(VARIANT, len(DATASET.classes), seed=3).eval()(image).logits
    assert torch.equal(logits, low.float())
    assert logits.dtype == torch.float32
    apart = half.measured()["difference"]
    assert apart["max_abs"] == float((logits - eager).abs().max()) > 0
    assert apart["largest"] == float(eager.abs().max())
    assert apart["changed"] == pytest.approx(float((logits.argmax(1) != eager.argmax(1)).float().mean()))


def test_a_mode_gets_a_graph_for_every_size_of_input_once(compiled: list[Setting]) -> None:
    network = network_in(test_mode="compile")
    with torch.inference_mode():
        for size in ((48, 64), (32, 64), (48, 64)):
            own = SegModel(VARIANT, len(DATASET.classes), seed=3).eval()(images(*size)).logits
            assert torch.equal(network(images(*size)).logits, own)
    assert [(setting.height, setting.width, setting.batch, setting.mode) for setting in compiled] == [
        (48, 64, 2, "compile"), (32, 64, 2, "compile")
    ]  # fmt: skip
    measured = network.measured()
    assert measured["difference"] == {"max_abs": 0.0, "largest": measured["difference"]["largest"], "changed": 0.0}
    assert measured["prepared_s"] > 0


def test_more_sizes_of_input_than_graphs_are_made_for_are_refused_with_a_remedy(compiled: list[Setting]) -> None:
    network = network_in(test_mode="compile")
    with torch.inference_mode():
        for step in range(MOST_SIZES):
            network(images(32, 32 + step))
        with pytest.raises(ModeError, match="more than 8; test by windows of one size") as raised:
            network(images(32, 64))
    assert len(compiled) == MOST_SIZES
    assert "\n" not in str(raised.value)


def test_eager_torch_in_another_precision_needs_no_graph(compiled: list[Setting]) -> None:
    network = network_in(test_precision="bfloat16")
    with torch.inference_mode():
        for step in range(MOST_SIZES + 1):
            network(images(32, 32 + step))
    assert compiled == []


def test_logits_that_are_not_finite_in_the_mode_alone_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    forward: Callable[[Forward], Tensor] = Forward.__call__
    monkeypatch.setattr(Forward, "__call__", lambda call: forward(call) * torch.inf)
    with torch.inference_mode(), pytest.raises(ModeError, match="in bfloat16 that are not finite .* another precision"):
        network_in(test_precision="bfloat16")(images())


def test_an_evaluation_counts_what_the_mode_predicts_and_leaves_the_trained_network_as_it_is() -> None:
    model = SegModel(VARIANT, len(DATASET.classes), seed=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recipe = RECIPE.having(test_precision="bfloat16", test_flip=True, eval_batch=3)
    network = InMode(model, DATASET, recipe)
    split = DATASET.split("val")
    quality = evaluate(network, split, recipe, device=CPU)
    eager = evaluate(model, split, RECIPE.having(test_flip=True), device=CPU)
    assert quality.names == eager.names
    assert (quality.per_image["confusion"] != eager.per_image["confusion"]).any()
    assert network.compared_px == 2 * sum(split[index].label.numel() for index in range(len(split)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert network.state_dict().keys() == before.keys(), "what is kept of a training is the network's own weights"


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        ({"test_mode": "cuda_graph"}, "needs a CUDA device"),
        ({"test_mode": "compile", "test_precision": "int8_static"}, "has no precision 'int8_static'"),
    ],
    ids=str,
)
def test_a_mode_that_does_not_run_here_is_refused_at_once(choices: dict[str, Any], why: str) -> None:
    with pytest.raises(ChoiceError, match=why):
        network_in(**choices)


def test_an_error_of_a_compiler_is_one_line_that_names_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    def unwritable(network: nn.Module) -> nn.Module:
        raise PermissionError(13, "Permission denied", "/cache")

    monkeypatch.setattr(torch, "compile", unwritable)
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    with torch.inference_mode(), pytest.raises(PreparationError) as raised:
        network_in(test_mode="compile")(images())
    assert str(raised.value) == "mode 'compile' failed: PermissionError: [Errno 13] Permission denied: '/cache'"


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # the packages warn of each other's deprecations
@pytest.mark.parametrize(
    ("mode", "precision", "alike"),
    [
        ("compile", "float32", True),
        ("compile_max_autotune", "float32", True),
        ("aot_inductor", "float32", True),
        ("onnxruntime", "float32", True),
        ("onnxruntime", "int8_static", False),
        ("onnxruntime", "int8_dynamic", False),
        ("openvino", "float32", True),
        ("openvino", "int8_static", False),
    ],
)
def test_every_mode_that_runs_here_tests_images_of_two_sizes(mode: str, precision: str, alike: bool) -> None:
    network = network_in(test_mode=mode, test_precision=precision)
    with torch.inference_mode():
        for size in ((48, 64), (33, 47), (48, 64)):
            logits = network(images(*size), with_aux=False).logits
            assert logits.shape == (2, len(DATASET.classes), *size)
    apart = network.apart
    assert len(network.runs) == 2
    assert apart.max_abs < (1e-4 if alike else 0.3) * apart.largest
    assert (apart.max_abs > 1e-4 * apart.largest) != alike
