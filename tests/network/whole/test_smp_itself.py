"""Networks of segmentation_models_pytorch with the library itself: sizes, counts, weights. Run by ``nox -s extras``."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.measure.cost.counts import parameters
from bench.network.checkpoints.files import StateFileError
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.network.whole.smp import SMP
from bench.parts import ChoiceError, part

pytestmark = pytest.mark.extras

CLASSES = 5
ARCHITECTURES = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet",
    "Segformer",
)  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_image_of_any_size_is_trained_on_and_segmented(architecture: str) -> None:
    whole = part(SMP, architecture=architecture, encoder="resnet18")
    model = SegModel(Variant(whole=whole, losses=(part(SegmentationLoss),)), CLASSES)
    output = model.train()(torch.randn(2, 3, 134, 150))
    SegmentationLoss(CLASSES)(output, torch.zeros(2, 134, 150, dtype=torch.long)).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert all(
        name.startswith("whole.network.encoder.") for name in without
    )  # PSPNet builds blocks that it never calls
    assert not without or architecture == "PSPNet"
    assert model.eval()(torch.randn(1, 3, 134, 150)).logits.shape == (1, CLASSES, 134, 150)
    library: Any = import_module("segmentation_models_pytorch").create_model(
        architecture, "resnet18", encoder_weights=None, classes=CLASSES
    )
    assert parameters(model) == {"whole": sum(p.numel() for p in library.parameters())}


@pytest.mark.parametrize("stride", [16, 32])
def test_an_image_that_is_too_small_for_pan_is_padded(stride: int) -> None:
    network = SMP(CLASSES, architecture="PAN", encoder="resnet18", options=(("encoder_output_stride", stride),)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 40, 8 * stride + 1)).shape == (1, CLASSES, 40, 8 * stride + 1)


def test_a_file_of_weights_fills_every_tensor_or_is_refused(tmp_path: Path) -> None:
    first = SMP(CLASSES, encoder="resnet18")
    file = tmp_path / "unet.pth"
    torch.save(first.network.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    second = SMP(CLASSES, encoder="resnet18", weights=str(file), weights_sha256=digest)
    saved, filled = first.state_dict(), second.state_dict()
    assert all(torch.equal(saved[name], filled[name]) for name in saved)
    with pytest.raises(StateFileError, match="does not fit Unet in 2 places"):
        SMP(CLASSES + 1, encoder="resnet18", weights=str(file), weights_sha256=digest)
    with pytest.raises(StateFileError, match="of another shape"), torch.device("meta"):
        SMP(CLASSES + 1, encoder="resnet18", weights=str(file), weights_sha256=digest)


def test_what_the_library_lacks_is_told_in_one_line() -> None:
    with pytest.raises(ChoiceError, match=r"SMP\(architecture='Unet', encoder='resnet19'\): ") as told:
        SMP(CLASSES, encoder="resnet19")
    assert "\n" not in str(told.value)
    with pytest.raises(ChoiceError, match=r"AttributeError: .*raised in segmentation_models_pytorch/base/initializ"):
        SMP(CLASSES, architecture="Linknet", encoder="resnet18", options=(("decoder_use_norm", "instancenorm"),))
    with pytest.raises(ChoiceError, match=r"has no option 'depths'"):
        SMP(CLASSES, encoder="resnet18", options=(("depths", 3),))
    with pytest.raises(ChoiceError, match=r"has no option 'activation': the losses and the tests take logits"):
        SMP(CLASSES, encoder="resnet18", options=(("activation", "softmax"),))
