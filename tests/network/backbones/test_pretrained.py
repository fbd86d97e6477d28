"""Weights from files: what is accepted, what is dropped and said so, what is refused."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.backbones.pretrained import LoadedWeights
from bench.network.backbones.resnet import ResNet
from bench.network.backbones.wide_resnet import WideResNet38
from bench.network.checkpoints.files import StateFileError
from bench.network.model import SegModel, Variant
from bench.parts import ChoiceError, part

State = dict[str, Tensor]


def network(**choices: Any) -> ResNet:
    torch.manual_seed(7)
    return part(ResNet, **{"depth": 18, "width": 4, **choices}).build()


def of(given: ResNet) -> State:
    """A state dict as torchvision, PyTorch-Encoding and timm would write it: other values, and a classifier."""
    state = {name: torch.full_like(tensor, 0.25) for name, tensor in given.state_dict().items()}
    return {**state, "fc.weight": torch.zeros(10, 32), "fc.bias": torch.zeros(10)}


def saved(content: object, folder: Path) -> dict[str, str]:
    """The choices that name a file with this content."""
    path = folder / "weights.pth"
    torch.save(content, path)
    return {"weights": str(path), "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def is_loaded(given: ResNet) -> bool:
    return all(p.eq(0.25).all() for p in given.parameters())


@pytest.mark.parametrize("stem", ["plain", "deep"])
def test_every_tensor_is_taken_and_the_classifier_is_dropped_by_name(stem: str, tmp_path: Path) -> None:
    choices = saved(of(network(stem=stem)), tmp_path)
    loaded = network(stem=stem, **choices)
    assert is_loaded(loaded)
    assert loaded.loaded == LoadedWeights(choices["weights"], ("fc.weight", "fc.bias"), ())


@pytest.mark.parametrize("wrap", [lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}, dict])
def test_the_wrapping_of_a_training_script_and_of_data_parallel_is_taken_off(wrap: Any, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in of(network()).items()}
    assert is_loaded(network(**saved(wrap(state), tmp_path)))


def test_mmsegmentations_names_of_the_deep_stem_are_understood(tmp_path: Path) -> None:
    names = {f"conv1.{index}": f"stem.{index}" for index in (0, 1, 3, 4, 6)} | {"bn1": "stem.7"}
    state = {}
    for name, tensor in of(network(stem="deep")).items():
        module = name.rpartition(".")[0]
        state[names.get(module, module) + name[len(module) :]] = tensor
    assert is_loaded(network(stem="deep", **saved(state, tmp_path)))


def test_batch_counters_that_an_old_file_lacks_are_named(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in of(network()).items() if not name.endswith("num_batches_tracked")}
    loaded = network(**saved(state, tmp_path))
    assert is_loaded(loaded)
    assert loaded.loaded is not None
    assert len(loaded.loaded.filled) == sum(isinstance(m, nn.BatchNorm2d) for m in loaded.modules()) == 20


def test_every_key_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    state = of(network())
    del state["layer2.0.conv1.weight"], state["bn1.running_mean"]
    state["layer5.0.conv1.weight"] = torch.zeros(1)
    state["layer1.0.conv1.weight"] = torch.zeros(2, 3)
    with pytest.raises(StateFileError) as caught:
        network(**saved(state, tmp_path))
    assert str(caught.value).partition("weights.pth ")[2] == (
        "does not fit ResNet in 4 places (missing: bn1.running_mean, layer2.0.conv1.weight; unexpected: "
        "layer5.0.conv1.weight; of another shape: layer1.0.conv1.weight (got (2, 3), expected (4, 4, 3, 3))); choose "
        "the depth, stem and width that the weights are of"
    )


def test_weights_of_another_stem_are_refused_and_leave_nothing_half_loaded(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match=r"unexpected: 19 \(13 in conv1, 6 in layer1\), such as conv1\.0\.weight"):
        network(**saved(of(network(stem="deep")), tmp_path))


def test_another_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    choices = saved(of(network()), tmp_path)
    with pytest.raises(StateFileError, match=f"has the SHA-256 {choices['weights_sha256']}, expected 0000"):
        network(**{**choices, "weights_sha256": "0" * 64})


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="cannot be read"):
        network(**saved({"state_dict": print}, tmp_path))


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}])
def test_a_file_without_a_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="holds no state dict"):
        network(**saved(content, tmp_path))


def test_a_missing_file_is_said_to_be_missing() -> None:
    with pytest.raises(StateFileError, match="no weights at nowhere/a.pth"):
        network(weights="nowhere/a.pth", weights_sha256="0" * 64)


def test_a_url_is_fetched_once_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    choices = saved(of(network()), tmp_path)
    path = Path(choices["weights"])
    url = path.as_uri()
    with pytest.raises(StateFileError, match="cannot fetch .* invalid hash"):
        network(weights=url, weights_sha256="0" * 64)
    assert is_loaded(network(weights=url, weights_sha256=choices["weights_sha256"]))
    path.unlink()
    assert is_loaded(network(weights=url, weights_sha256=choices["weights_sha256"]))
    with pytest.raises(StateFileError, match="cannot fetch"):
        network(weights=(tmp_path / "gone.pth").as_uri(), weights_sha256="1" * 64)


def test_on_the_meta_device_no_weights_are_read() -> None:
    with torch.device("meta"):
        assert network(weights="nowhere/a.pth", weights_sha256="0" * 64).loaded is None


def test_weights_leave_the_draws_of_the_other_slots_as_they_were(tmp_path: Path) -> None:
    from bench.network.heads.fcn import FCNHead
    from bench.network.losses.segmentation import SegmentationLoss

    backbone = part(ResNet, depth=18, width=4)
    heads = []
    for choice in (backbone, backbone.having(**saved(of(network()), tmp_path))):
        variant = Variant(choice, part(FCNHead, width=4), losses=(part(SegmentationLoss),))
        heads.append(SegModel(variant, 3, seed=1).head.state_dict())
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])


@pytest.mark.parametrize("activation_apart", [True, False], ids=["gated-scnn", "in-place-abn"])
def test_a_wide_resnet_takes_weights_in_the_names_of_both_releases(activation_apart: bool, tmp_path: Path) -> None:
    state = {}
    for name, tensor in WideResNet38(width=2).state_dict().items():
        theirs = re.sub(r"^(mod\d)\.(\d)\.", lambda m: f"{m[1]}.block{int(m[2]) + 1}.", name)
        theirs = re.sub(r"^mod1\.", "mod1.conv1.", theirs)
        theirs = re.sub(r"\.(conv\d|bn[23])\.", r".convs.\1.", theirs) if ".block" in theirs else theirs
        theirs = re.sub(r"(bn\d)\.", r"\1.0.", theirs) if activation_apart else theirs
        state[f"module.{theirs.replace('projection', 'proj_conv')}"] = torch.full_like(tensor, 0.25)
    last = {"module.bn_out.weight": torch.zeros(128), "module.classifier.fc.bias": torch.zeros(10)}
    choices = saved({"state_dict": {**state, **last}}, tmp_path)
    loaded = part(WideResNet38, width=2, **choices).build()
    assert all(p.eq(0.25).all() for p in loaded.parameters())
    assert loaded.loaded == LoadedWeights(choices["weights"], ("bn_out.weight", "classifier.fc.bias"), ())
    with pytest.raises(StateFileError, match=r"unexpected: mod8\.weight"):
        WideResNet38(width=2, **saved({**state, "module.mod8.weight": torch.zeros(1)}, tmp_path))
    with pytest.raises(ChoiceError, match="without weights_sha256"):
        WideResNet38(width=2, weights="a.pth")
