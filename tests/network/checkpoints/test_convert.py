"""Checkpoints of the original releases: every key is accounted for, and what is converted computes the same."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from typer.testing import CliRunner

from bench.cli.app import app
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
MMSEG_DILATED = DILATED.having(basic_dilation="first")
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
    "mmseg-danet": (
        "decode_head.pam_conv_seg.weight",
        variant(part(DualAttentionHead, width=8), MMSEG_DILATED, auxiliary=AUXILIARY),
    ),
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
    "mmseg-fcn": ("decode_head.convs.0.conv.weight", variant(part(FCNHead, width=8), MMSEG_DILATED)),
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
    with pytest.raises(StateFileError, match=r"in 2 places \(not understood: head\.extra, other\.weight\); choose"):
        converted("danet", {"head.extra": torch.zeros(1), "other.weight": torch.zeros(1)})


def test_a_key_of_a_module_that_the_variant_lacks_is_an_error_with_both_names() -> None:
    with pytest.raises(StateFileError, match=r"not in the variant: auxiliary\.classifier\.bias \(from auxlayer\.conv5"):
        converted("danet", {"auxlayer.conv5.4.bias": torch.zeros(5)})


def test_a_missing_tensor_is_an_error_that_says_how_it_should_be_called() -> None:
    with pytest.raises(
        StateFileError, match=r"in 1 place \(missing: head\.classifier\.bias \(expected as head\.conv8\.1\.bias\)\)"
    ):
        converted("danet", without="head.conv8.1.bias")


def test_a_shape_that_differs_is_an_error_with_both_shapes() -> None:
    said = (
        r"another shape: head\.classifier\.weight \(got \(7, 8, 1, 1\), expected \(5, 8, 1, 1\), from head\.conv8\.1\.w"
    )
    with pytest.raises(StateFileError, match=said):
        converted("danet", {"head.conv8.1.weight": torch.zeros(7, 8, 1, 1)})


def test_every_kind_of_problem_is_listed_at_once() -> None:
    network, state = originals("fastfcn-psp")
    del state["head.conv5.2.running_mean"]
    state |= {"jpu.conv9.0.weight": torch.zeros(1), "head.conv5.5.bias": torch.zeros(9), "epoch": 3}
    with pytest.raises(StateFileError) as error:
        convert(state, network, CLASSES)
    assert "\n" not in str(error.value)
    for problem in (
        "in 4 places",
        "not understood: jpu.conv9.0.weight;",
        "not a tensor: epoch (a int);",
        "missing: head.entry.1.running_mean (expected as head.conv5.2.running_mean);",
        "of another shape: head.classifier.bias (got (9,), expected (5,), from head.conv5.5.bias)",
    ):
        assert problem in str(error.value)


def test_a_refusal_in_many_places_is_one_line_that_counts_them_by_slot() -> None:
    network, state = originals("mmseg-psp")
    deeper = dataclasses.replace(network, backbone=part(ResNet, depth=34, width=6, stem="deep"))
    with pytest.raises(StateFileError) as error:
        convert(state, deeper, CLASSES, shown="psp.pth")
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)
    assert re.search(
        r"^psp\.pth \(layout 'mmseg'\) does not fit the variant in \d+ places \(missing: \d", str(error.value)
    )
    assert re.search(r"of another shape: \d+ \(\d+ in backbone, \d in neck.*\), such as auxiliary", str(error.value))


def test_two_keys_for_one_tensor_are_an_error() -> None:
    with pytest.raises(StateFileError, match=r"named twice: backbone\.bn1\.bias \(by backbone\.stem\.7\.bias"):
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
    with pytest.raises(StateFileError, match=r"not understood: dsn1\.bias\)"):
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


def mmseg_dilated_resnet18(state: Mapping[str, Tensor], image: Tensor) -> list[Tensor]:
    """mmsegmentation's ResNetV1c-18-d8 in functional form: strides 1, 2, 1, 1, dilations 1, 1, 2, 4, contracted."""

    def norm(x: Tensor, name: str) -> Tensor:
        stats = (state[f"backbone.{name}.{each}"] for each in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *stats)

    def conv(x: Tensor, name: str, **options: Any) -> Tensor:
        return F.conv2d(x, state[f"backbone.{name}.weight"], **options)

    x = F.relu(norm(conv(image, "stem.0", stride=2, padding=1), "stem.1"))
    x = F.relu(norm(conv(x, "stem.3", padding=1), "stem.4"))
    x = F.max_pool2d(F.relu(norm(conv(x, "stem.6", padding=1), "stem.7")), 3, stride=2, padding=1)
    levels = []
    for stage, (stride, dilation) in enumerate(((1, 1), (2, 1), (1, 2), (1, 4)), start=1):
        for index in range(2):
            block, step = f"layer{stage}.{index}", stride if index == 0 else 1
            rate = dilation // 2 if index == 0 and dilation > 1 else dilation
            y = F.relu(norm(conv(x, f"{block}.conv1", stride=step, padding=rate, dilation=rate), f"{block}.bn1"))
            y = norm(conv(y, f"{block}.conv2", padding=1), f"{block}.bn2")
            has_projection = f"backbone.{block}.downsample.0.weight" in state
            shortcut = (
                norm(conv(x, f"{block}.downsample.0", stride=step), f"{block}.downsample.1") if has_projection else x
            )
            x = F.relu(y + shortcut)
        levels.append(x)
    return levels


