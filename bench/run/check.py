"""The check of a study's networks: they are built and counted on the meta device, from shapes alone."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from bench.measure.cost.counts import parameters
from bench.measure.cost.whole.reach import Counts
from bench.measure.cost.whole.sizes import Sized, count_at
from bench.network.layers import WiringError
from bench.network.model import CONVENTIONS, Output, SegModel, Variant
from bench.network.own_losses import unread_entries
from bench.network.shapes_alone import from_shapes, shapes_alone
from bench.network.whole.without import Without
from bench.network.wiring import unread, unread_line, watch
from bench.parts import BenchError, ChoiceError
from bench.records.forms import build
from bench.records.measured import TOLD_SHARE
from bench.records.plan.audit import Audit
from bench.run.processes.stopping import Stopped
from bench.study.cells import Cell
from bench.study.factors import StudyError
from bench.study.faults import fault_line
from bench.study.source import Loaded
from bench.study.study import Study
from bench.training.augment.possible import unfilled_crop, unreachable_share
from bench.training.optimiser import parameter_groups, slot_of

log = logging.getLogger("bench.run.check")

SMALL_CROP_PX, SMALL_STEP_PX = 128, 32
"""The side, plus the crop's remainder by the step, of the crop at which the loss of a network with values is taken."""


@dataclass(frozen=True)
class Checked:
    """The counts of one variant, taken from the built network.

    Attributes:
        cell: the variant.
        parameters: slot -> number of parameters.
        trainable: slot -> number of trainable parameters.
        learning_rates: slot -> base learning rate of its optimiser group; the highest, where layers have their own.
        macs: slot -> multiply-accumulates of one forward, counted by :mod:`torch.utils.flop_counter`.
        output_shape: the shape of the logits, ``1 K H W``.
        wasted: module -> multiply-accumulates that it runs although they never reach the output.
        extrapolated: how the counts were extrapolated; empty if they are those of the size itself.
        notes: sentences about what is probably not meant, such as parameters that no loss reads.
    """

    cell: Cell
    parameters: dict[str, int]
    trainable: dict[str, int]
    learning_rates: dict[str, float]
    macs: dict[str, int]
    output_shape: tuple[int, ...]
    wasted: dict[str, int] = field(default_factory=dict)
    extrapolated: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Faulty:
    """A variant that cannot be built, computed or trained.

    Attributes:
        cell: the variant.
        reason: the one line that says why: file and line of the user's own code, what is wrong, and the remedy.
        traceback: where it was raised.
    """

    cell: Cell
    reason: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.cell.name}: {self.reason}"


def check_cells(
    study: Study, classes_of: Callable[[Cell], int], height: int, width: int, chosen: Sequence[Cell] | None = None
) -> Iterator[Checked | Faulty]:
    """Build every cell of a study, in order, and count it for an image of ``height`` x ``width``.

    A cell whose components do not fit together, or raise anything, is :class:`Faulty`, and the next one follows.

    Args:
        study: the study.
        classes_of: a function that gives the number of classes of a cell's data.
        height: the height of the image in pixels.
        width: its width in pixels.
        chosen: the cells to build; ``None`` for all.

    Raises:
        StudyError: if the data have one class, so that there is nothing to learn.
    """
    refuse_one_class(study, classes_of)
    wirings = _Wirings()
    for cell in study.cells() if chosen is None else chosen:
        num_classes = classes_of(cell)
        try:
            if "quality" in study.stages and (problem := unreachable_share(cell.recipe, num_classes)):
                raise ChoiceError(problem)
            result: Checked | Faulty = _check(cell, num_classes, (height, width), wirings)
        except Stopped:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code may raise anything; the line tells it
            result = Faulty(cell, fault_line(error), "".join(traceback.format_exception(error)))
        yield result


def refuse_one_class(study: Study, classes_of: Callable[[Cell], int]) -> None:
    """Refuse to measure quality on one class, because a softmax over one class is right about every pixel, untrained.

    Raises:
        StudyError: if the data have one class.
    """
    if "quality" in study.stages and any(classes_of(cell) == 1 for cell in study.recipe_examples):
        raise StudyError(
            f"study {study.name!r}: its data have one class, so every network has an mIoU of 100 % without learning "
            "anything; name the background as a second class, and label it rather than leave it void"
        )


