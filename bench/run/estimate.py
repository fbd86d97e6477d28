"""How long trials may take where no record tells: from two small training steps of the baseline."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from bench.measure.timing.latency import Protocol
from bench.measure.timing.turns import MIN_BLOCKS
from bench.network.model import SegModel
from bench.protocol.setting import Setting
from bench.run.schedule import Schedule
from bench.run.trial import Trial
from bench.study.cells import Cell
from bench.training.loop import train

FORWARD = 1 / 3
"""A forward's time as a share of a training step's."""
START_S = 6.0
"""Of a speed trial: a new process, its imports, two networks."""


def pilot_seconds(plan: Schedule, trials: Iterable[Trial]) -> float:
    """A rough guess of how long trials take one after the other.

    The pilot's time is scaled by iterations, batch, pixels and each variant's MACs; timings, which run on all threads,
    by threads too.
    """
    study, dataset = plan.study, plan.loaded.dataset
    step_s = _step_seconds(plan, study.cell("baseline"))
    macs = {each.cell.name: sum(each.macs.values()) for each in plan.checked}
    eval_pixels = sum(split[0].label.numel() * len(split) for split in [dataset.split(study.recipe.split)])
    threads = plan.resources.machine("quality").threads / plan.resources.machine("speed").threads
    total = 0.0
    for trial in trials:
        recipe = study.cell(trial.variant).recipe
        ratio = macs[trial.variant] / macs[study.baseline_name]
        crop_pixels = recipe.crop_px[0] * recipe.crop_px[1]
        if trial.setting is not None:
            sides = [macs[name] / macs[study.baseline_name] for name in (trial.variant, str(trial.against))]
            pixels = trial.setting.batch * trial.setting.height * trial.setting.width
            share = 1.0 if trial.setting.phase == "training" else FORWARD
            call_s = step_s * threads * share * sum(sides) / 2 * pixels / crop_pixels
            total += comparison_s(call_s, trial.setting)
        elif trial.stage == "quality":
            total += step_s * ratio * (recipe.iterations * recipe.batch + eval_pixels / crop_pixels * FORWARD)
        else:
            image_pixels = eval_pixels / len(dataset.split(recipe.split))
            images = recipe.latency_samples * image_pixels / crop_pixels * FORWARD
            images += recipe.batch if recipe.training_cost else 0
            total += step_s * ratio * images
    return total


def comparison_s(call_s: float, setting: Setting) -> float:
    """Of a speed trial: both warm-ups, two windows each, and the blocks."""
    protocol = Protocol()
    windows_s = 2 * max(call_s, min(protocol.window * call_s, protocol.window_s))
    return START_S + 2 * windows_s + max(setting.least_s, 4 * MIN_BLOCKS * call_s)


def _step_seconds(plan: Schedule, cell: Cell) -> float:
    """Seconds of a training step an image, from the second of two steps of batch 2."""
    marks: list[float] = []
    recipe = replace(cell.recipe, batch=2, iterations=2)
    train(
        SegModel(cell.variant, len(plan.loaded.dataset.classes)),
        plan.loaded.dataset.split("train"),
        recipe,
        0,
        device=plan.resources.machine("quality").torch_device,
        progress=lambda done, total, loss: marks.append(time.perf_counter()),
    )
    return (marks[1] - marks[0]) / 2
