"""A forward or a training step as a call that can be timed, in one :class:`~bench.protocol.setting.Setting`.

The image ``N 3 H W`` and the label ``N H W`` are random, because no operator's time depends on their content. Calls are
made and called inside :func:`switches_of`, so that no call has to set torch's switches anew.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from bench.measure.timing.latency import Call, stopwatch
from bench.measure.timing.runtimes.prepared import Prepared, logits_by
from bench.measure.timing.runtimes.runtime import compiled_throughout
from bench.network.model import LogitsOnly, SegModel
from bench.network.numerics import autocast, halved, operand_type, outside_training, switches
from bench.protocol.modes import check_setting
from bench.protocol.recipe import Recipe
from bench.protocol.setting import MemoryFormat, Setting
from bench.training.step import in_parts, layout, prepare

MakeCall = Callable[[], Call]
STEPS_APART = 10
CAPTURE_WARM_UP = 3
"""The forwards on a side stream before a graph is captured, as torch's notes on CUDA graphs advise."""


def deployed_setting(recipe: Recipe, height: int, width: int, device: torch.device) -> Setting:
    """The setting of a trained network in use: one image, the recipe's precision, the device's memory format."""
    fastest: MemoryFormat = "channels_last" if layout(device) == torch.channels_last else "contiguous"
    return Setting(height=height, width=width, precision=recipe.precision, memory_format=fastest)


def timed_recipe(recipe: Recipe, setting: Setting) -> Recipe:
    """The recipe of a timed training step: the study's own with the setting's batch, precision and mode.

    Raises:
        ChoiceError: if the recipe cannot have this batch, for example because it is computed in parts.
    """
    return recipe.having(batch=setting.batch, precision=setting.precision, compiled=setting.mode == "compile")


def deployed(model: SegModel, setting: Setting, device: torch.device) -> SegModel:
    """The network on its device, in evaluation mode, with weights in the setting's memory format and precision.

    In half precision, the weights that autocast would cast in every forward are cast once, before they are moved, so
    that the device never holds them in float32.
    """
    halved(model.eval(), operand_type(setting.precision))
    return _placed(model, setting, device)


