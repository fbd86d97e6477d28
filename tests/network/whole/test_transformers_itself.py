"""Every architecture of transformers, small and with transformers itself: sizes, counts, outputs, losses, weights.

SegFormer and Mask2Former are in the default suite where transformers is installed, the others in ``nox -s extras``.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.measure.cost.counts import parameters
from bench.network.checkpoints.files import StateFileError
from bench.network.layers import resize
from bench.network.losses.matched_masks import MatchedMasksLoss
from bench.network.model import Output, SegModel, Variant
from bench.network.own_losses import own_losses
from bench.network.whole.config import hub_config, hub_config_of, merged
from bench.network.whole.families import FAMILIES
from bench.network.whole.hub import checksum
from bench.network.whole.huggingface import HuggingFace
from bench.parts import ChoiceError, part
from bench.training.optimiser import layers_of
from tests.network.whole import small
from tests.network.whole.small import CONFIGS, network

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install '.[transformers]'"
)

CLASSES = 5
IN_DEFAULT_SUITE = ("segformer", "mask2former")
EVERY = [
    name if name in IN_DEFAULT_SUITE else pytest.param(name, marks=pytest.mark.extras) for name in FAMILIES
]  # fmt: skip
WITH_MASKS = ("mask2former", "maskformer", "oneformer", "eomt", "eomt-dinov3")


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def built(architecture: str, **choices: Any) -> SegModel:
    whole = network(architecture, **choices)
    return SegModel(Variant(whole=whole, losses=own_losses(whole)), CLASSES)


def labels(*size: int) -> Tensor:
    label = torch.arange(size[-1]).expand(size) * CLASSES // size[-1]
    label = label.clone()
    label[:, :5] = IGNORE
    return label


def loss_of(model: SegModel, output: Output, label: Tensor) -> Tensor:
    return torch.stack([term.build(CLASSES)(output, label) for term in model.variant.losses]).sum()


def test_every_architecture_has_a_small_configuration() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize("architecture", EVERY)
@pytest.mark.parametrize("size", [(64, 64), (70, 90)])
def test_a_training_step_changes_every_weight_that_transformers_reads(architecture: str, size: tuple[int, int]) -> None:
    model = built(architecture).train()
    output = model(torch.randn(2, 3, *size))
    assert output.logits.shape == (2, CLASSES, *size)
    loss = loss_of(model, output, labels(2, *size))
    loss.backward()
    assert loss.isfinite()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    # What transformers builds and never reads: norms of states that no head reads, the first block of a pyramid, and
    # the last block of BEiT, as its indices count from 1 and the first state is the embedding.
    never = ("layernorm", "residual_layer1", *(["beit.layers.3."] if architecture == "beit" else []))
    assert all(any(part in name for part in never) for name in without), without
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("architecture", EVERY)
def test_an_image_of_any_size_gets_probabilities_of_its_size(architecture: str) -> None:
    model = built(architecture).eval()
    with torch.no_grad():
        output = model(torch.randn(1, 3, 70, 90))
    assert output.logits.shape == (1, CLASSES, 70, 90)
    assert output.aux == {}
    torch.testing.assert_close(output.logits.softmax(1).sum(1), torch.ones(1, 70, 90))


@pytest.mark.parametrize("architecture", EVERY)
def test_parameters_are_as_many_as_the_library_counts(architecture: str) -> None:
    model = built(architecture)
    whole: Any = model.whole
    family = FAMILIES[architecture]
    library = getattr(transformers, family.network)(copy.deepcopy(whole.network.config))
    assert parameters(model) == {"whole": library.num_parameters()}


@pytest.mark.parametrize("architecture", EVERY)
def test_logits_are_those_of_the_library(architecture: str) -> None:
    model = built(architecture).eval()
    whole: Any = model.whole
    image = torch.randn(1, 3, 64, 64)
    scale = 1 if whole.scale is None else whole.scale
    seen = image * scale + (0 if whole.shift is None else whole.shift)
    given = {"task_inputs": whole.network.task_inputs} if architecture == "oneformer" else {}
    with torch.no_grad():
        logits = model(image).logits
        output = copy.deepcopy(whole.network)(seen, **given)
    if architecture in WITH_MASKS:
        masks = resize(output.masks_queries_logits, (64, 64), False).sigmoid()
        classes = output.class_queries_logits.softmax(-1)[..., :-1]
        torch.testing.assert_close(logits.exp(), torch.einsum("bqc,bqhw->bchw", classes, masks))
    else:
        torch.testing.assert_close(logits, resize(output.logits, (64, 64), False))


@pytest.mark.parametrize("architecture", ["mask2former"])
def test_a_batch_without_labels_has_no_loss_and_no_gradient(architecture: str) -> None:
    model = built(architecture).train()
    loss = loss_of(model, model(torch.randn(2, 3, 64, 64)), torch.full((2, 64, 64), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_the_dropout_of_mask2former_leaves_no_layer_out() -> None:
    entries = hub_config(dropout=0.9, decoder_layers=4)
    whole = part(HuggingFace, architecture="mask2former", config=merged(CONFIGS["mask2former"], entries))
    model = SegModel(Variant(whole=whole, losses=own_losses(whole)), CLASSES).train()
    image = torch.randn(2, 3, 64, 96)
    once, again = model(image), model(image)
    assert [name for name in once.aux if name.startswith("masks")] == ["masks", "masks0", "masks1", "masks2"]
    assert not torch.equal(once.aux["masks"], again.aux["masks"]), "values are dropped out"


@pytest.mark.parametrize("architecture", EVERY)
def test_weights_from_a_folder_fill_every_tensor(architecture: str, tmp_path: Path) -> None:
    first = built(architecture)
    whole: Any = first.whole
    whole.network.save_pretrained(tmp_path)
    given = {"weights": str(tmp_path), "weights_sha256": checksum(str(tmp_path))}
    second = SegModel(
        Variant(whole=part(HuggingFace, architecture=architecture, **given), losses=first.variant.losses),
        CLASSES,
        seed=1,
    )
    assert own_losses(part(HuggingFace, architecture=architecture, **given)) == first.variant.losses
    saved, filled = first.state_dict(), second.state_dict()
    assert saved.keys() == filled.keys()
    assert all(torch.equal(saved[name], filled[name]) for name in saved)


@pytest.mark.parametrize("architecture", EVERY)
def test_a_classifier_of_another_number_of_classes_stays_random_and_is_named(
    architecture: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first: Any = built(architecture).whole
    first.network.save_pretrained(tmp_path)
    choices = {"architecture": architecture, "weights": str(tmp_path), "weights_sha256": checksum(str(tmp_path))}
    with caplog.at_level(logging.INFO, "bench"):
        other = HuggingFace(CLASSES + 2, **choices)  # type: ignore[arg-type]  # a dict of texts
    saved, filled = first.network.state_dict(), other.network.state_dict()
    differ = {name for name in saved if saved[name].shape != filled[name].shape}
    assert differ
    assert all(name.startswith(FAMILIES[architecture].classifiers) for name in differ)
    assert f"left random: {sorted(differ)}" in caplog.text
    assert all(torch.equal(saved[name], filled[name]) for name in saved if name not in differ)


def test_weights_in_half_precision_are_trained_in_float32(tmp_path: Path) -> None:
    first: Any = built("segformer").whole
    first.network.bfloat16().save_pretrained(tmp_path)
    weights = {"weights": str(tmp_path), "weights_sha256": checksum(str(tmp_path))}
    second: Any = HuggingFace(CLASSES, architecture="segformer", **weights)
    assert {parameter.dtype for parameter in second.parameters()} == {torch.float32}
    assert all(torch.equal(tensor.float(), second.network.state_dict()[name].float())
               for name, tensor in first.network.state_dict().items())  # fmt: skip
    assert second(torch.randn(1, 3, 64, 64)).isfinite().all()


def test_weights_in_several_files_are_read_and_those_of_pickle_are_refused_with_the_remedy(tmp_path: Path) -> None:
    first: Any = built("segformer").whole
    first.network.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    digest = checksum(str(tmp_path))
    second: Any = HuggingFace(CLASSES, architecture="segformer", weights=str(tmp_path), weights_sha256=digest)
    filled = second.network.state_dict()
    assert all(torch.equal(tensor, filled[name]) for name, tensor in first.network.state_dict().items())
    for file in tmp_path.glob("model*"):
        file.unlink()
    torch.save(first.network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(StateFileError, match=r"its pytorch_model\.bin is not read, .* by its save_pretrained"):
        HuggingFace(CLASSES, architecture="segformer", weights=str(tmp_path), weights_sha256=digest)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_that_do_not_fit_or_are_others_are_refused(tmp_path: Path, device: str) -> None:
    """Shapes alone tell as much: ``bench check`` reads the files' checksum, names and shapes."""
    whole: Any = built("segformer").whole
    whole.network.save_pretrained(tmp_path)
    digest = checksum(str(tmp_path))
    choices = {"architecture": "segformer", "weights": str(tmp_path)}

    def build(digest: str, **changes: Any) -> None:
        with torch.device(device):
            part(HuggingFace, **choices, weights_sha256=digest, **changes).build(CLASSES)

    build(digest)
    with pytest.raises(StateFileError, match="these are other files"):
        build("0" * 64)
    with pytest.raises(StateFileError, match=r"does not fit SegformerForSemanticSegmentation in \d+ places"):
        build(digest, config=hub_config(decoder_hidden_size=8))
    file = tmp_path / "model.safetensors"
    content = file.read_bytes()
    for broken in (b"no header", content[:-8]):
        file.write_bytes(broken)
        with pytest.raises(StateFileError, match="cannot be loaded"):
            build(checksum(str(tmp_path)))
    file.unlink()
    with pytest.raises(StateFileError, match=r"no model\.safetensors"):
        build(digest)


