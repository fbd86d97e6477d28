"""The measurements of the three stages, and the identity of a trial, as functions of a variant, a recipe and data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from bench.data.base import Dataset, Split
from bench.measure.quality.evaluate import Viewer, evaluate
from bench.measure.quality.in_mode import InMode, measured_in_mode
from bench.measure.timing.execution import (
    Forward,
    TrainingStep,
    placed_anew,
    prepared_call,
    switches_of,
    timed_call,
)
from bench.measure.timing.latency import Call
from bench.measure.timing.outputs import difference
from bench.measure.timing.runtimes.int8 import calibration_images
from bench.measure.timing.runtimes.prepared import Prepared
from bench.measure.timing.turns import take_turns
from bench.network.model import SegModel, Variant
from bench.network.numerics import in_force, outside_training, switches
from bench.parts import BenchError, Part
from bench.protocol.modes import is_tested_in_mode, tested_precision
from bench.protocol.recipe import OUTSIDE_QUALITY, Recipe
from bench.protocol.setting import Setting, Stage
from bench.run.cost import measure_cost
from bench.run.identity.key import Computation, Key, Keys
from bench.run.identity.library import Library
from bench.run.identity.reader import Proof, Reader
from bench.run.outcomes.progress import Event, Listener
from bench.study.cells import Cell
from bench.training.keeper import Keeper
from bench.training.loop import computing, train
from bench.training.parallel.group import TrainingGroup
from bench.training.parallel.keepers import GivingKeeper, TakingKeeper
from bench.training.parallel.share import GroupShare
from bench.training.plain import train_plainly


class SourceError(BenchError, ValueError):
    """A component whose source cannot be found."""


def identify(
    cell: Cell,
    stage: Stage,
    seed: int | None,
    fingerprint: str,
    *,
    against: Cell | None = None,
    setting: Setting | None = None,
    modules: tuple[str, ...] = (),
    processes: int = 1,
) -> str:
    """The key of a trial; the arguments are those of :func:`key_of`."""
    return key_of(
        cell, stage, seed, fingerprint, against=against, setting=setting, modules=modules, processes=processes
    ).text


def key_of(
    cell: Cell,
    stage: Stage,
    seed: int | None,
    fingerprint: str,
    *,
    against: Cell | None = None,
    setting: Setting | None = None,
    modules: tuple[str, ...] = (),
    processes: int = 1,
) -> Key:
    """The key of a trial, with what went into it.

    Args:
        cell: what is measured.
        stage: by which function.
        seed: of weights and batches.
        fingerprint: of the data.
        against: the other side of a speed comparison.
        setting: what both sides are timed in.
        modules: that are imported before anything runs, such as the study's own.
        processes: the number of processes that train the network together. Their numbers differ from those of one by
            the rounding of sums, and by the random numbers that the network draws.

    Raises:
        SourceError: for a component whose source cannot be found.
    """
    asked = asked_of(cell, stage, seed, fingerprint, against, setting, modules, processes)
    try:
        return present_keys().key(asked)
    except ValueError as error:
        raise SourceError(str(error)) from error


def asked_of(
    cell: Cell,
    stage: Stage,
    seed: int | None,
    fingerprint: str,
    against: Cell | None,
    setting: Setting | None,
    modules: tuple[str, ...],
    processes: int,
) -> Computation:
    """The contents of the key of a trial, to be read; the arguments are those of :func:`key_of`."""
    return Computation(
        stage=stage,
        function=STAGE_FUNCTIONS[stage] if processes == 1 else measure_quality_in_group,
        variants=(cell.variant,) if against is None else (cell.variant, against.variant),
        recipe=cell.recipe,
        seed=seed,
        data=fingerprint,
        setting=setting,
        irrelevant=IRRELEVANT[stage],
        modules=modules,
        processes=processes,
        made={Setting: _setting_of_test(cell.recipe)} if stage == "quality" and is_tested_in_mode(cell.recipe) else {},
    )


def _setting_of_test(recipe: Recipe) -> dict[str, Any]:
    """The fields of the setting in which a network is tested, whatever the size of an image."""
    return {"mode": recipe.test_mode, "precision": tested_precision(recipe)}


def present_keys() -> Keys:
    """The maker of keys, for the source files as they are now."""
    keys = _keys()
    if not keys.library.project.is_current():
        forget_sources()
        keys = _keys()
    return keys


def forget_sources() -> None:
    """Read every source file anew at the next key; for a process that outlives an edit."""
    _keys.cache_clear()


def measure_quality(
    variant: Variant,
    recipe: Recipe,
    dataset: Dataset,
    seed: int | None,
    device: torch.device,
    tell: Listener,
    show: Viewer | None = None,
    *,
    keeper: Keeper | None = None,
) -> dict[str, Any]:
    """Train from ``seed``, evaluate the network after the last iteration, and pass its predictions to ``show``.

    ``keeper`` keeps the state of the training and the weights that were evaluated. The result is JSON-ready but for
    ``artifact``: the counts of each image as arrays, to be written beside the record.
    """
    assert seed is not None
    model = SegModel(variant, len(dataset.classes), seed=seed)
    with switches(recipe.precision, recipe.kernels, device):
        history = train(
            model,
            dataset.split("train"),
            recipe,
            seed,
            device=device,
            progress=lambda done, total, loss: tell(Event("train", done, total, loss)),
            keeper=keeper,
        )
        switches_in_force = in_force(device)
    split = dataset.split(recipe.split)
    if recipe.test_mode != "eager" or recipe.test_precision is not None:
        model = InMode(model, dataset, recipe)
    with switches(recipe.precision, outside_training(recipe.kernels), device):
        quality = evaluate(
            model,
            split,
            recipe,
            device=device,
            progress=lambda done, total: tell(Event("evaluate", done, total)),
            show=show,
        )
    if keeper is not None:
        keeper.finish(model)
    return {
        "switches": switches_in_force,
        "classes": list(dataset.classes),
        "split": recipe.split,
        "images": len(split),
        **quality.measured(),
        **({} if recipe.test_mode == "eager" and recipe.test_precision is None else measured_in_mode(model)),
        "iterations": recipe.iterations,
        "train_s": history.train_s,
        "history": history.thinned(),
        "artifact": quality.arrays(),
    }


def measure_quality_in_group(
    variant: Variant,
    recipe: Recipe,
    dataset: Dataset,
    seed: int | None,
    device: torch.device,
    tell: Listener,
    show: Viewer | None = None,
    *,
    keeper: Keeper,
    group: TrainingGroup,
) -> dict[str, Any]:
    """Train together with the other processes of a group, then evaluate alone: :func:`measure_quality` by process 0."""
    with computing(GroupShare(group)):
        return measure_quality(variant, recipe, dataset, seed, device, tell, show, keeper=GivingKeeper(keeper))


def help_training(
    model: SegModel, split: Split, recipe: Recipe, seed: int, device: torch.device, group: TrainingGroup
) -> None:
    """Compute the share of a process other than 0 in the training of :func:`measure_quality_in_group`."""
    with computing(GroupShare(group)), switches(recipe.precision, recipe.kernels, device):
        train(model, split, recipe, seed, device=device, keeper=TakingKeeper())


def measure_speed(
    variant: Variant,
    against: Variant,
    recipe: Recipe,
    setting: Setting,
    dataset: Dataset,
    device: torch.device,
    tell: Listener,
) -> dict[str, Any]:
    """Time two networks in turns in one setting. ``latency_s`` and ``against_s`` hold seconds a call, turn by turn."""
    models = [SegModel(side, len(dataset.classes)) for side in (variant, against)]
    with switches_of(setting, recipe, device):
        calls: list[Call] = (
            [prepared_call(model, setting, device, calibration_images(dataset, setting)) for model in models]
            if setting.precision == "int8_static"
            else [timed_call(model, recipe, setting, device) for model in models]
        )
        ours, other = (placed_anew(call, model, setting, device) for call, model in zip(calls, models, strict=True))
        turns = take_turns(
            ours, other, device, least_s=setting.least_s, progress=lambda done, total: tell(Event("time", done, total))
        )
        steps = [call.parts() for call in calls if isinstance(call, TrainingStep)]
        switches_in_force = in_force(device)
    return {
        "switches": switches_in_force,
        "latency_s": turns.ours_s,
        "against_s": turns.other_s,
        "log_ratios": turns.log_ratios,
        "calls": turns.calls,
        "steady": turns.steady,
        "warm_up_s": [side.seconds for side in turns.warm_ups],
        "step_s": dict(zip(("ours", "against"), steps, strict=True)) if steps else {},
        **(
            _of_mode(calls, (variant, against), recipe, setting, len(dataset.classes), device)
            if setting.phase == "inference"
            and (setting.mode != "eager" or setting.precision != "float32" or setting.memory_format != "contiguous")
            else {}
        ),
        "isolation": turns.watch.measured(),
        "isolated": turns.watch.isolated,
    }


def _of_mode(
    calls: Sequence[Call],
    variants: Sequence[Variant],
    recipe: Recipe,
    setting: Setting,
    num_classes: int,
    device: torch.device,
) -> dict[str, Any]:
    """The time that a mode took to prepare each side, and how its logits differ from those of eager torch in float32.

    Eager torch has the same weights and the same image. A mode that prepares nothing, such as another precision of
    eager torch, has no such time.
    """
    plain = replace(setting, mode="eager", precision="float32", memory_format="contiguous")
    found: dict[str, Any] = {"prepared_s": {}, "difference": {}}
    for side, call, variant in zip(("ours", "against"), calls, variants, strict=True):
        if isinstance(call, Prepared):
            found["prepared_s"][side] = call.prepared_s
        with switches_of(setting, recipe, device):
            logits = call()
        with switches_of(plain, recipe, device):
            forward = Forward(SegModel(variant, num_classes), plain, device)
            forward.image = call.image if isinstance(call, Prepared) else forward.image
            eager = forward()
        assert isinstance(logits, Tensor)
        found["difference"][side] = asdict(difference(logits, eager))
    return found


STAGE_FUNCTIONS: Mapping[Stage, Callable[..., dict[str, Any]]] = {
    "quality": measure_quality,
    "cost": measure_cost,
    "speed": measure_speed,
}
_COST_FIELDS = {
    "data", "split", "cost_px", "latency_samples", "latency_least_s", "training_cost", "batch", "crop_px", "precision",
    "momentum", "clip_norm", "optimiser", "frozen", "accumulate", "ema_decay", "layer_decay", "decayed", "kernels",
    "compiled",
}  # fmt: skip
_SPEED_FIELDS = {
    "data", "momentum", "clip_norm", "optimiser", "frozen", "accumulate", "layer_decay", "decayed", "kernels",
}  # fmt: skip
IRRELEVANT: Mapping[Stage, frozenset[str]] = {
    "quality": OUTSIDE_QUALITY,
    "cost": frozenset(Recipe.__dataclass_fields__) - _COST_FIELDS,
    "speed": frozenset(Recipe.__dataclass_fields__) - _SPEED_FIELDS,
}
"""The recipe's fields that cannot change the result of a stage. A change of them repeats no trial of that stage."""


OBSERVERS = (Keeper,)
"""Classes of objects that keep what a trial computes, and compute nothing of it: they count in no key."""
SILENT = ("pynvml",)
"""Packages that read the machine and compute nothing, so that they count neither where they are nor where they lack."""


PROVEN = (Proof(run=train, plain=train_plainly, digest="c8fc7d9efbf3"),)
"""The functions that keys read in a plain form. ``tests/training/test_plain.py`` compares both forms number by number,
and says what the digest is after an edit of the form that is run. With another digest, keys read that form itself."""


@functools.cache
def _keys() -> Keys:
    plain = (Variant, Recipe, Setting, Part)
    library = Library("bench", plain, reports=(Event,), silent=SILENT, observers=OBSERVERS)
    return Keys(Reader(library, PROVEN))
