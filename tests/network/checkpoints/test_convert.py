"""Checkpoints of the original releases: every key is accounted for, and what is converted computes the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.network.backbones.resnet import ResNet
from bench.network.backbones.wide_resnet import WideResNet38
from bench.network.checkpoints.convert import LAYOUTS, Converted, convert, convert_file, expected_tensors, layout_for
from bench.network.checkpoints.files import StateFileError
from bench.network.heads.aspp import DeepLabV3Head, DeepLabV3PlusHead
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.encoding import EncNetHead
from bench.network.heads.fcn import FCNHead
from bench.network.heads.psp import PSPHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.network.necks.jpu import JPU, JPUX
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import Part, part

CLASSES = 5
LOSSES = (part(SegmentationLoss),)
SHALLOW = part(ResNet, depth=18, width=4, stem="deep")
DILATED = part(ResNet, depth=18, width=4, stem="plain", output_stride=8)
AUXILIARY = part(FCNHead, width=4)


def variant(head: Part[Any], backbone: Part[Any] = DILATED, **slots: Any) -> Variant:
    return Variant(backbone=backbone, head=head, losses=LOSSES, **slots)


# A key that makes the layout known, and one that shows its head, is what the tables are made for.
NETWORKS = {
    "danet": ("head.conv5a.0.weight", variant(part(DualAttentionHead, width=8))),
    "fastfcn-fcn": (
        "head.conv5.4.weight",
        variant(part(FCNHead, width=8), SHALLOW, neck=part(JPU, width=6), auxiliary=AUXILIARY),
    ),
    "fastfcn-psp": (
        "head.conv5.0.conv1.0.weight",
        variant(part(PSPHead, width=8), SHALLOW, neck=part(JPUX, width=8, groups=2), auxiliary=AUXILIARY),
    ),
    "fastfcn-deeplab": ("head.aspp.b0.0.weight", variant(part(DeepLabV3Head, width=8))),
    "fastfcn-encnet": ("head.encmodule.fc.0.weight", variant(part(EncNetHead, width=8, lateral=True))),
    "gscnn": (
        "mod1.conv1.weight",
        variant(
            part(DeepLabV3PlusHead, width=8),
            part(WideResNet38, width=2),
            shape_stream=part(GatedShapeStream, widths=(2, 5, 4, 3), image_gradient="released"),
        ),
    ),
    "mmseg-danet": ("decode_head.pam_conv_seg.weight", variant(part(DualAttentionHead, width=8), auxiliary=AUXILIARY)),
    "mmseg-psp": (
        "decode_head.psp_modules.0.1.conv.weight",
        variant(part(PSPHead, width=8), SHALLOW, neck=part(JPU, width=6), auxiliary=AUXILIARY),
    ),
    "mmseg-deeplab": (
        "decode_head.aspp_modules.0.conv.weight",
        variant(part(DeepLabV3Head, width=8, projection=False), SHALLOW, neck=part(JPU, width=6), auxiliary=AUXILIARY),
    ),
    "mmseg-encnet": (
        "decode_head.enc_module.fc.0.weight",
        variant(part(EncNetHead, width=8), SHALLOW, neck=part(JPU, width=6)),
    ),
    "mmseg-fcn": ("decode_head.convs.0.conv.weight", variant(part(FCNHead, width=8))),
}

every_network = pytest.mark.parametrize("name", NETWORKS)


def originals(name: str) -> tuple[Variant, dict[str, Tensor]]:
    """A variant, and a random state dict with the names and shapes that the original would have for it."""
    mark, network = NETWORKS[name]
    layout = LAYOUTS[name.partition("-")[0]]((mark,))
    torch.manual_seed(1)
    state = {}
    for ours, tensor in SegModel(network, CLASSES).state_dict().items():
        theirs = layout.source_name(ours)
        assert theirs is not None, f"{ours} has no name in {name}"
        drawn = torch.rand_like(tensor) + 0.5 if tensor.is_floating_point() else tensor
        state[theirs] = drawn.squeeze() if ours.endswith("gamma") and name.startswith("mmseg") else drawn
    # A plain stem's normalisation is the one that has two names in mmsegmentation.
    if "backbone.conv1.weight" in state:
        state = {key.replace("backbone.stem.7.", "backbone.bn1."): value for key, value in state.items()}
    return network, state


def converted(name: str, changes: Mapping[str, Any] | None = None, without: str = "") -> Converted:
    network, state = originals(name)
    return convert({k: v for k, v in {**state, **(changes or {})}.items() if k != without}, network, CLASSES)


@every_network
def test_every_tensor_of_a_network_has_exactly_one_name_there_and_comes_back_by_it(name: str) -> None:
    network, state = originals(name)
    layout = layout_for(state)
    expected = expected_tensors(network, CLASSES)
    assert layout.name == name.partition("-")[0]
    assert {layout.our_name(key) for key in state} == set(expected)
    assert len(state) == len(expected)


@every_network
def test_a_converted_state_fills_the_network_and_nothing_is_left_over(name: str) -> None:
    network, state = originals(name)
    result = convert(state, network, CLASSES)
    SegModel(network, CLASSES).load_state_dict(result.state)
    assert result.dropped == result.filled == ()
    layout = layout_for(state)
    reordered = ("neck.dilation_layers", "decode_head.bottleneck.conv" if name == "mmseg-deeplab" else "neck.dilation")
    untouched = [key for key in state if not key.startswith(reordered)]
    for key in untouched:
        assert torch.equal(result.state[layout.our_name(key)].squeeze(), state[key].squeeze())


@every_network
def test_the_prefix_of_a_data_parallel_network_is_taken_off(name: str) -> None:
    network, state = originals(name)
    plain = convert(state, network, CLASSES).state
    wrapped = convert({f"module.{key}": value for key, value in state.items()}, network, CLASSES).state
    assert plain.keys() == wrapped.keys()
    assert all(torch.equal(plain[key], wrapped[key]) for key in plain)


def test_a_key_that_nobody_knows_is_an_error_that_lists_it() -> None:
    with pytest.raises(StateFileError, match=r"in 2 places(.|\n)*not understood: head\.extra(.|\n)*not underst.*other"):
        converted("danet", {"head.extra": torch.zeros(1), "other.weight": torch.zeros(1)})


def test_a_key_of_a_module_that_the_variant_lacks_is_an_error_with_both_names() -> None:
    with pytest.raises(StateFileError, match=r"not in the variant: auxiliary\.classifier\.bias \(from auxlayer\.conv5"):
        converted("danet", {"auxlayer.conv5.4.bias": torch.zeros(5)})


def test_a_missing_tensor_is_an_error_that_says_how_it_should_be_called() -> None:
    with pytest.raises(StateFileError, match=r"missing: head\.classifier\.bias \(expected as head\.conv8\.1\.bias\)"):
        converted("danet", without="head.conv8.1.bias")


def test_a_shape_that_differs_is_an_error_with_both_shapes() -> None:
    said = r"shape of head\.classifier\.weight: got \(7, 8, 1, 1\), expected \(5, 8, 1, 1\) \(from head\.conv8\.1\.weig"
    with pytest.raises(StateFileError, match=said):
        converted("danet", {"head.conv8.1.weight": torch.zeros(7, 8, 1, 1)})


def test_every_kind_of_problem_is_listed_at_once() -> None:
    network, state = originals("fastfcn-psp")
    del state["head.conv5.2.running_mean"]
    state |= {"jpu.conv9.0.weight": torch.zeros(1), "head.conv5.5.bias": torch.zeros(9), "epoch": 3}
    with pytest.raises(StateFileError) as error:
        convert(state, network, CLASSES)
    assert [line.partition(":")[0].strip() for line in str(error.value).splitlines()[1:]] == [
        "not understood",
        "not a tensor",
        "missing",
        "shape of head.classifier.bias",
    ]


def test_two_keys_for_one_tensor_are_an_error() -> None:
    with pytest.raises(StateFileError, match=r"twice: backbone\.stem\.7\.bias is backbone\.bn1\.bias"):
        converted("mmseg-danet", {"backbone.stem.7.bias": torch.zeros(4)})


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("fastfcn-fcn", {"pretrained.fc.weight": (1000, 32), "pretrained.fc.bias": (1000,)}),
        ("gscnn", {"dsn1.weight": (1, 2, 1, 1), "dsn1.bias": (1,)}),
    ],
)
def test_what_the_original_never_uses_is_dropped_and_reported(name: str, unused: dict[str, tuple[int, ...]]) -> None:
    with_unused = converted(name, {key: torch.zeros(shape) for key, shape in unused.items()})
    assert with_unused.dropped == tuple(unused)
    assert with_unused.state.keys() == converted(name).state.keys()


def test_what_one_release_never_uses_is_not_dropped_from_another() -> None:
    with pytest.raises(StateFileError, match=r"not understood: dsn1\.bias"):
        converted("fastfcn-fcn", {"dsn1.bias": torch.zeros(1)})


def test_batch_counters_that_an_old_file_lacks_are_zero_and_reported() -> None:
    network, state = originals("danet")
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    result = convert(old, network, CLASSES)
    assert len(result.filled) == len(state) - len(old) > 0
    assert all(result.state[name].item() == 0 for name in result.filled)
    SegModel(network, CLASSES).load_state_dict(result.state)


def conv_norm(state: Mapping[str, Tensor], name: str, x: Tensor, **options: Any) -> Tensor:
    """One of mmcv's ConvModules in evaluation mode, without its ReLU."""
    stats = (state[f"{name}.bn.{each}"] for each in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(F.conv2d(x, state[f"{name}.conv.weight"], **options), *stats)


def mmseg_aspp(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """mmsegmentation's DeepLabV3 head in functional form: the pooled image first, one 3x3 convolution on all."""
    pooled = F.relu(conv_norm(state, "decode_head.image_pool.1", x.mean((2, 3), keepdim=True))).expand(
        -1, -1, *x.shape[2:]
    )
    maps = [pooled, F.relu(conv_norm(state, "decode_head.aspp_modules.0", x))]
    for index, rate in enumerate((12, 24, 36), start=1):
        maps.append(F.relu(conv_norm(state, f"decode_head.aspp_modules.{index}", x, padding=rate, dilation=rate)))
    joined = F.relu(conv_norm(state, "decode_head.bottleneck", torch.cat(maps, dim=1), padding=1))
    return F.conv2d(joined, state["decode_head.conv_seg.weight"], state["decode_head.conv_seg.bias"])


def test_a_pyramid_of_mmsegmentation_computes_the_same_with_the_image_last() -> None:
    network, state = originals("mmseg-deeplab")
    model = SegModel(network, CLASSES).eval()
    model.load_state_dict(convert(state, network, CLASSES).state)
    x = torch.randn(2, model.neck.out_levels[-1].channels, 13, 17, generator=torch.Generator().manual_seed(3))
    logits, _ = model.head([x], with_aux=False)
    torch.testing.assert_close(logits, mmseg_aspp(state, x))
    unrolled = {**state, "decode_head.bottleneck.conv.weight": model.head.entry[0].weight}
    assert not torch.allclose(logits, mmseg_aspp(unrolled, x), rtol=1e-2)


def mmseg_jpu(state: Mapping[str, Tensor], features: list[Tensor]) -> Tensor:
    """mmsegmentation's JPU in functional form: its maps are joined shallow to deep."""
    laterals = [F.relu(conv_norm(state, f"neck.conv_layers.{i}.0", x, padding=1)) for i, x in enumerate(features)]
    size = laterals[0].shape[-2:]
    up = [torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False) for x in laterals]  # noqa: TID251
    joint = torch.cat(up, dim=1)
    branches = []
    for index, dilation in enumerate((1, 2, 4, 8)):
        name = f"neck.dilation_layers.{index}.0"
        x = conv_norm(
            state, f"{name}.depthwise_conv", joint, padding=dilation, dilation=dilation, groups=joint.shape[1]
        )
        branches.append(F.relu(conv_norm(state, f"{name}.pointwise_conv", x)))
    return torch.cat(branches, dim=1)


def test_a_jpu_of_mmsegmentation_computes_the_same_after_its_channels_are_permuted() -> None:
    network, state = originals("mmseg-psp")
    network = dataclasses.replace(network, align_corners=False)
    model = SegModel(network, CLASSES).eval()
    model.load_state_dict(convert(state, network, CLASSES).state)
    levels = model.backbone.out_levels[-3:]
    generator = torch.Generator().manual_seed(3)
    sizes = ((9, 13), (5, 7), (3, 4))
    features = [
        torch.randn(2, level.channels, *size, generator=generator) for level, size in zip(levels, sizes, strict=True)
    ]
    ours, theirs = model.neck(features)[-1], mmseg_jpu(state, features)
    torch.testing.assert_close(ours, theirs)
    unpermuted = {**state, **{k: v.flip(0) for k, v in state.items() if k.endswith("depthwise_conv.conv.weight")}}
    assert not torch.allclose(ours, mmseg_jpu(unpermuted, features), rtol=1e-2)


def test_both_layouts_of_one_fastfcn_give_the_same_network() -> None:
    """The same numbers under FastFCN's names and, with the thirds in mmsegmentation's order, under the other's."""
    network = variant(part(PSPHead, width=8), SHALLOW, neck=part(JPU, width=6), auxiliary=AUXILIARY)
    torch.manual_seed(5)
    ours = {
        k: torch.rand_like(v) if v.is_floating_point() else v
        for k, v in SegModel(network, CLASSES).state_dict().items()
    }
    one, other = (LAYOUTS[kind]((NETWORKS[f"{kind}-psp"][0],)) for kind in ("fastfcn", "mmseg"))
    first = {one.source_name(key): value for key, value in ours.items()}
    second = {other.source_name(key): value for key, value in ours.items()}
    for key, value in ours.items():
        if ".depthwise" in key and value.ndim:
            second[other.source_name(key)] = torch.cat([value[12:], value[6:12], value[:6]])
        elif key.startswith("neck.branches") and key.endswith("pointwise.0.weight"):
            second[other.source_name(key)] = torch.cat([value[:, 12:], value[:, 6:12], value[:, :6]], dim=1)
    states = [convert(source, network, CLASSES).state for source in (first, second)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in ours)
    assert all(torch.equal(states[0][key], ours[key]) for key in ours)


def test_keys_of_no_known_layout_and_unknown_names_of_layouts_are_errors() -> None:
    network, state = originals("danet")
    with pytest.raises(StateFileError, match=r"no layout that is known \(layer1\.weight, …\); give one of danet, fast"):
        convert({"layer1.weight": torch.zeros(1)}, network, CLASSES)
    with pytest.raises(StateFileError, match="unknown layout 'torchvision'; give one of"):
        convert(state, network, CLASSES, "torchvision")


@pytest.mark.parametrize("container", ["", "state_dict", "model"])
def test_a_file_is_converted_to_a_file_that_the_network_loads(tmp_path: Path, container: str) -> None:
    network, state = originals("danet")
    source, out = tmp_path / "source.pth", tmp_path / "out.pth"
    torch.save({container: state, "epoch": 3, "name": "danet"} if container else state, source)
    result = convert_file(source, network, CLASSES, out, layout="danet")
    written = torch.load(out, weights_only=True)
    assert written.keys() == result.state.keys()
    SegModel(network, CLASSES).load_state_dict(written)


class Anything:
    """Not a tensor, and no plain container either."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": Anything()}, "cannot be read"),
        ({"epoch": 3}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_would_run_code_or_holds_no_state_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    network, _ = originals("danet")
    source, out = tmp_path / "source.pth", tmp_path / "out.pth"
    if content is None:
        source.write_bytes(b"not a checkpoint")
    else:
        torch.save(content, source)
    with pytest.raises(StateFileError, match=said):
        convert_file(source, network, CLASSES, out)
    assert not out.exists()


def test_nothing_is_written_where_there_is_no_folder(tmp_path: Path) -> None:
    network, _ = originals("danet")
    with pytest.raises(StateFileError, match="there is no folder"):
        convert_file(tmp_path / "source.pth", network, CLASSES, tmp_path / "missing" / "out.pth")
