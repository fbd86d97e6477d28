"""A forward or a training step as a call that can be timed, in one :class:`~bench.protocol.setting.Setting`.

The image ``N 3 H W`` and the label ``N H W`` are random, because no operator's time depends on their content.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from bench.measure.timing.latency import Call, stopwatch
from bench.network.model import LogitsOnly, SegModel
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting
from bench.training.optimiser import make_optimiser, parameter_groups

MakeCall = Callable[[], Call]
STEPS_APART = 10
CAPTURE_WARM_UP = 3
"""The forwards on a side stream before a graph is captured, as torch's notes on CUDA graphs advise."""


def forward_call(model: SegModel, setting: Setting, device: torch.device) -> Call:
    """A call of one forward in evaluation mode, with auxiliary heads off and without gradients.

    Raises:
        ChoiceError: if the device does not have the setting's mode.
    """
    setting.check(device.type)
    forward = Forward(model, setting, device)
    return _captured(forward.network, forward.image, setting) if setting.mode == "cuda_graph" else forward


class Forward:
    """A forward in evaluation mode that returns the logits."""

    def __init__(self, model: SegModel, setting: Setting, device: torch.device) -> None:
        self.network = LogitsOnly(_placed(model, setting, device).eval())
        self.image, _ = _batch(setting, device, model.num_classes)
        self.setting, self.device = setting, device
        self.run = cast(nn.Module, torch.compile(self.network)) if setting.mode == "compile" else self.network

    def __call__(self) -> Tensor:
        with torch.inference_mode(), _autocast(self.setting, self.device):
            return cast(Tensor, self.run(self.image))


def placed_anew(call: Call, model: SegModel, setting: Setting, device: torch.device) -> MakeCall:
    """A function that returns ``call``, on a CPU with its image and its model's tensors at new places in memory.

    A compiled network keeps its tensors, and CUDA's allocator gives every place the same alignment, so in these cases
    nothing is moved.
    """
    if device.type != "cpu" or setting.mode == "compile":
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
    """A training step in three parts, to be called in this order: :meth:`forward`, :meth:`backward`, :meth:`update`.

    Auxiliary heads and all loss terms are on. Gradients are released in :meth:`update`, as in training.
    """

    def __init__(self, model: SegModel, recipe: Recipe, setting: Setting, device: torch.device) -> None:
        setting.check(device.type)
        self.model = _placed(model, setting, device).train()
        self.losses = nn.ModuleList(part.build(model.num_classes) for part in model.variant.losses).to(device)
        if recipe.optimiser is None:
            self.optimiser: torch.optim.Optimizer = torch.optim.SGD(
                parameter_groups(model, recipe),
                lr=1e-6,  # not used, as every group has a rate of its own
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
            )
        else:
            self.optimiser = make_optimiser(recipe.optimiser, parameter_groups(model, recipe), recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=setting.precision == "float16")
        self.image, self.label = _batch(setting, device, model.num_classes)
        self.setting, self.device = setting, device
        self.run = cast(nn.Module, torch.compile(self.model)) if setting.mode == "compile" else self.model
        self.loss: Tensor | None = None

    def forward(self) -> None:
        with _autocast(self.setting, self.device):
            output = self.run(self.image, with_aux=True)
            self.loss = torch.stack([term(output, self.label) for term in self.losses]).sum()

    def backward(self) -> None:
        assert self.loss is not None
        self.scaler.scale(self.loss).backward()
        self.loss = None

    def update(self) -> None:
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def __call__(self) -> None:
        self.forward()
        self.backward()
        self.update()

    def parts(self) -> dict[str, list[float]]:
        """The seconds of each of the three parts, in :data:`STEPS_APART` steps."""
        timed = {part.__name__: stopwatch(part, self.device) for part in (self.forward, self.backward, self.update)}
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(STEPS_APART):
            for name, measure in timed.items():
                seconds[name].append(measure())
        return seconds


def _placed(model: SegModel, setting: Setting, device: torch.device) -> SegModel:
    model.to(device)
    if setting.mode == "channels_last":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this overload
    return model


def _batch(setting: Setting, device: torch.device, num_classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    size = setting.height, setting.width
    image = torch.randn(setting.batch, 3, *size, generator=generator).to(device)
    label = torch.randint(num_classes, (setting.batch, *size), generator=generator).to(device)
    if setting.mode == "channels_last":
        image = image.to(memory_format=torch.channels_last)
    return image, label


def _autocast(setting: Setting, device: torch.device, *, cache: bool = True) -> torch.autocast:
    enabled = setting.precision != "float32"
    dtype = getattr(torch, setting.precision) if enabled else None
    return torch.autocast(device.type, dtype=dtype, enabled=enabled, cache_enabled=cache)


def _captured(network: nn.Module, image: Tensor, setting: Setting) -> Call:
    """The forward as one CUDA graph. Autocast must not cache casts: they would be freed while the graph is replayed."""

    def forward() -> Tensor:
        with torch.inference_mode(), _autocast(setting, image.device, cache=False):
            return cast(Tensor, network(image))

    side = torch.cuda.Stream(image.device)
    side.wait_stream(torch.cuda.current_stream(image.device))
    with torch.cuda.stream(side):
        for _ in range(CAPTURE_WARM_UP):
            forward()
    torch.cuda.current_stream(image.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = forward()

    def replay() -> Tensor:
        graph.replay()
        return kept  # the graph writes into this tensor, so it must not be freed

    return replay
