"""Checks networks with random configurations, and judges what ``bench check`` says (nox -s random-networks).

Networks of timm under the heads and necks of this package, of transformers and of segmentation_models_pytorch are
drawn as a user would write them: mostly sensible, and now and then with an entry that cannot work, such as a text for a
number, an output stride for a network that cannot be dilated, or a neck of pyramids under a plain transformer. Each is
a variant of a study of its own, beside one that is known to work, and ``bench check`` runs on it in a process of its
own. It ends with both in the table, or with one line that says why the other is missing. Anything else is a fault: a
traceback, several lines, a hang, a crash, a fault that hides the variant that works.

    python tests/random_networks.py [LIBRARY …] [--networks 200] [--seed 0] [--first 0] [--only NUMBER]

The exit status is 1 if there is a fault, or if fewer than four in five have a table.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))
import torch

from bench.cli import app
from tests.fuzz import HangError, within

LONGEST_S = 300.0
MOST_BYTES = 6 * 2**30
LONGEST_LINE = 1000
LEAST_SHARE_OF_TABLES = 0.8
SENSELESS = 1 / 12
"""The share of entries of transformers and segmentation_models_pytorch whose value cannot work."""

STUDY = """
from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import *

WHOLE = {whole}
PARTS = {parts}
STUDY = Study(
    name="drawn",
    question="Does bench check say what this network costs, or why it cannot be built?",
    base=Variant(backbone=part(ShallowBackbone), head=part(FCNHead, width=8), losses=(part(SegmentationLoss),)),
    factors=(
        Factor("network", {{
            "known": change(),
            "drawn": change(whole=WHOLE, backbone=None, head=None, losses={losses}) if WHOLE else change(**PARTS),
        }}),
    ),
    baseline={{"network": "known"}},
    recipe=Recipe(
        data=part(Synthetic, height_px={height}, width_px={width}), crop_px=({height}, {width}), iterations=10, batch=2
    ),
)
"""

Draw = random.Random
Ending = Literal["table", "line", "fault"]


@dataclass(frozen=True)
class Network:
    """What is drawn: the code of a whole network, or of parts by their slots, and the size of its images."""

    whole: str | None
    parts: Mapping[str, str]
    px: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.whole or ', '.join(self.parts.values())} at {self.px[0]}x{self.px[1]}"

    def study(self) -> str:
        parts = ", ".join(f"{slot}={code}" for slot, code in self.parts.items())
        losses = "own_losses(WHOLE)" if "HuggingFace" in str(self.whole) else "(part(SegmentationLoss),)"
        height, width = self.px
        return STUDY.format(whole=self.whole, parts=f"dict({parts})", losses=losses, height=height, width=width)


@dataclass(frozen=True)
class Result:
    """How the check of a network ended.

    Attributes:
        number: its number in the draw.
        network: the network.
        ending: a table, one line, or neither.
        line: the line; what is wrong, if there is neither.
        seconds: the time that it took.
    """

    number: int
    network: Network
    ending: Ending
    line: str
    seconds: float


# What is drawn.


def sizes(draw: Draw) -> tuple[int, int]:
    return draw.choice(((64, 64), (64, 96), (96, 128), (97, 131), (128, 64), (224, 224)))


def of_timm(draw: Draw) -> Network:
    """Any network of timm's list, under a neck, if any, and a head."""
    name = draw.choice(importlib.import_module("timm").list_models())
    stride = draw.choice((32, 32, 32, 32, 32, 32, 16, 8))
    backbone = f"part(Timm, name={name!r}{'' if stride == 32 else f', output_stride={stride}'})"
    if name.startswith(("vit_", "deit_", "eva02_")) and draw.random() < 0.3:
        backbone = f"part(SimplePyramid, transformer={backbone}, width=32)"
    width = draw.choice((16, 32, 64))
    necks = ("FPN", "JPU", "PathAggregation", "Bilinear")
    neck = draw.choice((*12 * (None,), *necks))
    heads = ("FCNHead", "FCNHead", "PSPHead", "DeepLabV3Head", "DualAttentionHead", "EncNetHead", "DeepLabV3PlusHead")
    parts = {"backbone": backbone, "head": f"part({draw.choice(heads)}, width={width})"}
    if neck is not None:
        parts["neck"] = f"part({neck}{'' if neck == 'Bilinear' else f', width={width}'})"
    return Network(None, parts, sizes(draw))


