"""The parameter totals of whole networks, compared with those in a folder's ``param_counts.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from bench.network.model import SegModel
from parity.compare import Check, Verdict, check_count
from parity.golden import read_json
from parity.networks import network_of

FILE = "param_counts.json"

FASTFCN = re.compile(
    r"fastfcn_(?P<backbone>resnet\d+)_(?P<head>[a-z0-9]+)_(?P<upsampling>os8|os32|jpux?)_(?P<k>\d+)cls"
)
DANET = re.compile(r"danet_(?P<backbone>resnet\d+)_(?P<stem>deep|plain)stem_(?P<k>\d+)cls")
GSCNN = re.compile(r"gscnn_(?P<k>\d+)cls")

HEADS = {"fcn": "FCN", "psp": "PSP", "deeplabv3": "DeepLabV3", "encnet": "EncNet"}
JPUS = {"jpu": "JPU", "jpux": "JPU_X"}

SLOTS = {"pretrained": "backbone", "jpu": "neck", "head": "head", "auxlayer": "auxiliary"}
"""Child module of the original -> our slot."""

UNUSED = {"unused_fc": "pretrained", "dsn1": ""}
"""Name of a count of modules that are never used in a forward pass -> child module that contains them."""


def run_counts(folder: Path) -> Iterator[Verdict]:
    """Yield one verdict on all totals, if the folder has them."""
    path = folder / FILE
    if not path.exists():
        return
    checks = [check for name, counts in read_json(path)["models"].items() for check in _check_model(name, counts)]
    failed = not checks or not all(check.passed for check in checks)
    yield Verdict(FILE, "fail" if failed else "pass", tuple(checks))


def _check_model(name: str, counts: Mapping[str, int]) -> Iterator[Check]:
    known = _options(name)
    if known is None:
        yield Check(name, problem="a network that is not known here")
        return
    network = network_of(*known)
    with torch.device("meta"):
        model = SegModel(network.variant, network.num_classes)
    unused = {key: counts[key] for key in UNUSED if key in counts}
    slots = {slot: sum(p.numel() for p in module.parameters()) for slot, module in model.slots()}
    total = counts["total"] - sum(unused.values())
    if counts.get("total_without_fc", total) != total:
        yield Check(name, problem=f"total_without_fc {counts['total_without_fc']} is not the total without {unused}")
    yield check_count(name, sum(slots.values()), total)
    for child, slot in SLOTS.items():
        if child in counts:
            stated = counts[child] - sum(count for key, count in unused.items() if UNUSED[key] == child)
            yield check_count(f"{name} {child}", slots.get(slot, 0), stated)


def _options(name: str) -> tuple[str, dict[str, Any]] | None:
    """The class and the constructor arguments of the original for which a name stands."""
    if match := GSCNN.fullmatch(name):
        return "GSCNN", {"num_classes": int(match["k"])}
    if match := DANET.fullmatch(name):
        plain = match["stem"] == "plain"
        return "DANet", {"nclass": int(match["k"]), "backbone": match["backbone"], "no_deepstem": plain}
    match = FASTFCN.fullmatch(name)
    if match is None or match["head"] not in HEADS:
        return None
    return HEADS[match["head"]], {
        "nclass": int(match["k"]),
        "backbone": match["backbone"],
        "aux": True,
        "se_loss": True,
        "jpu": JPUS.get(match["upsampling"]),
        "dilated": match["upsampling"] == "os8",
    }