def switches_of(setting: Setting, recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """The block in which a call of a setting is made and timed; cuDNN tries its algorithms in training alone."""
    kernels = recipe.kernels if setting.phase == "training" else outside_training(recipe.kernels)
    return switches(setting.precision, kernels, device)


def timed_call(model: SegModel, recipe: Recipe, setting: Setting, device: torch.device) -> Call:
    """The call of a setting: a training step of a recipe, or a forward in any mode.

    Raises:
        ChoiceError: if the device does not have the setting's mode or precision, or if the recipe cannot have its
            batch.
        PreparationError: for a network that the mode cannot prepare.
    """
    if setting.phase == "training":
        step = TrainingStep(model, recipe, setting, device)
        if setting.mode == "compile":
            with compiled_throughout():
                step()
        return step
    if setting.mode in ("eager", "cuda_graph"):
        return forward_call(model, setting, device)
    return prepared_call(model, setting, device)


def forward_call(model: SegModel, setting: Setting, device: torch.device) -> Call:
    """A call of one forward by torch in evaluation mode, with auxiliary heads off and without gradients.

    Its mode is one that this module executes: eager, compile or cuda_graph. :func:`timed_call` takes every mode.

    Raises:
        ChoiceError: if the device does not have the setting's mode or precision.
    """
    setting.check(device.type)
    forward = Forward(model, setting, device)
    return captured(forward) if setting.mode == "cuda_graph" else forward


def prepared_call(model: SegModel, setting: Setting, device: torch.device, images: Sequence[Tensor] = ()) -> Prepared:
    """A call of one forward that a compiler or another runtime computes, prepared and called once.

    Args:
        model: the network.
        setting: the conditions.
        device: the device.
        images: the batch ``N 3 H W`` to time, and others to calibrate ``int8_static`` with; by default random numbers.

    Raises:
        ChoiceError: if the mode does not run here.
        PreparationError: for a network that the mode cannot prepare.
    """
    check_setting(setting, device.type)
    image, *others = [given.to(device) for given in images] or [_batch(setting, device, model.num_classes)[0]]
    if setting.mode == "compile":
        return Prepared(partial(Forward, model, setting, device), image, device)
    # A runtime outside of torch has no autocast: it takes weights in float32, and rounds them itself.
    within_torch = setting.mode == "compile_max_autotune"
    weights = setting if within_torch else replace(setting, precision="float32")
    network = LogitsOnly(deployed(model, weights, device)).eval()
    calibration = others or [image]
    return Prepared(lambda: partial(logits_by(network, image, setting, device, calibration), image), image, device)


class Forward:
    """A forward in evaluation mode that returns the logits."""

    def __init__(self, model: SegModel, setting: Setting, device: torch.device) -> None:
        self.network = LogitsOnly(deployed(model, setting, device)).eval()
        self.image, _ = _batch(setting, device, model.num_classes)
        self.setting, self.device = setting, device
        self.run = cast(nn.Module, torch.compile(self.network)) if setting.mode == "compile" else self.network

    def __call__(self) -> Tensor:
        # Casts that autocast keeps would be freed while a graph that was captured with them is replayed.
        cache = self.setting.mode != "cuda_graph"
        with torch.inference_mode(), autocast(self.setting.precision, self.device, cache=cache):
            return cast(Tensor, self.run(self.image))


def placed_anew(call: Call, model: SegModel, setting: Setting, device: torch.device) -> MakeCall:
    """A function that returns ``call``, on a CPU with its image and its model's tensors at new places in memory.

    A compiler or another runtime keeps a network's tensors, and CUDA's allocator gives every place the same alignment,
    so in these cases nothing is moved.
    """
    if device.type != "cpu" or setting.mode != "eager":
        return lambda: call
    images = [call.image] if isinstance(call, (Forward, TrainingStep)) else []

    def anew() -> Call:
        gap = [torch.empty(random.randrange(2**18), dtype=torch.uint8) for _ in range(8)]
        for tensor in itertools.chain(images, model.parameters(), model.buffers()):
            tensor.data = tensor.data.clone()
        del gap
        return call

    return anew


class TrainingStep:
    """A training step on one batch, made and run as training does it, with auxiliary heads and all loss terms on."""

    def __init__(self, model: SegModel, recipe: Recipe, setting: Setting, device: torch.device) -> None:
        setting.check(device.type)
        self.step = prepare(model, timed_recipe(recipe, setting), device)
        _placed(model, setting, device)
        self.image, self.label = _batch(setting, device, model.num_classes)

    def __call__(self) -> None:
        if self.step.recipe.accumulate > 1:
            in_parts(self.step, self.image, self.label)
        else:
            self.step.backward(self.step.forward(self.image, self.label))
        self.step.update()

    def parts(self) -> dict[str, list[float]]:
        """The seconds of forward, backward and update, in each of :data:`STEPS_APART` steps.

        Where a batch is computed in parts, the seconds of their forwards are added up, and those of their backward
        passes.
        """
        step, device = self.step, self.step.device
        parts = step.recipe.accumulate
        losses: list[Tensor] = []

        def forward(image: Tensor, label: Tensor) -> None:
            loss = step.forward(image, label)
            losses.append(loss if parts == 1 else loss / parts)

        def backward(first: bool) -> None:
            (step.backward if first else step.add_gradients)(losses.pop())

        seconds: dict[str, list[float]] = {"forward": [], "backward": [], "update": []}
        for _ in range(STEPS_APART):
            spent = dict.fromkeys(seconds, 0.0)
            batches = zip(self.image.chunk(parts), self.label.chunk(parts), strict=True)
            for index, (image, label) in enumerate(batches):
                spent["forward"] += stopwatch(partial(forward, image, label), device)()
                spent["backward"] += stopwatch(partial(backward, index == 0), device)()
            spent["update"] += stopwatch(step.update, device)()
            for name, value in spent.items():
                seconds[name].append(value)
        return seconds


def _placed(model: SegModel, setting: Setting, device: torch.device) -> SegModel:
    model.to(device)
    model.to(memory_format=memory_format_of(setting))  # type: ignore[call-overload]  # torch's stub lacks this overload
    return model


def memory_format_of(setting: Setting) -> torch.memory_format:
    """The memory format of a setting as torch has it."""
    return torch.channels_last if setting.memory_format == "channels_last" else torch.contiguous_format


def _batch(setting: Setting, device: torch.device, num_classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    size = setting.height, setting.width
    image = torch.randn(setting.batch, 3, *size, generator=generator)
    label = torch.randint(num_classes, (setting.batch, *size), generator=generator)
    return image.to(device, memory_format=memory_format_of(setting)), label.to(device)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One stream for the warm-up of all graphs: cuBLAS keeps 32 MiB for every stream that ever computed a product."""
    return torch.cuda.Stream(device)


def captured(forward: Forward) -> Call:
    """The forward as one CUDA graph, which reads ``forward.image`` and returns one tensor in every call."""
    side = _side_stream(forward.device)
    side.wait_stream(torch.cuda.current_stream(forward.device))
    with torch.cuda.stream(side):
        for _ in range(CAPTURE_WARM_UP):
            forward()
    torch.cuda.current_stream(forward.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = forward()

    def replay() -> Tensor:
        graph.replay()
        return kept  # the graph writes into this tensor, so it must not be freed

    return replay
