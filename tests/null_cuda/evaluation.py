"""The number of times that the host waits for the device while a split is evaluated, on a device that does nothing.

Run it with the null device; its kernels compute nothing, so the checks of what it predicts are left out.
"""

from __future__ import annotations

import ctypes
import sys
from unittest.mock import patch

import torch

from bench.data.base import Sample
from bench.data.synthetic import Synthetic
from bench.measure.quality import evaluate as module
from bench.measure.quality.evaluate import evaluate
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.recipe import Recipe

MOST = 3
"""The most synchronisations that a batch may take."""
CLASSES = 11
BATCH = 2
SYNCHRONISATIONS = 3
"""The number of the null device's counter of synchronisations."""


class Noise:
    """Random images of CamVid's size; ``batches`` is the number of batches that they make."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return BATCH * self.batches

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(256, (3, 360, 480), generator=generator, dtype=torch.uint8)
        label = torch.randint(CLASSES, (360, 480), generator=generator, dtype=torch.uint8)
        return Sample(image, label, str(index))


WHOLE = Recipe(
    data=part(Synthetic), crop_px=(64, 64), iterations=1, batch=BATCH, eval_batch=BATCH, trimap_px=(3, 9),
    distance_crop_px=(40,),
)  # fmt: skip
BY_VIEWS = WHOLE.having(test_flip=True, test_scales=(0.75, 1.0))
"""The recipe of a test by four views; images are predicted one by one, so each is a batch."""


def synchronisations(recipe: Recipe, batches: int) -> int:
    """The synchronisations while so many batches of two images are evaluated."""
    network = Variant(
        part(ResNet, depth=18, width=8, output_stride=32), part(FCNHead, width=8), losses=(part(SegmentationLoss),)
    )
    model = SegModel(network, CLASSES)
    library = ctypes.CDLL(None)
    library.nullcuda_reset()
    with patch.object(module, "_refuse_not_finite"), patch.object(module, "check_pairs"):
        evaluate(model, Noise(batches), recipe, device=torch.device("cuda"))
    return int(library.nullcuda_stat(SYNCHRONISATIONS))


def synchronisations_a_batch(recipe: Recipe = WHOLE) -> float:
    """The synchronisations that two images more take, without those that a whole split takes once."""
    synchronisations(recipe, 2)  # the first run allocates memory, which waits for the device
    return (synchronisations(recipe, 7) - synchronisations(recipe, 2)) / 5


if __name__ == "__main__":
    whole, by_views = synchronisations_a_batch(), synchronisations_a_batch(BY_VIEWS) / BATCH
    print(f"synchronisations a batch: {whole:g}; an image tested by four views: {by_views:g}")  # noqa: T201
    sys.exit(max(whole, by_views) > MOST)