def entries(draw: Draw, chances: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Some entries, each with one of its values, or now and then with one that cannot work."""
    senseless = (0, -1, 3, "x", None, (), (1, 2), 1.5, 10**6)
    chosen = {name: draw.choice(values) for name, values in chances.items() if draw.random() < 0.6}
    return {name: draw.choice(senseless) if draw.random() < SENSELESS / 4 else value for name, value in chosen.items()}


def called(name: str, values: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{entry}={value}' for entry, value in values.items())})"


def written(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in values.items()}


FOUR_DEPTHS = ((1, 1, 1, 1), (2, 2, 2, 2), (1, 2, 3, 1))
PLAIN = {
    "hidden_size": (32, 48, 64, 192), "num_hidden_layers": (4, 6, 12), "num_attention_heads": (2, 4, 8),
    "image_size": (64, 224, 384), "patch_size": (8, 14, 16, 32), "hidden_act": ("gelu", "relu"),
}  # fmt: skip
SMALL_PLAIN = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 64}

BACKBONES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Sequence[Any]]]] = {
    "swin": (
        {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)},
        {
            "embed_dim": (16, 32, 48), "depths": (*FOUR_DEPTHS, (1, 1, 1)), "num_heads": ((2, 2, 4, 4), (1, 1, 2, 2)),
            "window_size": (4, 5, 7, 8, 12), "patch_size": (2, 4), "use_absolute_embeddings": (False, True),
            "image_size": (64, 224),
        },
    ),
    "swinv2": (
        {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)},
        {"depths": FOUR_DEPTHS, "window_size": (4, 7, 8), "image_size": (64, 224, 256)},
    ),
    "resnet": (
        {"embedding_size": 16, "hidden_sizes": (16, 32, 48, 64), "depths": (1, 1, 1, 1)},
        {
            "layer_type": ("basic", "bottleneck"), "depths": FOUR_DEPTHS, "hidden_sizes": ((32, 64, 64, 128),),
            "downsample_in_first_stage": (False, True), "downsample_in_bottleneck": (False, True),
        },
    ),
    "convnext": (
        {"hidden_sizes": (16, 32, 48, 64), "depths": (1, 1, 1, 1)},
        {"depths": FOUR_DEPTHS, "hidden_sizes": ((24, 24, 48, 96),), "patch_size": (2, 4), "drop_path_rate": (0.1,)},
    ),
    "convnextv2": ({"hidden_sizes": (16, 32, 48, 64), "depths": (1, 1, 1, 1)}, {"depths": FOUR_DEPTHS}),
    "dinov2": (SMALL_PLAIN, {**PLAIN, "use_swiglu_ffn": (False, True), "apply_layernorm": (False, True)}),
    "beit": (SMALL_PLAIN, {**PLAIN, "use_relative_position_bias": (False, True), "add_fpn": (False, True)}),
    "focalnet": ({"embed_dim": 24, "depths": (1, 1, 1, 1)}, {"depths": FOUR_DEPTHS, "use_conv_embed": (False, True)}),
    "pvt_v2": (
        {"hidden_sizes": (16, 32, 48, 64), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 2, 4, 8)},
        {"depths": FOUR_DEPTHS, "linear_attention": (False, True), "sr_ratios": ((4, 2, 1, 1),)},
    ),
}  # fmt: skip
"""model_type -> the entries that make a backbone small, and other values of its entries."""

DECODER = {"hidden_dim": 64, "encoder_layers": 1, "decoder_layers": 3, "num_attention_heads": 4, "num_queries": 10}
DECODERS: Mapping[str, Sequence[Any]] = {
    "encoder_layers": (1, 2, 6), "decoder_layers": (2, 3, 5), "dim_feedforward": (32, 64), "dropout": (0.0, 0.1),
    "encoder_feedforward_dim": (32, 64), "num_attention_heads": (2, 4, 8), "num_queries": (5, 20, 100),
    "pre_norm": (False, True), "common_stride": (4, 8), "use_auxiliary_loss": (False, True), "train_num_points": (64,),
}  # fmt: skip
MASKS = {"num_queries": 10, "num_blocks": 2, "num_register_tokens": 1}
MASKS_OF_BLOCKS: Mapping[str, Sequence[Any]] = {
    "num_queries": (1, 5, 100), "num_blocks": (1, 2, 4), "num_register_tokens": (0, 1, 4), "layerscale_value": (1e-5,),
    "num_upscale_blocks": (0, 1, 2), "train_num_points": (64,), "drop_path_rate": (0.0, 0.1),
}  # fmt: skip

ARCHITECTURES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Sequence[Any]]]] = {
    "segformer": (
        {"hidden_sizes": (8, 16, 32, 64), "num_attention_heads": (1, 2, 4, 8), "decoder_hidden_size": 32},
        {
            "depths": (*FOUR_DEPTHS, (2, 2)), "sr_ratios": ((4, 2, 1, 1), (8, 4, 2, 1)), "hidden_act": ("relu", "gelu"),
            "num_attention_heads": ((1, 1, 2, 4), (1, 2, 5, 8)), "mlp_ratios": ((2, 2, 2, 2), (4, 4, 4, 4)),
            "patch_sizes": ((7, 3, 3, 3), (3, 3, 3, 3)), "strides": ((4, 2, 2, 2), (2, 2, 2, 2)),
            "decoder_hidden_size": (16, 64), "reshape_last_stage": (True, False),
        },
    ),
    "upernet": (
        {"hidden_size": 32, "auxiliary_channels": 16},
        {
            "use_auxiliary_head": (True, False), "pool_scales": ((1, 2), (1, 2, 3, 6)), "hidden_size": (16, 64),
            "auxiliary_num_convs": (0, 1, 2), "auxiliary_concat_input": (False, True),
        },
    ),
    "dpt": (
        {**SMALL_PLAIN, "intermediate_size": 64, "neck_hidden_sizes": (8, 16, 24, 32), "fusion_hidden_size": 16},
        {
            **PLAIN, "readout_type": ("ignore", "add", "project"), "use_auxiliary_head": (True, False),
            "use_batch_norm_in_fusion_residual": (True, False), "add_projection": (True, False),
            "reassemble_factors": ((4, 2, 1, 0.5), (4, 2, 1, 1)), "backbone_out_indices": ((0, 1, 2, 3),),
        },
    ),
    "beit": (
        {**SMALL_PLAIN, "intermediate_size": 64, "auxiliary_channels": 16},
        {
            **PLAIN, "use_relative_position_bias": (True, False), "use_absolute_position_embeddings": (True, False),
            "use_shared_relative_position_bias": (True, False), "use_auxiliary_head": (True, False),
            "pool_scales": ((1, 2), (1, 2, 3, 6)), "out_indices": ((1, 2, 3, 4),), "use_mean_pooling": (True, False),
        },
    ),
    "maskformer": (
        {"fpn_feature_size": 32, "mask_feature_size": 32},
        {
            "fpn_feature_size": (32, 64), "mask_feature_size": (16, 32, 64), "use_auxiliary_loss": (True, False),
            "no_object_weight": (0.1, 1.0), "mask_weight": (20.0, 1.0),
        },
    ),
    "mask2former": ({**DECODER, "feature_size": 64, "mask_feature_size": 64}, DECODERS),
    "oneformer": (
        {
            **DECODER, "conv_dim": 64, "mask_dim": 64, "query_dec_layers": 1, "text_encoder_width": 64,
            "text_encoder_num_layers": 1, "text_encoder_vocab_size": 64, "text_encoder_context_length": 8,
            "text_encoder_n_ctx": 2,
        },
        {**DECODERS, "use_task_norm": (True, False), "is_training": (True, False), "text_encoder_n_ctx": (2, 4)},
    ),
    "eomt": (
        {**SMALL_PLAIN, **MASKS, "patch_size": 16},
        {**PLAIN, **MASKS_OF_BLOCKS, "mlp_ratio": (2, 4), "use_swiglu_ffn": (False, True)},
    ),
    "eomt-dinov3": (
        {**SMALL_PLAIN, **MASKS, "patch_size": 16, "intermediate_size": 64},
        {**PLAIN, **MASKS_OF_BLOCKS, "use_gated_mlp": (False, True), "key_bias": (False, True)},
    ),
}  # fmt: skip
"""architecture -> the entries that make it small, and other values of its entries."""

DETR = {
    "model_type": "detr", "d_model": 32, "encoder_layers": 0, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_queries": 10,
}  # fmt: skip


def of_transformers(draw: Draw) -> Network:
    """An architecture of transformers with random entries, and with a random backbone where it has one."""
    architecture = draw.choice(sorted(ARCHITECTURES))
    small, chances = ARCHITECTURES[architecture]
    config = written({**small, **entries(draw, chances)})
    if architecture in ("upernet", "maskformer", "mask2former", "oneformer"):
        kind = draw.choice(sorted(BACKBONES))
        small, chances = BACKBONES[kind]
        inner = {"model_type": kind, **small, **entries(draw, chances)}
        config["backbone_config"] = called("hub_config", written(inner))
    if architecture == "maskformer":
        config["decoder_config"] = called("hub_config", written(DETR))
    code = f"part(HuggingFace, architecture={architecture!r}, config={called('hub_config', config)})"
    return Network(code, {}, sizes(draw))


ENCODERS: Mapping[str, Sequence[Any]] = {"encoder_depth": (3, 4, 5)}
DECODERS_OF_PIXELS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "Unet": {"decoder_channels": ((64, 32, 16, 8, 4),), "decoder_attention_type": (None, "scse")},
    "UnetPlusPlus": {"decoder_channels": ((64, 32, 16, 8, 4),), "decoder_attention_type": (None, "scse")},
    "MAnet": {"decoder_channels": ((64, 32, 16, 8, 4),), "decoder_pab_channels": (32, 64)},
    "Linknet": {**ENCODERS, "decoder_use_norm": ("batchnorm", "identity")},
    "FPN": {"decoder_pyramid_channels": (32, 256), "decoder_merge_policy": ("add", "cat"), "upsampling": (2, 4)},
    "PSPNet": {**ENCODERS, "psp_out_channels": (64, 512), "upsampling": (4, 8)},
    "DeepLabV3": {"encoder_output_stride": (8, 16), "decoder_atrous_rates": ((2, 4, 6),)},
    "DeepLabV3Plus": {"encoder_output_stride": (8, 16), "decoder_channels": (32, 256)},
    "PAN": {"encoder_output_stride": (16, 32), "decoder_channels": (16, 32)},
    "UPerNet": {**ENCODERS, "decoder_channels": (32, 256)},
    "Segformer": {**ENCODERS, "decoder_segmentation_channels": (32, 256)},
}  # fmt: skip
"""architecture -> values of its options."""


def of_segmentation_models(draw: Draw) -> Network:
    """An architecture of segmentation_models_pytorch with any of its encoders, or now and then one of timm.

    One in ten is of timm, most of whose networks have no pyramid, which the library needs. ``decoder_use_norm`` is not
    "instancenorm", with which no network of version 0.6 can be built.
    """
    encoders = importlib.import_module("segmentation_models_pytorch").encoders.get_encoder_names()
    encoder = draw.choice(encoders)
    if draw.random() < 0.1:
        encoder = "tu-" + draw.choice(importlib.import_module("timm").list_models())
    architecture = draw.choice(sorted(DECODERS_OF_PIXELS))
    options = tuple(sorted(entries(draw, DECODERS_OF_PIXELS[architecture]).items()))
    given = {"architecture": architecture, "encoder": encoder, **({"options": options} if options else {})}
    return Network(f"part(SMP, {called('', written(given))[1:-1]})", {}, sizes(draw))


BY_DEFAULT = ("timm", "transformers")
LIBRARIES: dict[str, Callable[[Draw], Network]] = {
    "timm": of_timm,
    "transformers": of_transformers,
    "segmentation_models_pytorch": of_segmentation_models,
}


def drawn(libraries: Sequence[str], seed: int, number: int) -> Network:
    """The network of a number. The libraries take turns."""
    library = libraries[number % len(libraries)]
    return LIBRARIES[library](random.Random(f"{library} {seed} {number}"))


# What bench says.


def check(folder: Path) -> None:
    """Run ``bench check`` on the study of a folder; what it says goes to files there, and its exit status too."""
    os.chdir(folder)
    warnings.simplefilter("default")  # as in a process of the user, also under pytest
    torch.set_num_threads(1)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8") for stream in (1, 2))
    sys.argv = ["bench", "check", "study.py", "--json"]
    status = 1
    try:
        with within(LONGEST_S, MOST_BYTES):
            app.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except HangError as error:
        Path("hang").write_text(str(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    Path("status").write_text(str(status))


def judged(folder: Path, exit_code: int | None) -> tuple[Ending, str]:
    """The ending of a check, and its line, from what it left in the folder."""
    out, err = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    if (folder / "hang").exists() or exit_code is None:
        return "fault", f"nothing after {LONGEST_S:g} s"
    if "Traceback (most recent call last)" in err + out:
        return "fault", f"a traceback: {err.strip().splitlines()[-1]}"
    if not (folder / "status").exists():
        return "fault", f"the process ended with status {exit_code}"
    status = int((folder / "status").read_text())
    with contextlib.suppress(ValueError):
        document = json.loads(out)
        if status == 0 and len(document["variants"]) == 2 and not document["faulty"]:
            return "table", ""
        if status and len(document["faulty"]) == len(document["variants"]) == 1:
            return complaint(document["faulty"][0]["reason"])
    lines = [line for line in err.splitlines() if line.startswith("bench: ")]
    if status == 2 and len(lines) == 1 and not out:
        return complaint(lines[0].removeprefix("bench: "))
    return "fault", f"exit status {status}, and neither a table nor a line: {(err or out)[-200:]!r}"


def complaint(line: str) -> tuple[Ending, str]:
    if "\n" in line.strip():
        return "fault", f"{len(line.splitlines())} lines: {line!r}"
    if len(line) > LONGEST_LINE:
        return "fault", f"a line of {len(line)} characters: {line[:200]}"
    return "line", line


def checked(number: int, network: Network, show: bool = False) -> Result:
    """The result of a network, which is checked in a process of its own.

    Args:
        number: its number in the draw.
        network: the network.
        show: print the study, and all that the command writes.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="random-network-") as temporary:
        folder = Path(temporary)
        (folder / "study.py").write_text(network.study(), encoding="utf-8")
        process = multiprocessing.get_context("fork").Process(target=check, args=(folder,))
        process.start()
        process.join(LONGEST_S + 60)
        if process.exitcode is None:
            process.kill()
            process.join()
            ending, line = judged(folder, None)
        else:
            ending, line = judged(folder, process.exitcode)
        if show:
            for name in ("study.py", "out", "err"):
                sys.stdout.write(f"--- {name}\n{(folder / name).read_text(errors='replace')}\n")
    return Result(number, network, ending, line, time.monotonic() - start)


