"""The check of a study's networks: they are built and counted on the meta device, from shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bench.measure.cost.counts import parameters
from bench.measure.cost.shapes import count_shapes
from bench.network.layers import WiringError
from bench.network.model import CONVENTIONS, SegModel
from bench.parts import ChoiceError
from bench.records.forms import build
from bench.records.plan import Audit
from bench.study.cells import Cell
from bench.study.factors import StudyError
from bench.study.study import Study
from bench.training.optimiser import parameter_groups


@dataclass(frozen=True)
class Checked:
    """The counts of one variant, taken from the built network.

    Attributes:
        cell: the variant.
        parameters: slot -> number of parameters.
        trainable: slot -> number of trainable parameters.
        learning_rates: slot -> base learning rate of its optimiser group.
        macs: slot -> multiply-accumulates of one forward, counted by :mod:`torch.utils.flop_counter`.
        output_shape: the shape of the logits, ``1 K H W``.
    """

    cell: Cell
    parameters: dict[str, int]
    trainable: dict[str, int]
    learning_rates: dict[str, float]
    macs: dict[str, int]
    output_shape: tuple[int, ...]


def check_cells(study: Study, classes_of: Callable[[Cell], int], height: int, width: int) -> Iterator[Checked]:
    """Build every cell of a study, in order, and count it for an image of ``height`` x ``width``.

    Args:
        study: the study.
        classes_of: a function that gives the number of classes of a cell's data.
        height: the height of the image in pixels.
        width: its width in pixels.

    Raises:
        StudyError: if components of a cell do not fit together; the message names the cell.
        OptimiserError: if a trainable parameter would not be in exactly one optimiser group.
    """
    wired: set[object] = set()
    for cell in study.cells():
        variant, num_classes = cell.variant, classes_of(cell)
        try:
            with torch.device("meta"):
                model = SegModel(variant, num_classes)
            counted, trainable = parameters(model), parameters(model, trainable=True)
            rates = {group["name"]: group["lr"] for group in parameter_groups(model, cell.recipe)}
            _leave_out_normalisation(model)
            outputs = num_classes, variant.whole, variant.head, variant.auxiliary, variant.shape_stream, variant.losses
            if outputs not in wired:
                _lose(model, height, width)
                wired.add(outputs)
            shapes = count_shapes(model, height, width)
        except (ChoiceError, WiringError) as error:
            raise StudyError(f"study {study.name!r}, cell {cell.name}: {error}") from error
        if shapes.output_shape != (1, num_classes, height, width):
            raise StudyError(
                f"study {study.name!r}, cell {cell.name}: logits of shape {shapes.output_shape}, "
                f"expected {(1, num_classes, height, width)}"
            )
        macs = {slot: shapes.macs(slot) for slot in counted}
        yield Checked(cell, counted, trainable, rates, macs, shapes.output_shape)


def facts(study: Study, checked: Sequence[Checked], height: int, width: int) -> Audit:
    """The facts that :mod:`bench.study.audit` compares: variants' counts, and factors' subjects."""
    facts_of_study = {
        "input_px": [height, width],
        "about": {factor.name: list(factor.subject) for factor in study.factors},
        "touched": {factor.name: list(factor.touched) for factor in study.factors},
        "variants": {variant.cell.name: _facts(variant) for variant in checked},
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
                setattr(parent, name, nn.Identity())


def _lose(model: SegModel, height: int, width: int) -> None:
    """Run a training forward and all loss terms, so that a term that needs an output the network lacks fails here."""
    with torch.device("meta"):
        output = model.train()(torch.zeros(2, 3, height, width))
        label = torch.zeros(2, height, width, dtype=torch.long)
        for part in model.variant.losses:
            part.build(model.num_classes)(output, label)
