"""The results folder breaks in mid-run: once a trial has stored its record, the place of the records is a file."""

from pathlib import Path

import numpy as np
import torch

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data.base import Sample
from bench.network import FCNHead, ResNet, SegmentationLoss


class Blocks:
    """Coloured blocks; the label is the colour."""

    name = "blocks"
    classes = ("a", "b", "c")

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def split(self, name):
        records = Path("out/broken/records")
        if name == "val" and records.is_dir():
            records.rename("out/broken/records-until-then")
            records.touch()
        samples = []
        for index in range(4):
            generator = np.random.default_rng([index, len(name)])
            label = np.kron(generator.integers(0, len(self.classes), (4, 6)), np.ones((8, 8))).astype(np.uint8)
            image = (label * 20 + generator.integers(0, 20, (3, 32, 48))).astype(np.uint8)
            samples.append(Sample(torch.from_numpy(image), torch.from_numpy(label), f"{name}{index}"))
        return samples

    def check(self, progress=None):
        pass

    def fingerprint(self, cache=None):
        return "f"


STUDY = Study(
    name="broken",
    question="Is a wider head better?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(head=choose(width=16))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(
        data=part(Blocks),
        crop_px=(32, 48),
        iterations=1,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
    ),
    seeds=(0, 1, 2),
    stages=("quality",),
)
