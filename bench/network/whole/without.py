"""A whole network without the modules that it runs for nothing.

Networks of libraries run auxiliary heads in evaluation and throw their output away, or pool what no logits depend on.
``bench check`` lists such modules. Here they do not run, and the logits are the same bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bench.network.whole.hub import in_one_line
from bench.parts import ChoiceError, Part, nearest

NOISE = 0.02
"""The deviation of what is added to all weights before outputs are compared, so that a layer that starts at 0 hides
nothing."""

SEED = 0
"""The seed of that, and of the image."""

MOST_SHOWN = 200
"""The most characters of another library's message that a refusal repeats."""


class Without(nn.Module):
    """A whole network, of which some modules do not run: image ``N 3 H W`` -> logits ``N K H W``.

    In place of a module that does not run, its input is passed on. When a process first builds the network, it is run
    on one image with and without the modules, with random numbers added to its weights, and every output must be the
    same, bit for bit. On the meta device, which has no values, it is only run.

    Args:
        num_classes: the number of classes.
        network: the network as it is.
        in_evaluation: the names of modules that run in training alone, where losses read their output. Their parameters
            belong to the network and are counted.
        everywhere: the names of modules that are taken out, with their parameters: no loss reads what they compute.
        verified_px: the height and width of the image on which outputs are compared.

    Raises:
        ChoiceError: if the network has no module of a name, or if its output changes without one.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        network: Part[Any],
        in_evaluation: tuple[str, ...] = (),
        everywhere: tuple[str, ...] = (),
        verified_px: tuple[int, int] = (128, 160),
    ) -> None:
        super().__init__()
        device = str(torch.get_default_device())
        _verify(network, num_classes, in_evaluation, everywhere, verified_px, device)
        self.network = _without(network.build(num_classes), in_evaluation, everywhere)
        self.has_side_outputs = bool(getattr(self.network, "has_side_outputs", False))

    @property
    def inner(self) -> nn.Module | None:
        """The encoder of the network, where it tells, for rates that fall from layer to layer."""
        inner: nn.Module | None = getattr(self.network, "inner", None)
        return inner

    def forward(self, image: Tensor, *, with_aux: bool = False) -> Any:
        """The logits; with ``with_aux``, for which the modules of training run, also the side outputs, by name."""
        return _run(self.network, image, with_aux=with_aux)


class _PassesOn(nn.Module):
    """Stands in the place of a module that was taken out."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return _first_tensor(inputs, named)


class _Switch:
    """The switch that a network shares with its modules that run in training alone."""

    def __init__(self) -> None:
        self.on = False


def _run(network: Any, image: Tensor, *, with_aux: bool) -> Any:
    if (switch := getattr(network, "switch_of_training", None)) is not None:
        switch.on = with_aux or network.training
    return network(image, with_aux=True) if with_aux else network(image)


def _in_training_alone(self: Any, *inputs: Any, **named: Any) -> Any:
    """The output of a module while its switch is on; else its input."""
    return self.forward_in_training(*inputs, **named) if self.switch_of_training.on else _first_tensor(inputs, named)


def _first_tensor(inputs: Sequence[Any], named: Mapping[str, Any]) -> Tensor | None:
    return next((leaf for leaf in tree_leaves((tuple(inputs), dict(named))) if isinstance(leaf, Tensor)), None)


def _without(network: Any, in_evaluation: Iterable[str], everywhere: Iterable[str]) -> Any:
    """The network, changed so that these modules run in training alone, or not at all."""
    switch = network.switch_of_training = _Switch()
    in_training, out = (_callable(network, names) for names in (in_evaluation, everywhere))
    for module in in_training:
        module.switch_of_training, module.forward_in_training = switch, module.forward
        module.forward = MethodType(_in_training_alone, module)
    for module in out:
        for parent in list(network.modules()):  # a module that stands in several places is taken out of all
            for place in [place for place, child in parent.named_children() if child is module]:
                setattr(parent, place, _PassesOn())
    return network


def _callable(network: nn.Module, names: Iterable[str]) -> list[Any]:
    """The modules of these names, each once; in place of a list or dict of modules, which never runs, those inside."""

    def inside(module: nn.Module) -> Iterator[nn.Module]:
        if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            for child in module.children():
                yield from inside(child)
        else:
            yield module

    return list(dict.fromkeys(found for name in names for found in inside(network.get_submodule(name))))


