"""A network that divides by the spread of its image; one image of the val split is black."""

from torch import nn

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.data.base import Sample
from bench.network import SegmentationLoss


class OneIsBlack(Synthetic):
    """Drawn scenes, of which the first one of the val split is black."""

    def split(self, name):
        samples = list(super().split(name))
        if name == "val":
            samples[0] = Sample(samples[0].image * 0, samples[0].label, samples[0].name)
        return samples


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
        data=part(OneIsBlack, height_px=32, width_px=48, train_images=4, val_images=4),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
    ),
    seeds=(0,),
    stages=("quality",),
)