@pytest.mark.parametrize(
    ("architecture", "entry", "indices", "expected"),
    [
        ("beit", "out_indices", (0, 1, 2, 4), "from 1 to 4"),
        ("beit", "out_indices", (-4, -3, -2, -1), "from 1 to 4"),
        ("dpt", "backbone_out_indices", (0, 1, 2, 4), "from 0 to 3"),
        ("dpt", "backbone_out_indices", (0, 1, 1, 2), "from 0 to 3"),
    ],
)
def test_states_that_are_not_there_are_refused(
    architecture: str, entry: str, indices: tuple[int, ...], expected: str
) -> None:
    config = merged(CONFIGS[architecture], hub_config(**{entry: indices}))
    with pytest.raises(ChoiceError, match=f"{entry}=.*: expected different whole numbers {expected}"):
        part(HuggingFace, architecture=architecture, config=config).build(CLASSES)


@pytest.mark.extras
@pytest.mark.parametrize(("device", "width"), [("cpu", 96), ("meta", 112)])
def test_beit_trains_at_a_size_that_it_was_measured_at(device: str, width: int) -> None:
    """Positions that were made in inference mode, or on the meta device, are not those of a training."""
    with torch.device(device), torch.inference_mode(device == "cpu"):
        built("beit").eval()(torch.zeros(1, 3, 64, width))
    built("beit").train()(torch.randn(2, 3, 64, width)).logits.sum().backward()


