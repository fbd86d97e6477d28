"""The ten commonest mistakes of a newcomer: one line tells each, and names the cell or the file and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

STUDY = '''
import torch
from torch import nn

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import CamVid, Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss


class Mine(nn.Module):
    """A head of one convolution."""

    def __init__(self, levels, num_classes, boundary=None):
        super().__init__()
        self.classify = nn.Conv2d(levels[-1].channels, num_classes, 1)

    def forward(self, features, boundary=None, *, with_aux=False):
        return self.classify(features[-1]), {}


STUDY = Study(
    name="first",
    question="Does my head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("head", {"fcn": change(), "mine": change(head=part(Mine))}),),
    baseline={"head": "fcn"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4, test_images=4),
        crop_px=(32, 48),
        iterations=1,
        batch=2,
    ),
    seeds=(0,),
    stages=("quality",),
)
'''
SYNTHETIC = "part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4, test_images=4)"


def nothing(folder: Path) -> None:
    """The study needs no files."""


def without_val(folder: Path) -> None:
    _camvid(folder, splits=("train", "test"))


def with_a_wrong_value(folder: Path) -> None:
    _camvid(folder, splits=("train", "val", "test"))
    path = folder / "camvid/labels/train/b.png"
    label = np.array(Image.open(path))
    label[0, 0] = 31
    Image.fromarray(label).save(path)


def _camvid(folder: Path, splits: tuple[str, ...]) -> None:
    for split in splits:
        for kind, shape in (("images", (32, 48, 3)), ("labels", (32, 48))):
            (folder / "camvid" / kind / split).mkdir(parents=True)
            for name in ("a", "b"):
                Image.fromarray(np.ones(shape, np.uint8)).save(folder / "camvid" / kind / split / f"{name}.png")


@dataclass(frozen=True)
class Mistake:
    """A study that is wrong in one respect, and what the line about it has.

    Attributes:
        right: the text of the study that the newcomer wrote differently.
        wrong: what the newcomer wrote.
        names: the cell or the file that the line names.
        says: what is wrong.
        remedy: what to do about it.
        command: with which it is met.
        status: exit statuses that the command may end with: 1 where other cells go on, 2 where nothing is run.
        files: makes the files that the study needs.
    """

    right: str
    wrong: str
    names: str
    says: str
    remedy: str
    command: tuple[str, ...] = ("check", "first.py")
    status: tuple[int, ...] = (2,)
    files: Callable[[Path], None] = field(default=nothing)


MISTAKES = {
    "a misspelt choice": Mistake(
        right="FCNHead, width=8",
        wrong="FCNHead, widht=8",
        names="first.py",
        says="FCNHead has no choice 'widht'",
        remedy="did you mean 'width'?",
    ),
    "a misspelt level of the baseline": Mistake(
        right='baseline={"head": "fcn"}',
        wrong='baseline={"head": "fnc"}',
        names="first.py",
        says="factor 'head' has no level 'fnc'",
        remedy="did you mean 'fcn'?",
    ),
    "a study file without STUDY": Mistake(
        right="STUDY = Study(",
        wrong="study = Study(",
        names="first.py",
        says="sets no STUDY",
        remedy="ends with STUDY = Study(…)",
    ),
    "a wrong number of channels": Mistake(
        right="nn.Conv2d(levels[-1].channels,",
        wrong="nn.Conv2d(512,",
        names="head=mine",
        says="512 channels",
        remedy="levels[-1].channels",
        status=(1, 2),
    ),
    "a head that returns its logits alone": Mistake(
        right="return self.classify(features[-1]), {}",
        wrong="return self.classify(features[-1])",
        names="head=mine",
        says="Mine returns a tensor",
        remedy="return logits, {}",
        status=(1, 2),
    ),
    "a lost import": Mistake(
        right="return self.classify(features[-1]), {}",
        wrong="return self.classify(F.relu(features[-1])), {}",
        names="head=mine",
        says="name 'F' is not defined",
        remedy="import",
        status=(1, 2),
    ),
    "a folder of data that is not there": Mistake(
        right=SYNTHETIC,
        wrong="part(CamVid)",
        names="no/such/folder",
        says="is not a folder",
        remedy="--data camvid=/path/to/CamVid",
        command=("run", "first.py", "--data", "no/such/folder"),
    ),
    "a val split that is not there": Mistake(
        right=SYNTHETIC,
        wrong="part(CamVid)",
        names="camvid/images/val",
        says="is missing",
        remedy="get the complete data set",
        command=("run", "first.py", "--data", "./camvid"),
        files=without_val,
    ),
    "a value that is no class in a label": Mistake(
        right=SYNTHETIC,
        wrong="part(CamVid)",
        names="camvid/labels/train/b.png",
        says="holds the value 31",
        remedy="convert the labels",
        command=("run", "first.py", "--data", "./camvid"),
        files=with_a_wrong_value,
    ),
    "not enough memory": Mistake(
        right="return self.classify(features[-1]), {}",
        wrong="""if features[-1].device.type != "meta":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.classify(features[-1]), {}""",
        names="head=mine",
        says="GPU memory, at batch 2",
        remedy="a smaller batch",
        command=("trial", "first.py", "head=mine"),
        status=(1,),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_newcomers_mistake_is_one_line_that_names_the_place_and_the_remedy(
    bench: Callable[..., tuple[int, str, str]], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = MISTAKES[name]
    assert mistake.right in STUDY
    (tmp_path / "first.py").write_text(STUDY.replace(mistake.right, mistake.wrong), encoding="utf-8")
    mistake.files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_CAMVID", raising=False)
    status, output, errors = bench(*mistake.command)
    lines = [line for line in (output + errors).splitlines() if mistake.says in line]
    assert status in mistake.status
    assert "Traceback" not in output + errors
    assert len(lines) == 1
    assert mistake.names in lines[0]
    assert mistake.remedy in lines[0]
    assert len(lines[0]) <= 300
    if status == 2:
        assert errors.splitlines() == lines


def test_the_study_without_a_mistake_is_checked(
    bench: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first.py").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    status, output, _ = bench("check", "first.py")
    assert status == 0
    assert "2 variants" in output
