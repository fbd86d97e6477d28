"""A training step: the network and its losses, placed on a device, with the optimiser that updates the weights.

On CUDA nothing in a step makes the host wait for the device, and nothing is copied between them, unless a loss or a
component of a user does so, or an optimiser without a fused form is used in ``float16``: GradScaler then asks the
device whether to skip the step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench.network.model import Output, SegModel
from bench.network.numerics import autocast
from bench.parts import BenchError
from bench.protocol.recipe import Recipe
from bench.training.optimiser import optimiser_of, parameter_groups


class CompileError(BenchError, RuntimeError):
    """A network that torch.compile cannot compile. The message says why, in one line."""


@dataclass(frozen=True)
class Step:
    """A training step in three parts, to be called in order: forward, backward, update. See :func:`prepare`.

    Attributes:
        model: the network.
        run: the network as it is called in training: itself, or compiled. Both have the same weights.
        losses: the loss terms.
        optimiser: the optimiser.
        scaler: the scaler of the loss, which does nothing but in ``float16``.
        recipe: the recipe.
        device: the device.
    """

    model: SegModel
    run: Callable[..., Output]
    losses: nn.ModuleList
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    recipe: Recipe
    device: torch.device

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """The sum of all loss terms in the recipe's precision; image ``N 3 H W``, label ``N H W``, on the device.

        Raises:
            CompileError: if the network is to be compiled and cannot be.
        """
        with autocast(self.recipe.precision, self.device):
            with self._compiling():
                output = self.run(image, with_aux=True)
            return torch.stack([term(output, label) for term in self.losses]).sum()

    def backward(self, loss: Tensor) -> None:
        """Clear the gradients and compute them anew.

        Raises:
            CompileError: if the backward pass of the network is to be compiled and cannot be.
        """
        self.optimiser.zero_grad(set_to_none=True)
        self.add_gradients(loss)

    def add_gradients(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those that are there; errors are those of :meth:`backward`."""
        with self._compiling():
            self.scaler.scale(loss).backward()

    def update(self) -> None:
        """Update the weights by the optimiser, after the gradients were clipped if the recipe asks for it."""
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def _compiling(self) -> contextlib.AbstractContextManager[None]:
        """A block in which the network may be compiled, as it is at the first call of its forward and its backward."""
        return _told_in_one_line(self.model) if self.recipe.compiled else contextlib.nullcontext()


def in_parts(step: Step, image: Tensor, label: Tensor) -> Tensor:
    """Clear the gradients and compute them in ``recipe.accumulate`` parts of a batch; returns the mean of their losses.

    The gradient is the mean of the parts' gradients. It is that of the whole batch only where every part has as many
    labelled pixels and no layer looks at the batch as a whole, as batch normalisation does.
    """
    step.optimiser.zero_grad(set_to_none=True)
    parts = step.recipe.accumulate
    total = torch.zeros((), device=step.device)
    for images, labels in zip(image.chunk(parts), label.chunk(parts), strict=True):
        loss = step.forward(images, labels) / parts
        step.add_gradients(loss)
        total += loss.detach()
    return total


def prepare(model: SegModel, recipe: Recipe, device: torch.device) -> Step:
    """Prepare a training step. The network is moved to the device and set to training mode.

    A network that the recipe wants compiled is compiled at the first call; ``model`` itself is not changed by it.

    Raises:
        OptimiserError: if a trainable parameter is not in exactly one group.
    """
    model.to(device).train()
    model.to(memory_format=layout(device))  # type: ignore[call-overload]  # torch's stub lacks this overload
    losses = nn.ModuleList(part.build(model.num_classes) for part in model.variant.losses).to(device)
    optimiser = optimiser_of(recipe, parameter_groups(model, recipe))
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    run = cast(Callable[..., Output], torch.compile(model, dynamic=False) if recipe.compiled else model)
    return Step(model, run, losses, optimiser, scaler, recipe, device)


def layout(device: torch.device) -> torch.memory_format:
    """The memory format in which the device's convolutions are fastest."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


@contextlib.contextmanager
def _told_in_one_line(model: SegModel) -> Iterator[None]:
    """Raise :class:`CompileError` from the errors of torch's compiler, which are many lines long.

    Their text is not read here: whatever training reads of a message would count in the keys of all trials.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes a second to import

    try:
        yield
    except TorchDynamoException:
        raise CompileError(  # noqa: B904 - a name for the error would count as a reading of it
            "torch.compile cannot compile this network; take Recipe(compiled=False), or change the component"
        )