def _refuse_unknown(network: nn.Module, name: str) -> None:
    known = [known for known, _ in network.named_modules(remove_duplicate=False) if known]
    if name not in known:
        raise ChoiceError(f"{_called(network)} has no module {name!r}{nearest(name, known)}")


@cache
def _verify(
    network: Part[Any],
    num_classes: int,
    in_evaluation: tuple[str, ...],
    everywhere: tuple[str, ...],
    px: tuple[int, int],
    device: str,
) -> None:
    """Refuse to leave out modules that an output depends on; once a process, so that no later peak of memory has it.

    Raises:
        ChoiceError: for such modules; the message names the first that cannot be left out even by itself.
    """
    if not in_evaluation and not everywhere:
        return
    with torch.random.fork_rng(devices=[]), torch.device(device):
        built = network.build(num_classes)
        for name in (*in_evaluation, *everywhere):
            _refuse_unknown(built, name)
        reference = _Reference.of(built, px)
        if reference is None or not (problem := reference.problem(in_evaluation, everywhere)):
            return
        faults = {name: reference.problem([name], []) for name in in_evaluation}
        faults |= {name: reference.problem([], [name]) for name in everywhere}
    found = ((name, reason) for name, reason in faults.items() if reason)
    name, reason = next(found, (" and ".join((*in_evaluation, *everywhere)), problem))
    raise ChoiceError(f"{_called(built)} cannot be without {name}: {reason}")


class _Reference:
    """A network with noise on its weights, and its outputs for one image, with which others are compared."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        self.network, self.image = network, image
        self.has_sides = bool(getattr(network, "has_side_outputs", False))
        self.outputs = self._outputs(network)

    @classmethod
    def of(cls, network: nn.Module, px: tuple[int, int]) -> _Reference | None:
        """The reference of a network, which gets the noise; ``None`` on the meta device if the forward reads values.

        Raises:
            ChoiceError: if the network does not run on an image of this size.
        """
        random = torch.Generator("cpu").manual_seed(SEED)
        device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
        with torch.no_grad():
            image = torch.randn(1, 3, *px, generator=random, device="cpu").to(device)
            for tensor in network.parameters():
                if tensor.is_floating_point() and not tensor.is_meta:
                    tensor.add_(NOISE * torch.randn(tensor.shape, generator=random, device="cpu").to(tensor))
        try:
            return cls(network, image)
        except Exception as error:  # a forward may raise anything
            if device.type == "meta":
                return None  # such a network is built again with values
            raise ChoiceError(
                f"{_called(network)} does not run on an image of {px[0]}x{px[1]}, on which its outputs are compared: "
                f"{in_one_line(error)}; choose verified_px as a size that it takes"
            ) from error

    def problem(self, in_evaluation: Iterable[str], everywhere: Iterable[str]) -> str:
        """The reason why modules cannot be left out; empty if they can."""
        out = list(everywhere)
        try:
            if any(self._is_trained(name) for name in out):
                return "training reads its output; name it in in_evaluation, if evaluation does not"
            outputs = self._outputs(_without(copy.deepcopy(self.network), in_evaluation, out))
        except Exception as error:  # noqa: BLE001 - what reads a module's output may raise anything at its input
            return f"the forward fails ({type(error).__name__}: {in_one_line(error)[:MOST_SHOWN]})"
        same = len(outputs) == len(self.outputs) and all(map(_are_same, outputs, self.outputs))
        return "" if same else "an output changes"

    def _outputs(self, network: nn.Module) -> list[Tensor]:
        """The tensors that a network gives in evaluation: without side outputs, and with them if it has any."""
        with torch.no_grad():
            given = [_run(network.eval(), self.image, with_aux=sides) for sides in (False, True)[: 1 + self.has_sides]]
        return [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]

    def _is_trained(self, name: str) -> bool:
        """Return whether an output of training depends on a parameter of a module."""
        network = copy.deepcopy(self.network).train()
        with torch.enable_grad():
            output = _run(network, self.image.expand(2, -1, -1, -1), with_aux=self.has_sides)
            terms = [leaf.sum() for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
            if terms:
                torch.stack([term.float() for term in terms]).sum().backward()
        return any(parameter.grad is not None for parameter in network.get_submodule(name).parameters())


def _are_same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same shape and type and, if they have values, exactly the same ones."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return one.is_meta or bool(((one == other) | (one.isnan() & other.isnan())).all())


def _called(network: nn.Module) -> str:
    inner = getattr(network, "network", None)
    return type(network).__name__ + (f" ({type(inner).__name__})" if isinstance(inner, nn.Module) else "")