def unfilled_crops(loaded: Loaded) -> Iterator[str]:
    """Sentences about training crops that no image fills, one for each data set and each geometry of a study.

    Raises:
        DataError: if a data set cannot be used.
    """
    seen = set()
    for cell in loaded.study.cells() if "quality" in loaded.study.stages else ():
        recipe = cell.recipe
        geometry = (recipe.data, recipe.crop_px, recipe.scale, recipe.short_side_px, recipe.long_side_px)
        if geometry not in seen and (words := unfilled_crop(recipe, loaded.dataset_of(cell).split("train"))):
            yield f"{cell.name}: {words}"
        seen.add(geometry)


@dataclass
class _Wirings:
    """The slots whose joint training forward was looked at, so that a study's many cells take few of them.

    Attributes:
        seen: the Parts that were joined in a forward.
        unread: the Parts that were joined, and a slot -> the sentence about its parameters that no loss reads.
        untrained: a whole network with its losses -> the names of its parameters that no loss reads.
    """

    seen: set[object] = field(default_factory=set)
    unread: dict[tuple[object, str], str] = field(default_factory=dict)
    untrained: dict[object, frozenset[str]] = field(default_factory=dict)

    def are_new(self, variant: Variant) -> bool:
        """True if a loss, a part with an output of its own, or a pair of backbone and neck was in no forward yet."""
        return not {_outputs(variant), _features(variant)} <= self.seen

    def add(self, model: SegModel, loss: Tensor | None) -> None:
        """Remember what was joined, and which parameters ``loss`` does not read; ``None`` if that is not known."""
        variant = model.variant
        self.seen |= {_outputs(variant), _features(variant)}
        names = {} if loss is None else unread(model, loss)
        for slot in variant.parts():
            self.unread.pop((_joined(variant, slot), slot), None)
            if slot in names:
                self.unread[_joined(variant, slot), slot] = unread_line(model, slot, names[slot])
        self.untrained[_outputs(variant)] = frozenset(names.get("whole", ()))

    def notes(self, variant: Variant) -> tuple[str, ...]:
        keys = ((_joined(variant, slot), slot) for slot in variant.parts())
        return tuple(self.unread[key] for key in keys if key in self.unread)


def _outputs(variant: Variant) -> object:
    """The parts with an output of their own, and the losses that read these."""
    return variant.whole, variant.head, variant.auxiliary, variant.shape_stream, variant.losses


def _features(variant: Variant) -> object:
    return variant.backbone, variant.neck


def _joined(variant: Variant, slot: str) -> object:
    return _features(variant) if slot in ("backbone", "neck") else _outputs(variant)


def _check(cell: Cell, num_classes: int, px: tuple[int, int], wirings: _Wirings) -> Checked:
    """Check a cell from shapes alone; if its forward reads values, then with real numbers."""
    return from_shapes(lambda: SegModel(cell.variant, num_classes), lambda model: _count(cell, model, px, wirings))


def _count(cell: Cell, model: SegModel, px: tuple[int, int], wirings: _Wirings) -> Checked:
    watch(model)
    counted, trainable = parameters(model), parameters(model, trainable=True)
    rates: dict[str, float] = {}
    for group in parameter_groups(model, cell.recipe):
        slot = slot_of(group)
        rates[slot] = max(group["lr"], rates.get(slot, 0.0))
    on_meta = all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    if on_meta:
        _leave_out_normalisation(model)
    if wirings.are_new(cell.variant):
        if on_meta:
            loss = _loss(model, px)
        else:
            with saved_tensors_hooks(lambda tensor: None, lambda kept: kept):  # numbers take memory, so none is kept
                loss = _loss_of_values(model, cell.recipe.crop_px)
        if any(trainable.values()) and not loss.requires_grad:
            raise WiringError(
                "no loss depends on a parameter that is trained, so nothing can be learnt; compute it from the "
                "output, without .item(), .detach() or argmax"
            )
        wirings.add(model, loss if on_meta else None)
    sized = count_at(model, *px)
    counts = sized.counts
    if on_meta and isinstance(model.whole, Without):
        _refuse_needed(model, px)
    if counts.output_shape != (1, model.num_classes, *px):
        raise WiringError(f"logits of shape {counts.output_shape}, expected {(1, model.num_classes, *px)}")
    return Checked(
        cell=cell,
        parameters=counted,
        trainable=trainable,
        learning_rates=rates,
        macs={slot: counts.macs(slot) for slot in counted},
        output_shape=counts.output_shape,
        wasted={idle.module: idle.macs for idle in counts.idle()},
        extrapolated="" if sized.fit is None else str(sized.fit),
        notes=(
            *wirings.notes(cell.variant),
            *_without_effect(cell.variant),
            *_notes(sized),
            *_ways_out(model, counts, wirings),
        ),
    )


