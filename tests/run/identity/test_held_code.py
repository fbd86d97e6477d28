"""Classes, functions, enumerations and dataclasses that a choice holds are part of a trial's key by their code."""

from __future__ import annotations

from pathlib import Path

from bench.run.stages import forget_sources, identify
from bench.study.source import load_study

STUDY = '''
import enum
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss


def gentle(x):
    return x * 2


class Act(nn.ReLU):
    """An activation."""

    def forward(self, x):
        return gentle(x)


class Kind(enum.Enum):
    A = 1
    B = 2


@dataclass(frozen=True)
class Config:
    depth: int = 1

    def size(self):
        return self.depth * 3


@dataclass(frozen=True)
class Other:
    act: object = None


class Mine(nn.Module):
    def __init__(self, levels, num_classes, boundary=None, *, held=None):
        super().__init__()
        self.c = nn.Conv2d(levels[-1].channels, num_classes, 1)
        self.held = held

    def forward(self, features, boundary=None, *, with_aux=False):
        return self.c(features[-1]), {}


HELD = {
    "function": gentle,
    "class": Act,
    "tuples": (1, (Act,)),
    "member": Kind.B,
    "another-member": Kind.A,
    "dataclass": Config(2),
    "another-field": Config(3),
    "inside": Other(gentle),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "path": Path("v.pth"),
    "another-path": Path("w.pth"),
    "dtype": torch.float16,
    "another-dtype": torch.bfloat16,
    "nothing": None,
}
LEVELS = {name: change(head=part(Mine, held=held)) for name, held in HELD.items()}
STUDY = Study(
    name="held",
    question="Does my head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("head", {"fcn": change(), **LEVELS}),),
    baseline={"head": "fcn"},
    recipe=Recipe(data=part(Synthetic), crop_px=(32, 48), iterations=1, batch=2),
)
'''
EDITS = {"return x * 2": "return x * 3", "B = 2": "B = 3", "self.depth * 3": "self.depth * 4"}
CHANGED = {"function", "class", "tuples", "member", "another-member", "dataclass", "another-field", "inside"}


def keys(folder: Path, text: str) -> dict[str, str]:
    folder.mkdir()
    path = folder / "held_study.py"
    path.write_text(text, encoding="utf-8")
    forget_sources()
    return {
        cell.levels["head"]: identify(cell, "quality", 0, "data", modules=("studies.held_study",))
        for cell in load_study(path).cells()
    }


def test_the_key_follows_the_code_that_a_choice_holds_and_no_other(tmp_path: Path) -> None:
    edited = STUDY
    for before, after in EDITS.items():
        assert before in STUDY
        edited = edited.replace(before, after)
    first, second = keys(tmp_path / "a", STUDY), keys(tmp_path / "b", edited)
    assert len(set(first.values())) == len(first)
    assert {level for level, key in first.items() if second[level] != key} == CHANGED
