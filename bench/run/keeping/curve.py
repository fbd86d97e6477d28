"""The quality of a network while it trains, as a curve. Nothing is chosen by it, and no training changes by it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from bench.data.base import Split
from bench.measure.quality.confusion import pair_counts
from bench.network.model import SegModel
from bench.protocol import scores
from bench.protocol.recipe import Recipe
from bench.training.inference import predictions, stacked
from bench.training.keeper import State, give_random_state, random_state

log = logging.getLogger("bench.run.keeping.curve")


@dataclass
class Curve:
    """The mean IoU of a network on the validation split after some iterations of its training.

    A copy of the network is tested on whole images, once each, with every random generator as it was. So a training
    with looks ends with the same bits as one without. With an average of the weights, the average is tested.

    Attributes:
        split: the validation split.
        recipe: the recipe, whose ``validated_at`` says after which shares of its iterations to look.
        device: the device of the network.
        points: iteration -> mean IoU, 0 to 1, so far.
    """

    split: Split
    recipe: Recipe
    device: torch.device
    points: dict[int, float] = field(default_factory=dict)

    def is_due(self, done: int) -> bool:
        """True after an iteration that the recipe names; not after the last one, since the result is of that."""
        return done < self.recipe.iterations and done in looked_after(self.recipe)

    def look(self, state: State, done: int) -> None:
        """Add the point after ``done`` iterations; one that cannot be told is left out, and the log says why."""
        model = state.modules["average"].module if "average" in state.modules else state.modules["model"]
        assert isinstance(model, SegModel)
        with same_random_numbers():
            try:
                network = copy.deepcopy(model)
            except RuntimeError as error:  # of a tensor with a graph behind it, which an attribute of a module holds
                log.warning("the network is not tested after iteration %d, as it cannot be copied: %s", done, error)
                return
            value = self._mean_iou(network.eval())
        if value is None:
            log.warning("the network is not tested after iteration %d: its logits are not finite", done)
        else:
            self.points[done] = value
            log.info("mean IoU %.4f on the validation split after iteration %d", value, done)

    def _mean_iou(self, network: SegModel) -> float | None:
        """The mean IoU; ``None`` if a logit is not finite. A GPU is waited for once, after the last image."""
        classes, device = network.num_classes, self.device
        total = torch.zeros((classes, classes), dtype=torch.int64, device=device)
        finite = torch.ones((), dtype=torch.bool, device=device)
        for prediction, samples in predictions(network, self.split, batch=self.recipe.eval_batch, device=device):
            label = stacked([sample.label for sample in samples], device).to(device, non_blocking=True)
            total += pair_counts(prediction.classes, label, classes).sum(0)[:classes, :classes]
            finite &= prediction.finite.all()
        return float(scores.mean_iou(total.cpu().numpy())) if bool(finite) else None

    def facts(self) -> dict[str, Any]:
        """The field of a record that has the curve; empty without a point."""
        points = sorted(self.points.items())
        if not points:
            return {}
        return {"curve": {"iteration": [done for done, _ in points], "miou": [value for _, value in points]}}


def looked_after(recipe: Recipe) -> list[int]:
    """The iteration after which a network is looked at, for each share of the schedule that the recipe names."""
    return [max(1, round(share * recipe.iterations)) for share in recipe.validated_at]


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Inside, random numbers may be drawn; afterwards, every generator is as it was."""
    before = random_state()
    try:
        yield
    finally:
        give_random_state(before)
