"""A pilot: a few training steps of a study's networks, from which the time of its trials follows before any record.

The steps are of the recipe's real size where that takes seconds, of the baseline and of other networks, from the fewest
MACs to the most. The time of a network between two of them follows from its MACs. Otherwise two small steps of the
baseline are taken, and the time is in proportion to the MACs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bench.data.base import SplitName
from bench.measure.timing.latency import Protocol
from bench.measure.timing.turns import MIN_BLOCKS
from bench.network.model import SegModel
from bench.protocol.setting import Setting
from bench.run.outcomes.memory import ran_out
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.cells import Cell
from bench.training.late import DivergedError
from bench.training.plain import train_plainly

FORWARD = 1 / 3
"""The time of a forward, as a share of the time of a training step."""
START_S = 6.0
"""The seconds that a speed trial needs to start: a new process, its imports and the building of two networks."""
STEPS = 5
"""The training steps of real size that are timed for each network, after one that is not."""
MOST_NETWORKS = 6
"""The most networks whose steps are timed."""
AFFORDABLE_S = 20.0
"""The most seconds that all steps of real size may take, as the two small ones foretell them."""


@dataclass(frozen=True)
class Pilot:
    """The time of training steps.

    Attributes:
        image_s: variant -> the seconds that a training step takes for each image of its batch, measured or foretold.
        steps: variant -> the seconds for each image of the steps of real size that were timed; empty without these.
        unlike: the spread of the networks about a straight line over MACs, as a share of the time; ``None`` if it is
            not known, as fewer than three were timed.
    """

    image_s: Mapping[str, float]
    steps: Mapping[str, Sequence[float]]
    unlike: float | None


def pilot(plan: Schedule) -> Pilot:
    """Time some training steps. No record is written.

    Raises:
        DivergedError: if the two small training steps end in numbers that are not finite.
    """
    baseline = plan.study.cell("baseline")
    small_s = _small_step_s(plan, baseline)
    macs = macs_of(plan)
    foretold = {name: small_s * count / max(1, macs[baseline.name]) for name, count in macs.items()}
    ordered = sorted(macs, key=macs.__getitem__)
    last = len(ordered) - 1
    places = [round(index * last / (MOST_NETWORKS - 2)) for index in range(MOST_NETWORKS - 1)]
    cells = [plan.study.cell(name) for name in dict.fromkeys([baseline.name, *(ordered[place] for place in places)])]
    if sum(foretold[cell.name] * cell.recipe.batch for cell in cells) * (STEPS + 1) > AFFORDABLE_S:
        return Pilot(foretold, {}, None)
    try:
        steps = {cell.name: _real_steps(plan, cell) for cell in cells}
    except DivergedError:
        return Pilot(foretold, {}, None)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        return Pilot(foretold, {}, None)
    return _of_real_steps(steps, macs)


def _of_real_steps(steps: Mapping[str, Sequence[float]], macs: Mapping[str, int]) -> Pilot:
    """The pilot that follows from the times of steps of some networks, for all networks."""
    timed = sorted(steps, key=macs.__getitem__)
    counts, means = [macs[name] for name in timed], [statistics.fmean(steps[name]) for name in timed]
    image_s = {name: float(np.interp(count, counts, means)) for name, count in macs.items()}
    image_s |= dict(zip(timed, means, strict=True))
    unlike = None
    if len(set(counts)) > 2:
        residuals = np.array(means) - np.polyval(np.polyfit(counts, means, 1), counts)
        unlike = float(np.sqrt(np.sum(residuals**2) / (len(means) - 2)) / statistics.fmean(means))
    return Pilot(image_s, steps, unlike)


def macs_of(plan: Schedule) -> dict[str, int]:
    """Variant -> the MACs of its forward, for the variants that can be built."""
    return {variant.cell.name: sum(variant.macs.values()) for variant in plan.checked}


def trial_s(plan: Schedule, trial: Trial, image_s: Mapping[str, float], pixels_of: Callable[[Cell], int]) -> float:
    """A rough estimate of the seconds that a trial takes.

    The time of training steps is scaled by the iterations, the batch and the pixels. Speed trials run on all threads,
    so their time is scaled by the number of threads too.

    Args:
        plan: the schedule that the trial belongs to.
        trial: the trial.
        image_s: variant -> the seconds that a training step takes for each image.
        pixels_of: a function that gives the pixels of all images that a cell is evaluated on.
    """
    cell = plan.cells[trial.variant]
    recipe = cell.recipe
    crop_pixels = recipe.crop_px[0] * recipe.crop_px[1]
    own_s = _own_or_typical(image_s, trial.variant)
    if trial.setting is not None:
        threads = plan.resources.machine("quality").threads / plan.resources.machine("speed").threads
        sides_s = own_s + _own_or_typical(image_s, str(trial.against))
        pixels = trial.setting.batch * trial.setting.height * trial.setting.width
        share = 1.0 if trial.setting.phase == "training" else FORWARD
        return comparison_s(threads * share * sides_s / 2 * pixels / crop_pixels, trial.setting)
    if trial.stage == "quality":
        return own_s * (recipe.iterations * recipe.batch + pixels_of(cell) / crop_pixels * FORWARD)
    height, width = plan.loaded.input_px_of(cell)
    images = recipe.latency_samples * height * width / crop_pixels * FORWARD
    images += recipe.batch if recipe.training_cost else 0
    return own_s * images


def evaluated_pixels(plan: Schedule) -> Callable[[Cell], int]:
    """A function that gives the pixels of all images that a cell is evaluated on; it reads each split once."""
    known: dict[object, int] = {}

    def pixels_of(cell: Cell) -> int:
        split = cell.recipe.data, cell.recipe.split
        if split not in known:
            evaluated = plan.loaded.dataset_of(cell).split(cell.recipe.split)
            known[split] = evaluated[0].label.numel() * len(evaluated)
        return known[split]

    return pixels_of


def _own_or_typical(image_s: Mapping[str, float], variant: str) -> float:
    """The time of a variant; the mean of all for one that was not built."""
    return image_s[variant] if variant in image_s else statistics.fmean(image_s.values())


def comparison_s(call_s: float, setting: Setting) -> float:
    """The seconds that a speed trial takes: the start, two warm-up windows of each network, and the blocks."""
    protocol = Protocol()
    windows_s = 2 * max(call_s, min(protocol.window * call_s, protocol.window_s))
    return START_S + 2 * windows_s + max(setting.least_s, 4 * MIN_BLOCKS * call_s)


def _small_step_s(plan: Schedule, cell: Cell) -> float:
    """The seconds that a training step takes for each image, from the second of two steps at batch 2."""
    small = replace(cell, recipe=cell.recipe.having(batch=2, iterations=2, accumulate=1, warmup_iterations=0))
    first, second = _marks(plan, small)
    return (second - first) / 2


def _real_steps(plan: Schedule, cell: Cell) -> list[float]:
    """The seconds that training steps of real size take for each image."""
    marks = _marks(plan, replace(cell, recipe=cell.recipe.having(iterations=STEPS + 1, warmup_iterations=0)))
    return [(after - before) / cell.recipe.batch for before, after in pairwise(marks)]


def _marks(plan: Schedule, cell: Cell) -> Sequence[float]:
    """The moments at which the steps of a training ended, in seconds."""
    marks: list[float] = []
    split: SplitName = "train" if "quality" in plan.study.stages else cell.recipe.split  # what no trial reads may lack
    train_plainly(
        SegModel(cell.variant, plan.loaded.classes_of(cell)),
        plan.loaded.dataset_of(cell).split(split),
        cell.recipe,
        0,
        device=plan.resources.machine("quality").torch_device,
        progress=lambda done, total, loss: marks.append(time.perf_counter()),
    )
    return marks
