"""The measurement of the stage of cost: memory, counts, latency, and what the device can do at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.data.base import Dataset
from bench.measure.cost.counts import buffer_bytes, count_macs, parameters
from bench.measure.cost.memory import Memory, give_back_gpu_memory, inference_memory, training_memory
from bench.measure.cost.operators import UncountedError
from bench.measure.cost.peaks import peaks, traffic_bytes
from bench.measure.cost.whole.counters import counted_whole
from bench.measure.cost.whole.sizes import TooLargeError
from bench.measure.timing.execution import (
    deployed_setting,
    forward_call,
    switches_of,
)
from bench.measure.timing.latency import Protocol, latency
from bench.network.model import SegModel, Variant
from bench.network.numerics import in_force, switches
from bench.protocol.recipe import Recipe
from bench.run.outcomes.memory import in_one_line, ran_out
from bench.run.outcomes.progress import Event, Listener

Result = TypeVar("Result")


def measure_cost(
    variant: Variant, recipe: Recipe, dataset: Dataset, seed: int | None, device: torch.device, tell: Listener
) -> dict[str, Any]:
    """Measure peak memory first, while the process is fresh, then the counts, then the latency.

    Inference is in the recipe's precision and in the memory format in which the device trains. A network whose training
    step does not fit into memory is measured in all else.
    """
    height, width = recipe.cost_px or tuple(dataset.split(recipe.split)[0].image.shape[-2:])
    setting = deployed_setting(recipe, height, width, device)

    def build() -> SegModel:
        return SegModel(variant, len(dataset.classes), seed=seed or 0)

    tell(Event("memory of a forward", 0, 1))
    with switches_of(setting, recipe, device):
        memory = inference_memory(build, setting, device)
    tell(Event("memory of a training step", 0, 1))
    training, training_problem = _training_memory(build, recipe, device) if recipe.training_cost else (None, "")
    model = build().to(device).eval()
    tell(Event("count", 0, 1))
    macs, problem = _counted(model, height, width) if variant.whole is None else _counted_whole(model, height, width)
    moved = traffic_bytes(model, height, width, recipe.precision)
    with switches_of(setting, recipe, device):
        call = forward_call(model, setting, device)
        timing = latency(
            call,
            device,
            Protocol(min_samples=recipe.latency_samples, min_duration_s=recipe.latency_least_s),
            progress=lambda done, total: tell(Event("time", done, total)),
        )
        logits = call()
        assert isinstance(logits, Tensor)
        shape = list(logits.shape)
        switches_in_force = in_force(device)
    counted = {
        "parameters": parameters(model),
        "trainable_parameters": parameters(model, trainable=True),
        "buffer_bytes": buffer_bytes(model),
    }
    del call, logits, model
    give_back_gpu_memory()  # so that the product and the copy have the memory that the network had
    rates, rates_problem = _unless_memory_runs_out(
        lambda: peaks(device, recipe.precision, recipe.latency_least_s),
        "a matrix product and a copy do not fit",
        device,
    )
    return {
        "input_px": [height, width],
        "batch": 1,
        "precision": setting.precision,
        "memory_format": setting.memory_format,
        "switches": switches_in_force,
        **counted,
        **macs,
        "macs_problem": problem,
        "peaks": rates,
        "peaks_problem": rates_problem,
        "traffic_bytes": moved,
        "latency_s": timing.samples_s,
        "latency_protocol": timing.described(),
        "isolation": timing.watch.measured(),
        "isolated": timing.watch.isolated,
        "peak_bytes": memory.peak_bytes,
        "memory_kind": memory.kind,
        "inference_memory": asdict(memory),
        "training_memory": asdict(training) if training else None,
        "training_problem": training_problem,
        "output_shape": shape,
    }


def _training_memory(build: Callable[[], SegModel], recipe: Recipe, device: torch.device) -> tuple[Memory | None, str]:
    """The memory of a training step, and the reason why there is none: the step needs more than there is."""
    with switches(recipe.precision, recipe.kernels, device):
        return _unless_memory_runs_out(
            lambda: training_memory(build, recipe, device), f"a step of batch {recipe.batch} does not fit", device
        )


def _unless_memory_runs_out(
    measure: Callable[[], Result], problem: str, device: torch.device
) -> tuple[Result | None, str]:
    """The result of a measurement, and the reason why there is none: it needs more memory than there is.

    Raises:
        RuntimeError, MemoryError: for an error that does not say that memory ran out.
    """
    try:
        return measure(), ""
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        reason = f"{problem}: {in_one_line(error, device)}"
    give_back_gpu_memory()  # not before: the error's traceback, gone only now, held the tensors of the measurement
    return None, reason


def _counted(model: SegModel, height: int, width: int) -> tuple[dict[str, Any], str]:
    """The MACs as a record has them, and the reason why there are none.

    A network with an operator that has no count, such as an LSTM, is timed and its memory is measured all the same.
    """
    try:
        macs = count_macs(model, height, width)
    except UncountedError as error:
        return {"macs": {}, "uncounted_operators": {}}, str(error)
    counts = {
        "macs": macs.by_slot,
        "macs_torch": macs.by_slot_torch,
        "macs_by_operator": macs.by_operator,
        "macs_counted_px": [list(px) for px in macs.counted_px],
        "uncounted_operators": macs.uncounted,
        "output_bytes": macs.output_bytes,
    }
    return counts, ""


def _counted_whole(model: SegModel, height: int, width: int) -> tuple[dict[str, Any], str]:
    """The MACs of a whole network, whose forward is not ours to read, as :func:`_counted` gives those of slots."""
    try:
        return counted_whole(model, height, width), ""
    except (UncountedError, TooLargeError) as error:
        return {"macs": {}, "uncounted_operators": {}}, str(error)
