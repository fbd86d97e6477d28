"""Random networks of timm and transformers: `bench check` ends in a row or in one line for each of them.

Run by ``nox -s extras -- -k random``, which prints the causes. Networks of timm are those without a word of great size
in their names, as a random one is computed with values where shapes alone are not enough.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from importlib import import_module
from typing import Any

import pytest

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import ControlScenes
from bench.network.backbones.timm import Timm
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.own_losses import own_losses
from bench.network.whole.config import hub_config
from bench.network.whole.families import FAMILIES
from bench.network.whole.huggingface import HuggingFace
from bench.parts import Part
from bench.run.check import Checked, check_cells
from bench.study.factors import Change

pytestmark = pytest.mark.extras

SEED = 20
COUNT = 200
GREAT = re.compile(r"huge|giant|gigantic|enormous|large|xl|so[0-9]+m|_g_|_h_|101|152|200|269|320|384|448|512|b[4-8]|l2")
HEADS = (1, 2, 4, 8)


def of_timm(draws: random.Random, names: list[str]) -> Change:
    choices: dict[str, Any] = {"output_stride": draws.choice((8, 16))} if draws.random() < 0.2 else {}
    return change(backbone=part(Timm, name=draws.choice(names), **choices))


def of_transformers(draws: random.Random) -> Change:
    architecture = draws.choice(list(FAMILIES))
    network = part(HuggingFace, architecture=architecture, config=hub_config(**_entries(draws, architecture)))
    return change(backbone=None, head=None, whole=network, losses=own_losses(network))


def _entries(draws: random.Random, architecture: str) -> dict[str, Any]:
    heads = draws.choice(HEADS)
    width = heads * draws.choice((8, 16, 32))
    if architecture == "segformer":
        widths = [draws.choice((8, 16, 32)) * number for number in HEADS]
        return {
            "depths": [draws.choice((1, 2)) for _ in range(4)], "hidden_sizes": widths, "num_attention_heads": HEADS,
            "decoder_hidden_size": draws.choice((16, 32, 64)), "mlp_ratios": [draws.choice((2, 4))] * 4,
        }  # fmt: skip
    if architecture in ("dpt", "beit", "eomt", "eomt-dinov3"):
        entries = {
            "hidden_size": width, "num_hidden_layers": draws.choice((4, 6, 8, 12)), "num_attention_heads": heads,
            "image_size": draws.choice((64, 96, 128)), "patch_size": draws.choice((8, 16)),
        }  # fmt: skip
        if architecture == "dpt":
            entries |= {"neck_hidden_sizes": [8, 16, 16, 16], "fusion_hidden_size": draws.choice((16, 32))}
        elif architecture == "beit":
            entries |= {"use_relative_position_bias": draws.random() < 0.5, "intermediate_size": 2 * width}
        else:
            entries |= {"num_queries": draws.choice((5, 20)), "num_blocks": draws.choice((1, 2, 4))}
        return entries
    if architecture == "upernet":
        return {
            "backbone_config": _backbone(draws), "hidden_size": draws.choice((16, 32)), "auxiliary_channels": 16,
            "use_auxiliary_head": draws.random() < 0.7, "pool_scales": draws.choice(([1, 2], [1, 2, 3, 6])),
        }  # fmt: skip
    queries = {"backbone_config": _backbone(draws)}
    if architecture == "maskformer":
        detr = {
            "model_type": "detr", "d_model": width, "encoder_layers": 0, "decoder_layers": draws.choice((1, 3)),
            "encoder_attention_heads": heads, "decoder_attention_heads": heads, "num_queries": draws.choice((5, 20)),
        }  # fmt: skip
        return queries | {
            "decoder_config": detr, "fpn_feature_size": draws.choice((32, 64)),
            "mask_feature_size": draws.choice((32, 64)), "use_auxiliary_loss": draws.random() < 0.5,
        }  # fmt: skip
    queries |= {
        "hidden_dim": 64, "num_attention_heads": heads, "encoder_layers": draws.choice((1, 2)),
        "decoder_layers": draws.choice((2, 3, 4)), "num_queries": draws.choice((10, 20)), "dim_feedforward": 64,
    }  # fmt: skip
    if architecture == "mask2former":
        return queries | {"feature_size": draws.choice((32, 64)), "mask_feature_size": 64, "train_num_points": 64}
    return queries | {
        "conv_dim": 64, "mask_dim": 64, "is_training": draws.random() < 0.7, "text_encoder_width": 64,
        "text_encoder_num_layers": 1, "text_encoder_vocab_size": 64, "text_encoder_context_length": 8,
        "text_encoder_n_ctx": draws.choice((0, 2)),
    }  # fmt: skip


def _backbone(draws: random.Random) -> dict[str, Any]:
    kind = draws.choice(("swin", "swin", "swinv2", "resnet", "convnext", "convnextv2", "focalnet"))
    depths = [draws.choice((1, 2)) for _ in range(4)]
    if kind.startswith("swin"):
        width = draws.choice((12, 24))
        return {
            "model_type": kind, "embed_dim": width, "depths": depths, "num_heads": [1, 2, 3, 6],
            "window_size": draws.choice((4, 7)),
        }  # fmt: skip
    if kind == "focalnet":
        return {"model_type": kind, "embed_dim": 16, "depths": depths}
    entries = {"model_type": kind, "depths": depths, "hidden_sizes": [8, 16, 32, 64]}
    return entries | ({"embedding_size": 8, "layer_type": "basic"} if kind == "resnet" else {})


def test_random_networks_end_in_a_row_or_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    draws = random.Random(SEED)
    names = [name for name in import_module("timm").list_models() if not GREAT.search(name)]
    levels = {f"{i:03d}": of_timm(draws, names) if i % 2 else of_transformers(draws) for i in range(COUNT)}
    first = "resnet18"
    base = Variant(backbone=part(Timm, name=first), head=part(FCNHead, width=16), losses=(part(SegmentationLoss),))
    study = Study(
        name="random",
        question="Does each of them end in a row or in one line?",
        base=base,
        factors=(Factor("network", {first: change(), **levels}),),
        baseline={"network": first},
        recipe=Recipe(data=part(ControlScenes), crop_px=(64, 64), batch=2),
    )
    rows, lines = 0, Counter[str]()
    for result in check_cells(study, lambda cell: 5, 64, 96):
        if isinstance(result, Checked):
            rows += 1
            continue
        assert "\n" not in result.reason
        assert "Traceback" not in result.reason
        variant = result.cell.variant
        network: Part[Any] | None = variant.backbone if variant.whole is None else variant.whole
        assert network is not None
        lines[f"{_called(network)}: {result.reason}"] += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{rows} of {COUNT + 1} networks have a row. The others, by cause:\n")
        sys.stdout.writelines(f"{count} {line[:300]}\n" for line, count in lines.most_common())
    assert rows + sum(lines.values()) == COUNT + 1
    assert rows >= 0.8 * COUNT


def _called(network: Part[Any]) -> str:
    return str(network["name"] if network.cls is Timm else network["architecture"])