DEEP_DILATED = part(ResNet, depth=18, width=8, stem="deep", stem_widths=(4, 4, 8), output_stride=8)


def mmseg_state_of(network: Variant) -> dict[str, Tensor]:
    """Random tensors of a network under mmsegmentation's names."""
    layout = LAYOUTS["mmseg"](("decode_head.convs.0.conv.weight",))
    torch.manual_seed(2)
    tensors = SegModel(network, CLASSES).state_dict().items()
    drawn = {name: torch.rand_like(value) + 0.5 if value.ndim == 1 else value for name, value in tensors}
    return {str(layout.source_name(name)): value for name, value in drawn.items()}


def test_a_dilated_resnet18_of_mmsegmentation_computes_the_same() -> None:
    network = variant(part(FCNHead, width=8), DEEP_DILATED.having(basic_dilation="first"))
    state = mmseg_state_of(network)
    model = SegModel(network, CLASSES).eval()
    model.load_state_dict(convert(state, network, CLASSES, "mmseg").state)
    image = torch.rand(2, 3, 65, 97, generator=torch.Generator().manual_seed(4))
    expected = mmseg_dilated_resnet18(state, image)
    for ours, theirs in zip(model.backbone(image)[1:], expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    other = SegModel(variant(part(FCNHead, width=8), DEEP_DILATED), CLASSES).eval()
    other.load_state_dict(model.state_dict())
    difference = (other.backbone(image)[-1] - expected[-1]).norm() / expected[-1].norm()
    assert difference > 0.1, "with both convolutions dilated it is another network"


def test_blocks_that_the_original_dilates_otherwise_are_refused_with_the_choice_to_make() -> None:
    network = variant(part(FCNHead, width=8), DEEP_DILATED)
    state = mmseg_state_of(network)
    with pytest.raises(
        StateFileError, match=r"another computation: 4 \(4 in backbone\), such as backbone\.layer3\.0 .*='first'"
    ):
        convert(state, network, CLASSES, "mmseg")
    network, state = originals("fastfcn-deeplab")
    convert(state, network, CLASSES)
    with pytest.raises(StateFileError, match=r"another computation: .* undilated; choose basic_dilation='both'"):
        convert(state, dataclasses.replace(network, backbone=DILATED.having(basic_dilation="first")), CLASSES)


def test_the_resizing_of_mmsegmentation_is_told_and_compared_with_the_variants() -> None:
    network, state = originals("mmseg-fcn")
    [note] = convert(state, network, CLASSES).notes
    assert note == (
        "networks of mmseg resize with align_corners=False, which no tensor shows; the variant has align_corners=True: "
        "choose False"
    )
    agreeing = dataclasses.replace(network, align_corners=False)
    assert convert(state, agreeing, CLASSES).notes[0].endswith("; so does the variant")
    assert convert(*originals("danet")[::-1], CLASSES).notes == ()


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
    # Not by our own resize: the original calls torch's.
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


def safetensors(state: Mapping[str, Tensor]) -> bytes:
    """The content of a file of safetensors: the length of the header, the header as JSON, and the tensors' bytes."""
    header, content = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in state.items():
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        begin, content = len(content), content + tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, len(content)]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def test_a_file_of_safetensors_is_read(tmp_path: Path) -> None:
    network, state = originals("danet")
    source, out = tmp_path / "source.safetensors", tmp_path / "out.pth"
    source.write_bytes(safetensors(state))
    done = convert_file(source, network, CLASSES, out)
    expected = convert(state, network, CLASSES).state
    assert all(torch.equal(done.state[name], expected[name]) for name in expected)
    assert done.notes == ("the file has no checksums, so that a changed number in it could not be seen",)
    torch.save(state, source)
    assert convert_file(source, network, CLASSES, out).notes == ()