def _notes(sized: Sized) -> Iterator[str]:
    """Sentences about multiply-accumulates that never reach the output, and about how the others were found."""
    total, wasted = sized.counts.macs(), sized.counts.wasted_macs()
    if wasted >= TOLD_SHARE * total > 0:
        modules = ", ".join(idle.module for idle in sized.counts.idle() if idle.macs >= TOLD_SHARE * total)
        yield (
            f"{wasted / 1e9:.3g} of {total / 1e9:.3g} GMAC never reach the output"
            + (f", those of {modules}: what is computed there is thrown away" if modules else "")
        )
    if sized.fit is not None:
        yield f"its MACs are {sized.fit}"


def _without_effect(variant: Variant) -> Iterator[str]:
    """The sentence about entries of a whole network's configuration that only its own losses would read."""
    if names := unread_entries(variant.whole, variant.losses):
        yield (
            f"the losses do not have the configuration's {', '.join(names)}, which nothing else reads; "
            "take losses=own_losses(network) of this network"
        )


def _ways_out(model: SegModel, counts: Counts, wirings: _Wirings) -> Iterator[str]:
    """The sentence that says how modules of a whole network that run for nothing are left out, if they matter."""
    if model.whole is None:
        return
    untrained = wirings.untrained.get(_outputs(model.variant), frozenset())
    known, base = dict(model.named_modules()), "whole.network." if isinstance(model.whole, Without) else "whole."
    everywhere: list[str] = []
    in_evaluation: list[str] = []
    for name in counts.unused:
        own = [f"{name}.{inner}".removeprefix("whole.") for inner, _ in known[name].named_parameters()]
        never = bool(own) and untrained.issuperset(own)
        if never or counts.wasted_macs(name) >= TOLD_SHARE * counts.macs() > 0:
            (everywhere if never else in_evaluation).append(name.removeprefix(base))
    chosen = {"in_evaluation": in_evaluation, "everywhere": everywhere}
    words = ", ".join(f"{choice}={tuple(names)}" for choice, names in chosen.items() if names)
    if words and isinstance(model.whole, Without):
        yield f"Without leaves out these modules as well if it names them: {words}"
    elif words:
        yield f"whole=part(Without, network=…, {words}) leaves out what it runs for nothing"


def _refuse_needed(model: SegModel, px: tuple[int, int]) -> None:
    """Refuse to leave out a module that logits depend on, which shapes alone do not show where they stay the same.

    Raises:
        ChoiceError: for such a module.
    """
    part = model.variant.whole
    assert part is not None
    whole = shapes_alone(lambda: SegModel(replace(model.variant, whole=part["network"]), model.num_classes))
    running = count_at(whole, *px).counts.running
    for name in (*part["in_evaluation"], *part["everywhere"]):
        if running.get(f"whole.{name}"):
            raise ChoiceError(f"{part['network'].cls.__name__} cannot be without {name}: the logits depend on it")


def facts(study: Study, checked: Sequence[Checked], height: int, width: int) -> Audit:
    """The facts that :mod:`bench.study.audit` compares: variants' counts, and factors' subjects.

    They are compared with those of the baseline, so there are none of any variant if that cannot be built.
    """
    comparable = study.baseline_name in [variant.cell.name for variant in checked]
    facts_of_study = {
        "input_px": [height, width],
        "about": {factor.name: list(factor.subject) for factor in study.factors},
        "touched": {factor.name: list(factor.touched) for factor in study.factors},
        "variants": {variant.cell.name: _facts(variant) for variant in checked if comparable},
        **({"tuned": study.tuned.as_json()} if study.tuned is not None else {}),
    }
    return build(Audit, facts_of_study)


