"""An estimate of the time that trials take before there are records, from two small training steps of the baseline."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from bench.data.base import SplitName
from bench.measure.timing.latency import Protocol
from bench.measure.timing.turns import MIN_BLOCKS
from bench.network.model import SegModel
from bench.protocol.setting import Setting
from bench.run.schedule import Schedule
from bench.run.trial import Trial
from bench.study.cells import Cell
from bench.training.plain import train_plainly

FORWARD = 1 / 3
"""The time of a forward, as a share of the time of a training step."""
START_S = 6.0
"""The seconds that a speed trial needs to start: a new process, its imports and the building of two networks."""


def pilot_seconds(plan: Schedule, trials: Iterable[Trial]) -> float:
    """A rough estimate of the seconds that trials take one after the other.

    The time of the two training steps is scaled by the iterations, the batch, the pixels and the MACs of each variant.
    Speed trials run on all threads, so their time is scaled by the number of threads too.

    Raises:
        DivergedError: if the two training steps end in numbers that are not finite.
    """
    study, loaded = plan.study, plan.loaded
    step_s = _step_seconds(plan, study.cell("baseline"))
    macs = {variant.cell.name: sum(variant.macs.values()) for variant in plan.checked}
    threads = plan.resources.machine("quality").threads / plan.resources.machine("speed").threads
    total = 0.0
    for trial in trials:
        cell = study.cell(trial.variant)
        recipe = cell.recipe
        ratio = macs[trial.variant] / macs[study.baseline_name]
        crop_pixels = recipe.crop_px[0] * recipe.crop_px[1]
        if trial.setting is not None:
            sides = [macs[name] / macs[study.baseline_name] for name in (trial.variant, str(trial.against))]
            pixels = trial.setting.batch * trial.setting.height * trial.setting.width
            share = 1.0 if trial.setting.phase == "training" else FORWARD
            call_s = step_s * threads * share * sum(sides) / 2 * pixels / crop_pixels
            total += comparison_s(call_s, trial.setting)
        elif trial.stage == "quality":
            evaluated = loaded.dataset_of(cell).split(recipe.split)
            eval_pixels = evaluated[0].label.numel() * len(evaluated)
            total += step_s * ratio * (recipe.iterations * recipe.batch + eval_pixels / crop_pixels * FORWARD)
        else:
            height, width = loaded.input_px_of(cell)
            image_pixels = height * width
            images = recipe.latency_samples * image_pixels / crop_pixels * FORWARD
            images += recipe.batch if recipe.training_cost else 0
            total += step_s * ratio * images
    return total


def comparison_s(call_s: float, setting: Setting) -> float:
    """The seconds that a speed trial takes: the start, two warm-up windows of each network, and the blocks."""
    protocol = Protocol()
    windows_s = 2 * max(call_s, min(protocol.window * call_s, protocol.window_s))
    return START_S + 2 * windows_s + max(setting.least_s, 4 * MIN_BLOCKS * call_s)


def _step_seconds(plan: Schedule, cell: Cell) -> float:
    """The seconds that a training step takes for each image, from the second of two steps at batch 2."""
    marks: list[float] = []
    recipe = replace(cell.recipe, batch=2, iterations=2)
    split: SplitName = "train" if "quality" in plan.study.stages else recipe.split  # what no trial reads may be missing
    train_plainly(
        SegModel(cell.variant, plan.loaded.classes_of(cell)),
        plan.loaded.dataset_of(cell).split(split),
        recipe,
        0,
        device=plan.resources.machine("quality").torch_device,
        progress=lambda done, total, loss: marks.append(time.perf_counter()),
    )
    return (marks[1] - marks[0]) / 2