def test_dpt_reads_its_blocks_in_order_as_transformers_does() -> None:
    torch.manual_seed(0)
    config = merged(CONFIGS["dpt"], hub_config(backbone_out_indices=(3, 2, 1, 0)))
    model = part(HuggingFace, architecture="dpt", config=config).build(CLASSES).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    image = torch.randn(1, 3, 64, 64)
    theirs = model.network(image * model.scale + model.shift).logits
    torch.testing.assert_close(model(image), resize(theirs, (64, 64), False))


def test_an_entry_that_transformers_would_ignore_is_refused() -> None:
    with pytest.raises(ChoiceError, match=r"SegformerConfig has no entry 'depth' \(did you mean 'depths'\?\)"):
        HuggingFace(CLASSES, architecture="segformer", config=hub_config(depth=(1,)))
    with pytest.raises(ChoiceError, match=r"SegformerConfig refuses the configuration: .*depths"):
        HuggingFace(CLASSES, architecture="segformer", config=hub_config(depths="deep"))
    with pytest.raises(ChoiceError, match="backbone_config has the model_type 'swine'"):
        HuggingFace(CLASSES, architecture="mask2former", config=hub_config(backbone_config={"model_type": "swine"}))
    with pytest.raises(ChoiceError, match="backbone_config has no model_type"):
        HuggingFace(CLASSES, architecture="mask2former", config=hub_config(backbone_config={"embed_dim": 12}))


@pytest.mark.parametrize(
    ("architecture", "entries", "line"),
    [
        ("segformer", {"depths": (1, 1)}, "depths has 2 values, but hidden_sizes, .*mlp_ratios have 4; give each one"),
        (
            "beit",
            {"hidden_size": 32, "num_attention_heads": 64},
            "num_attention_heads=64 does not divide hidden_size=32",
        ),
        ("oneformer", {"decoder_layers": -1}, r"OneFormerConfig\(decoder_layers=-1\): expected at least 1"),
        ("segformer", {"reshape_last_stage": False}, r"SegformerConfig\(reshape_last_stage=False\): .*; leave it out"),
        ("eomt", {"num_hidden_layers": 2, "num_blocks": 3}, r"EomtConfig\(num_blocks=3\): expected at most 2"),
        ("dpt", {"hidden_act": "none"}, r"KeyError: .*\(raised in transformers/activations.py:\d+\); give entries"),
        (
            "upernet",
            {"auxiliary_num_convs": 0, "auxiliary_channels": 16, "backbone_config": small.SWIN},
            r"auxiliary_num_convs=0.*map of 48 channels, .*; choose auxiliary_channels=48",
        ),
    ],
)
def test_entries_that_do_not_fit_each_other_are_named(architecture: Any, entries: dict[str, Any], line: str) -> None:
    with pytest.raises(ChoiceError, match=line):
        HuggingFace(CLASSES, architecture=architecture, config=hub_config(**entries))