def _facts(checked: Checked) -> dict[str, Any]:
    variant = checked.cell.variant
    counts = {"parameters": checked.parameters, "trainable": checked.trainable, "macs": checked.macs}
    return {
        "levels": dict(checked.cell.levels),
        "slots": {
            slot: {**part.describe(), **{name: count.get(slot, 0) for name, count in counts.items()}}
            for slot, part in variant.parts().items()
        },
        "losses": [part.describe() for part in variant.losses],
        "learning_rates": checked.learning_rates,
        "recipe": checked.cell.recipe.describe(),
        "conventions": {name: getattr(variant, name) for name in CONVENTIONS},
    }


def _leave_out_normalisation(model: nn.Module) -> None:
    """Replace normalisation by the identity.

    Normalisation keeps shapes and is not counted, but takes two thirds of the time of a forward on the meta device.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.modules.batchnorm._NormBase, nn.GroupNorm)):
                setattr(parent, name, _Unnormalised(child))


class _Unnormalised(nn.Module):
    """The identity in place of a normalisation, for the same number of channels."""

    def __init__(self, layer: nn.modules.batchnorm._NormBase | nn.GroupNorm) -> None:
        super().__init__()
        self.name = type(layer).__name__
        self.channels = layer.num_channels if isinstance(layer, nn.GroupNorm) else layer.num_features
        weight = None if layer.weight is None else layer.weight.detach()
        self.register_buffer("weight", weight)  # of whose type a network may make what it normalises

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim > 1 and x.shape[1] != self.channels:
            raise RuntimeError(f"{self.name} expected {self.channels} channels, but got {x.shape[1]} channels")
        return x


def _loss_of_values(model: SegModel, crop_px: tuple[int, int]) -> Tensor:
    """The sum of all loss terms of a network that needs values: of a whole one at a small size, if it takes one."""
    small = tuple(min(side, SMALL_CROP_PX + side % SMALL_STEP_PX) for side in crop_px)
    if model.variant.whole is not None and small != crop_px:
        try:
            return _loss(model, (small[0], small[1]))
        except BenchError:
            raise
        except Exception:  # a network of one size may raise anything at others; at its own, it raises again
            log.debug("no loss at %s", small, exc_info=True)
    return _loss(model, crop_px)


def _loss(model: SegModel, px: tuple[int, int]) -> Tensor:
    """The sum of all loss terms of a training forward, in which a term fails that needs an output the network lacks."""
    with next(model.parameters(), torch.empty(0)).device:
        output = model.train()(torch.zeros(2, 3, *px))
        label = torch.zeros(2, *px, dtype=torch.long)
        losses = [part.build(model.num_classes) for part in model.variant.losses]
        for part, built in zip(model.variant.losses, losses, strict=True):
            if names := [name for name, parameter in built.named_parameters() if parameter.requires_grad]:
                raise WiringError(
                    f"the loss {part.cls.__name__} has parameters of its own ({', '.join(names)}), which no optimiser "
                    "trains; make them choices or buffers of the loss, or parameters of a network that it reads as a "
                    "side output"
                )
        terms = [built(output, label) for built in losses]
        for part, term in zip(model.variant.losses, terms, strict=True):
            if not isinstance(term, Tensor) or term.ndim:
                form = f"a tensor of the shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
                raise WiringError(
                    f"the loss {part.cls.__name__} returns {form}; it must return one number, a mean or sum"
                )
        _refuse_idle(model, output, terms)
        return torch.stack(terms).sum()


def _refuse_idle(model: SegModel, output: Output, terms: Sequence[Tensor]) -> None:
    """Refuse a loss that reads logits without a gradient beside side outputs that have one, as it would train nothing.

    Raises:
        WiringError: for such a loss of a whole network.
    """
    if model.variant.whole is None or output.logits.requires_grad:
        return
    for part, term in zip(model.variant.losses, terms, strict=True):
        if not term.requires_grad and any(side.requires_grad for side in output.aux.values()):
            raise WiringError(
                f"the loss {part.cls.__name__} reads the logits, which have no gradient in training, so it trains "
                "nothing; take the losses of the side outputs, such as own_losses(network), alone"
            )
