"""A network that divides by the spread of its image; one image of the val split is black."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data.base import Sample
from bench.network import SegmentationLoss


class Blocks:
    """Coloured blocks; the label is the colour."""

    name = "blocks"
    classes = ("a", "b", "c")

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def split(self, name):
        samples = []
        for index in range(4):
            generator = np.random.default_rng([index, len(name)])
            label = np.kron(generator.integers(0, len(self.classes), (4, 6)), np.ones((8, 8))).astype(np.uint8)
            image = (label * 20 + generator.integers(0, 20, (3, 32, 48))).astype(np.uint8)
            image = image * 0 if name == "val" and index == 0 else image
            samples.append(Sample(torch.from_numpy(image), torch.from_numpy(label), f"{name}{index}"))
        return samples

    def check(self, progress=None):
        pass

    def fingerprint(self, cache=None):
        return "f"


class Standardised(nn.Module):
    """Two convolutions on an image of mean 0 and spread 1."""

    def __init__(self, num_classes: int, *, width: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, num_classes, 1))

    def forward(self, image):
        spread = image.std((2, 3), keepdim=True).mean(1, keepdim=True)
        return self.net((image - image.mean((1, 2, 3), keepdim=True)) / spread)


STUDY = Study(
    name="black",
    question="Is a wider head better?",
    base=Variant(
        whole=part(Standardised),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(whole=choose(width=16))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(
        data=part(Blocks),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
    ),
    seeds=(0,),
    stages=("quality",),
)
