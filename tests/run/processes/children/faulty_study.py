"""A study whose networks are trained by two processes, in one of which something happens after some iterations."""

from __future__ import annotations

import os
import signal
import time

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bench import Factor, Recipe, Study, Variant, adding, change, part
from bench.data import Synthetic
from bench.network import FCNHead, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone

AT = 3


class StudyOwnError(Exception):
    """An error that cannot be restored from its text alone, as it takes two arguments."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


class Event(nn.Module):
    """A loss of 0 that lets something happen in process 1 of a group, or in the only process, at its third call."""

    def __init__(self, num_classes: int, *, kind: str) -> None:
        super().__init__()
        self.kind, self.calls = kind, 0

    def forward(self, output: object, label: Tensor) -> Tensor:
        self.calls += 1
        zero = torch.zeros(())
        if self.calls != AT:
            return zero
        if self.kind == "diverges":
            return zero / 0
        if dist.is_initialized() and dist.get_rank() == 1:
            self._happen()
        return zero

    def _happen(self) -> None:
        if self.kind == "raises":
            raise StudyOwnError("one", "other")
        if self.kind == "out_of_memory":
            raise MemoryError("planted")
        if self.kind == "is_killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "exits":
            os._exit(3)
        if self.kind == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.kind == "hangs":
            time.sleep(1000)  # a hang, which the time limit ends


KINDS = ("raises", "out_of_memory", "is_killed", "exits", "crashes", "diverges", "hangs")
STUDY = Study(
    name="faulty",
    question="What becomes of a trial of two processes if something happens in the second?",
    base=Variant(
        backbone=part(ShallowBackbone), head=part(FCNHead, width=8, dropout=0.0), losses=(part(SegmentationLoss),)
    ),
    factors=(
        Factor("event", {"none": change()} | {kind: change(losses=adding(part(Event, kind=kind))) for kind in KINDS}),
    ),
    baseline={"event": "none"},
    recipe=Recipe(
        data=part(Synthetic, height_px=40, width_px=48, train_images=8, val_images=2),
        crop_px=(32, 32),
        iterations=6,
        batch=4,
        learning_rate=0.02,
    ),
    seeds=(0,),
    stages=("quality",),
)