@pytest.mark.parametrize("number", range(40))
def test_a_damaged_file_of_safetensors_is_refused_in_one_line_that_names_it(tmp_path: Path, number: int) -> None:
    network, state = originals("danet")
    content, draw = safetensors(state), random.Random(number)
    start = 8 + int.from_bytes(content[:8], "little")
    place = draw.randrange(start)
    damaged = draw.choice(
        [
            content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :],
            content[: draw.randrange(len(content))],
            content[:place] + draw.randbytes(4) + content[place:],
            content + b"more",
        ]
    )
    source = tmp_path / "damaged.safetensors"
    source.write_bytes(damaged)
    message, result = "", {}
    try:
        result = convert_file(source, network, CLASSES, tmp_path / "out.pth").state
    except StateFileError as error:
        message = str(error)
    if message:
        assert "damaged.safetensors" in message
        assert "\n" not in message
        assert len(message) < 600
    else:  # a bit in the metadata or in the order of the header
        expected = convert(state, network, CLASSES).state
        assert all(torch.equal(result[name], expected[name]) for name in expected)


def test_one_flipped_bit_in_an_archive_of_torch_is_seen_by_its_checksum(tmp_path: Path) -> None:
    network, state = originals("danet")
    source, out = tmp_path / "source.pth", tmp_path / "out.pth"
    torch.save(state, source)
    content = bytearray(source.read_bytes())
    place = content.index(state["pretrained.conv1.weight"].numpy().tobytes())
    content[place + 10] ^= 4
    source.write_bytes(content)
    with pytest.raises(
        StateFileError, match=r"source\.pth cannot be read: the checksum of source/data/\d+ in it is wrong"
    ):
        convert_file(source, network, CLASSES, out)
    assert not out.exists()


def test_what_is_no_file_is_refused_and_nothing_waits_for_it(tmp_path: Path) -> None:
    network, state = originals("danet")
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    for name, fault in (("pipe.pth", "is no file"), ("folder.pth", "is no file"), ("gone.pth", "is not there")):
        with pytest.raises(StateFileError, match=f"{name} {fault}"):
            convert_file(tmp_path / name, network, CLASSES, tmp_path / "out.pth")
    torch.save(state, tmp_path / "source.pth")
    with pytest.raises(StateFileError, match=r"folder\.pth cannot be written: it is there and is no file"):
        convert_file(tmp_path / "source.pth", network, CLASSES, tmp_path / "folder.pth")


def test_help_and_pages_list_every_backbone_and_head_that_is_converted() -> None:
    shown = CliRunner().invoke(app, ["convert", "--help"]).output
    page = (Path(__file__).parents[3] / "docs" / "components.md").read_text()
    parts = {piece.cls.__name__ for _, network in NETWORKS.values() for piece in network.parts().values()}
    assert {name for name in parts if name not in shown} == set()
    assert {name for name in parts if f"`{name}" not in page} == set()
