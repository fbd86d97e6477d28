"""A study of two networks: the first runs out of memory in the way that an environment variable names, the second not.

Both have the same layers. The failure stays with the process in which it happened, as that of a broken device does.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import SegmentationLoss

HOW = os.environ.get("SICK", "")
"""``BYTES`` asks for more memory than the device has; another name is that of a code that the null device returns."""
CODES = {"CUBLAS": "3", "CUDNN": "4", "LAST": "2"}


class Network(nn.Module):
    """A convolution and a product."""

    def __init__(self, classes: int, *, sick: bool = False) -> None:
        super().__init__()
        self.sick = sick
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.product = nn.Linear(8, classes)

    def forward(self, image: Tensor) -> Tensor:
        if self.sick and image.is_cuda and HOW == "BYTES":
            torch.empty(2**32, device=image.device)
        elif self.sick and image.is_cuda:
            os.environ[f"NULLCUDA_{HOW}"] = CODES[HOW]
        logits: Tensor = self.product(self.convolution(image).permute(0, 2, 3, 1))
        return logits.permute(0, 3, 1, 2)


STUDY = Study(
    name="sick",
    question="Does the second network run after the first ran out of memory?",
    base=Variant(whole=part(Network), losses=(part(SegmentationLoss),)),
    factors=(Factor("health", {"sick": change(whole=choose(sick=True)), "well": change()}),),
    baseline={"health": "sick"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=32, train_images=8, val_images=4, test_images=4),
        crop_px=(32, 32),
        iterations=3,
        batch=4,
        eval_batch=2,
        latency_samples=2,
        latency_least_s=0.01,
    ),
    seeds=(0,),
)