def cause(line: str) -> str:
    """A line without what differs from network to network: names in quotes, and numbers."""
    line = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", line)
    line = re.sub(r"hub_config\(.*\)|\([^()]*\)|\[[^\[\]]*\]", "(…)", line)
    return re.sub(r"-?\d+(\.\d+)?", "N", line)[:110]


def listed(results: Sequence[Result], ending: Ending) -> str:
    """The results with an ending by their cause, the most frequent first, each with its first example."""
    kinds: dict[str, list[Result]] = {}
    for result in results:
        if result.ending == ending:
            kinds.setdefault(cause(result.line), []).append(result)
    text = ""
    for kind, of_a_kind in sorted(kinds.items(), key=lambda item: -len(item[1])):
        first = of_a_kind[0]
        numbers = ", ".join(str(result.number) for result in of_a_kind)
        text += f"  {len(of_a_kind)} × {kind}\n      {numbers}: {first.network}\n      {first.line}\n"
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if there was a fault, or if too few networks have a table."""
    parser = argparse.ArgumentParser(description="Check networks with random configurations, and look at what is said.")
    parser.add_argument("libraries", nargs="*", choices=[*LIBRARIES, []], help=f"by default {' and '.join(BY_DEFAULT)}")
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first network")
    parser.add_argument("--only", type=int, help="the number of one network, of which everything is shown")
    options = parser.parse_args(arguments)
    libraries = options.libraries or list(BY_DEFAULT)
    for library in libraries:  # once, before the processes are forked
        importlib.import_module(library)
    numbers = range(options.first, options.first + options.networks) if options.only is None else [options.only]
    sys.stdout.write(f"seed {options.seed}, networks {numbers[0]} to {numbers[-1]} of {', '.join(libraries)}\n")
    results = []
    start = time.monotonic()
    for number in numbers:
        network = drawn(libraries, options.seed, number)
        result = checked(number, network, options.only is not None)
        results.append(result)
        told = "" if result.ending == "table" else f" {result.line[:200]}"
        sys.stdout.write(f"{number}: {result.ending} in {result.seconds:.1f} s: {str(network)[:150]}{told}\n")
        sys.stdout.flush()
    seconds = time.monotonic() - start
    counts = {ending: sum(result.ending == ending for result in results) for ending in ("table", "line", "fault")}
    share = counts["table"] / len(results)
    sys.stdout.write(f"\n{len(results)} networks in {seconds:.0f} s: {counts['table']} tables ({share:.1%})\n")
    sys.stdout.write(f"{counts['line']} lines, by cause:\n{listed(results, 'line')}")
    sys.stdout.write(f"{counts['fault']} faults:\n{listed(results, 'fault')}")
    return 1 if counts["fault"] or share < LEAST_SHARE_OF_TABLES else 0


if __name__ == "__main__":
    sys.exit(main())
