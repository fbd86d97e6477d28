"""The losses of every architecture equal ``loss`` of transformers itself, for labels of many kinds and other settings.

Mask2Former is in the default suite where transformers is installed, the others in ``nox -s extras``.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.network.model import SegModel, Variant
from bench.network.own_losses import own_losses
from bench.network.whole.config import hub_config, merged
from bench.network.whole.families import FAMILIES
from tests.network.whole.small import CONFIGS, network

pytest.importorskip("transformers", reason="transformers is not installed: pip install '.[transformers]'")

CLASSES = 5
WITH_MASKS = ("mask2former", "maskformer", "oneformer", "eomt", "eomt-dinov3")
EVERY = [name if name == "mask2former" else pytest.param(name, marks=pytest.mark.extras) for name in FAMILIES]
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "mask2former": [{"no_object_weight": 0.5}, {"oversample_ratio": 2.0, "importance_sample_ratio": 0.5}],
    "oneformer": [{"class_weight": 3.0}, {"use_auxiliary_loss": False}, {"oversample_ratio": 2.0}],
    "maskformer": [{"cross_entropy_weight": 3.0}, {"use_auxiliary_loss": True}],
    "eomt": [{"dice_weight": 1.0}, {"importance_sample_ratio": 0.5}],
    "eomt-dinov3": [{"mask_weight": 1.0}],
    "segformer": [],
    "upernet": [{"auxiliary_loss_weight": 1.0}, {"use_auxiliary_head": False}],
    "dpt": [{"auxiliary_loss_weight": 1.0}],
    "beit": [{"use_auxiliary_head": False}],
}
"""Entries of the configuration that change the loss, beside those of the small one."""

KINDS = ("void columns", "one class", "an empty image", "the first image empty, one class in the other")


def built(architecture: str, entries: dict[str, Any], seed: int) -> SegModel:
    whole = network(architecture)
    whole = whole.having(config=merged(CONFIGS[architecture], hub_config(**entries)))
    return SegModel(Variant(whole=whole, losses=own_losses(whole)), CLASSES, seed=seed).train()


def labels(kind: str, height: int, width: int) -> Tensor:
    """Labels of two images in squares of 8 pixels."""
    blocks = torch.randint(0, CLASSES, (2, height // 8, width // 8), generator=torch.Generator().manual_seed(7))
    label = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    if kind == "void columns":
        label[:, :, :5] = IGNORE
    if "one class" in kind:
        label[:] = 2
    if "empty" in kind:
        label[0] = IGNORE
    return label


def of_the_library(model: SegModel, image: Tensor, label: Tensor) -> Tensor:
    """``loss`` of a copy of the network, given the labels in the form that its processor gives them."""
    architecture = str(dict(model.variant.parts()["whole"].choices)["architecture"])
    whole: Any = model.whole
    seen = image if whole.scale is None else image * whole.scale + whole.shift
    library = copy.deepcopy(whole.network)
    if architecture not in WITH_MASKS:
        return _scalar(library(seen, labels=label).loss)
    present = [found[found != IGNORE] for found in map(torch.unique, label)]
    masks = [(item == own[:, None, None]).float() for item, own in zip(label, present, strict=True)]
    given: dict[str, Any] = {"mask_labels": masks, "class_labels": present}
    if architecture == "oneformer":  # the texts of each image, as its processor puts them together
        texts = whole.network.text_inputs[0]
        slots = library.config.num_queries - library.config.text_encoder_n_ctx
        own_texts = [torch.cat([texts[own], texts[-1:].expand(slots - len(own), -1)]) for own in present]
        given |= {"task_inputs": whole.network.task_inputs.expand(2, -1), "text_inputs": torch.stack(own_texts)}
        library.model.is_training = True
    if architecture == "maskformer":
        given["output_hidden_states"] = True
    if architecture.startswith("eomt"):
        library.grid_size = tuple(side // library.config.patch_size for side in image.shape[2:])
    return _scalar(library(seen, **given).loss)


def _scalar(loss: Any) -> Tensor:
    assert isinstance(loss, Tensor)
    return loss.reshape(())


def assert_equal_losses(model: SegModel, image: Tensor, label: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    rand = torch.rand
    with monkeypatch.context() as patched:  # the same points in every mask
        patched.setattr(torch, "rand", lambda *size, **_: rand(*size, generator=torch.Generator().manual_seed(0)))
        with torch.random.fork_rng():
            torch.manual_seed(3)  # of dropout, and of the positions of DINOv3
            expected = of_the_library(model, image, label)
            torch.manual_seed(3)
            output = model(image)
            ours = torch.stack([term.build(CLASSES)(output, label) for term in model.variant.losses]).sum()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", EVERY)
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_the_library(architecture: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, size in ((0, (64, 64)), (1, (64, 96))):
        if architecture == "dpt" and size[0] != size[1]:
            continue  # transformers' DPT takes square images alone
        model = built(architecture, {}, seed)
        image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))
        assert_equal_losses(model, image, labels(kind, *size), monkeypatch)


@pytest.mark.parametrize("architecture", EVERY)
def test_entries_of_the_configuration_change_the_loss_as_in_the_library(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for entries in SETTINGS[architecture]:
        assert_equal_losses(built(architecture, entries, 0), image, labels("void columns", 64, 64), monkeypatch)


@pytest.mark.parametrize("architecture", ["mask2former", *(pytest.param("maskformer", marks=pytest.mark.extras),)])
def test_without_use_auxiliary_loss_the_last_layer_alone_is_trained_on(architecture: str) -> None:
    """Transformers' own Mask2Former raises a TypeError with it."""
    output = built(architecture, {"use_auxiliary_loss": False}, 0)(torch.randn(2, 3, 64, 64))
    assert list(output.aux) == ["masks", "classes"]
