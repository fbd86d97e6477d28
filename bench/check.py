"""What a study's networks are, from shapes alone: built and counted on the meta device, nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from bench.factors import StudyError
from bench.layers import WiringError
from bench.measure.counts import parameters
from bench.measure.shapes import count_by_shape
from bench.model import SegModel
from bench.parts import ChoiceError
from bench.study import Cell, Study
from bench.training import parameter_groups


@dataclass(frozen=True)
class Checked:
    """One variant as built.

    Attributes:
        cell: which.
        parameters: slot -> count.
        macs: multiply-accumulates of one forward at the stated size (:mod:`torch.utils.flop_counter`).
        output_shape: ``1 K H W``.
    """

    cell: Cell
    parameters: dict[str, int]
    macs: int
    output_shape: tuple[int, ...]


def check_cells(study: Study, num_classes: int, height: int, width: int) -> Iterator[Checked]:
    """Every cell, in order, as built for an image of ``height`` x ``width``.

    Raises:
        StudyError: naming the cell, for neighbours that do not fit.
        OptimiserError: for a trainable parameter that would not be trained exactly once.
    """
    wired: set[object] = set()
    for cell in study.cells():
        variant = cell.variant
        try:
            with torch.device("meta"):
                model = SegModel(variant, num_classes)
            counted = parameters(model)
            parameter_groups(model, cell.recipe)
            _leave_out_normalisation(model)
            outputs = variant.whole, variant.head, variant.auxiliary, variant.shape_stream, variant.losses
            if outputs not in wired:
                _lose(model, height, width)
                wired.add(outputs)
            macs, shape = count_by_shape(model, height, width)
        except (ChoiceError, WiringError) as error:
            raise StudyError(f"study {study.name!r}, cell {cell.name}: {error}") from error
        if shape != (1, num_classes, height, width):
            raise StudyError(
                f"study {study.name!r}, cell {cell.name}: logits of shape {shape}, "
                f"expected {(1, num_classes, height, width)}"
            )
        yield Checked(cell, counted, macs, shape)


def _leave_out_normalisation(model: nn.Module) -> None:
    """It keeps every shape and is not counted, but takes two thirds of the time of a forward on the meta device."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.modules.batchnorm._NormBase, nn.GroupNorm)):
                setattr(parent, name, nn.Identity())


def _lose(model: SegModel, height: int, width: int) -> None:
    """One training forward and every loss term, so that a term whose output the network lacks is found here."""
    with torch.device("meta"):
        output = model.train()(torch.zeros(2, 3, height, width))
        label = torch.zeros(2, height, width, dtype=torch.long)
        for part in model.variant.losses:
            part.build(model.num_classes)(output, label)