def test_the_configuration_of_a_folder_is_read_as_a_choice(tmp_path: Path) -> None:
    whole: Any = built("mask2former").whole
    whole.network.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["id2label"]
    again = HuggingFace(CLASSES, architecture="mask2former", config=hub_config_of(tmp_path))
    assert again.network.num_parameters() == whole.network.num_parameters()
    with pytest.raises(ChoiceError, match="model_type 'mask2former', not 'segformer'; choose the architecture"):
        HuggingFace(CLASSES, architecture="segformer", config=hub_config_of(tmp_path))


def test_a_loss_of_masks_names_what_it_reads() -> None:
    model = built("segformer").train()
    with pytest.raises(ValueError, match="MatchedMasksLoss reads the side outputs 'masks' and 'classes'"):
        MatchedMasksLoss(CLASSES)(model(torch.randn(2, 3, 64, 64)), labels(2, 64, 64))


def upernet(**inner: Any) -> Any:
    """A small UPerNet with a backbone of these entries."""
    config = hub_config(backbone_config=hub_config(**inner), hidden_size=16, auxiliary_channels=8)
    torch.manual_seed(1)
    return part(HuggingFace, architecture="upernet", config=config).build(3).eval()


SWIN_LIKE = {"depths": (2, 2, 3, 2), "embed_dim": 12}
CONV_LIKE = {"depths": (2, 2, 3, 2), "hidden_sizes": (8, 16, 24, 32)}
PLAIN = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}


@pytest.mark.parametrize(
    ("kind", "entries", "layers"),
    [
        # The patches, nine blocks and three mergers; then all that is not of the encoder.
        ("swin", {**SWIN_LIKE, "num_heads": (1, 2, 2, 4)}, 14),
        ("focalnet", SWIN_LIKE, 14),
        ("convnext", CONV_LIKE, 14),
        ("convnextv2", CONV_LIKE, 14),
        ("resnet", {**CONV_LIKE, "embedding_size": 8, "layer_type": "basic"}, 11),  # its blocks merge themselves
        ("dinov2", PLAIN, 6),
    ],
)
def test_every_block_and_merger_of_a_backbone_is_one_layer(kind: str, entries: dict[str, Any], layers: int) -> None:
    network = upernet(model_type=kind, **entries)
    found = layers_of(network)
    assert len(found) == layers
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    of_layers = [{names[id(parameter)] for parameter in layer} for layer in found]
    for block in (".layers.0.", ".blocks.0.", ".downsampling_layer.", ".downsample."):
        for stage in range(4):
            whole = {name for name in names.values() if f".{stage}{block}" in name and "head" not in name}
            assert not whole or whole in of_layers, "all parameters of a block have one rate, its norms too"


@pytest.mark.parametrize("kind", ["convnext", "convnextv2"])
def test_convnext_has_the_widths_of_transformers_where_none_is_given(kind: str) -> None:
    with torch.device("meta"):
        network = upernet(model_type=kind)
    assert network.network.backbone.num_features == [96, 96, 192, 384, 768]


@torch.no_grad()
def test_absolute_positions_of_swin_are_resized_to_other_grids_alone() -> None:
    entries = {"embed_dim": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "use_absolute_embeddings": True}
    network = upernet(model_type="swin", image_size=64, **entries)
    embeddings = network.network.backbone.swin.embeddings
    embeddings.position_embeddings.normal_()
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(embeddings(image)[0], type(embeddings).forward(embeddings, image)[0])
    assert network(torch.randn(1, 3, 97, 131)).shape == (1, 3, 97, 131)
    with pytest.raises(ChoiceError, match="swinv2.*leave out use_absolute_embeddings"):
        upernet(model_type="swinv2", image_size=64, **entries)


@torch.no_grad()
@pytest.mark.parametrize("entries", [{}, {"use_conv_embed": True}, {"hidden_sizes": (24, 48, 96, 96)}])
def test_the_widths_of_focalnet_follow_from_its_first(entries: dict[str, Any]) -> None:
    network = upernet(model_type="focalnet", embed_dim=12, depths=(1, 1, 1, 1), **entries)
    assert network(torch.randn(1, 3, 64, 96)).shape == (1, 3, 64, 96)
    assert network.network.backbone.channels == [24, 48, 96, 96]
