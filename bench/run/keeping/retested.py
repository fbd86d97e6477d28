"""Kept weights in place of a training: a trial whose network was trained already is tested in another way."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from bench.protocol.recipe import OUTSIDE_QUALITY
from bench.protocol.testing import TEST_FIELDS
from bench.records.results import Results
from bench.run.keeping.weights import TrainedTrial, WeightsError, kept
from bench.study.cells import Cell
from bench.training.keeper import State


class TrainedKeeper:
    """A :class:`~bench.training.keeper.Keeper` that gives a training its last weights at once.

    The training then has no iteration left, and its evaluation follows as always.

    Args:
        trained: the trial whose weights are taken.

    Attributes:
        first: the number of iterations that were done when the weights were kept, which is all of them.
    """

    def __init__(self, trained: TrainedTrial) -> None:
        self.trained = trained
        self.first = 0

    def resume(self, state: State) -> None:
        """Give the network of a training, and the average of its weights if it keeps one, the weights.

        Raises:
            WeightsError: if the file is not there or not the one that was written.
        """
        weights = safetensors.torch.load(self.trained.content())
        state.modules["model"].load_state_dict(weights)
        if "average" in state.modules:
            averaged = state.modules["average"].module
            assert isinstance(averaged, nn.Module)
            averaged.load_state_dict(weights)
        # The record's history stands for the whole one, which it is a part of; facts() gives it back as it is.
        losses = self.trained.measured.history.loss
        state.history.loss, state.history.learning_rate = list(losses), [0.0] * len(losses)
        self.first = self.trained.measured.iterations

    def after(self, done: int, total: int) -> None:
        """Nothing: there is no iteration."""

    def earlier_s(self) -> float:
        """The seconds that the training took when it was done."""
        return self.trained.measured.train_s

    def finish(self, model: nn.Module) -> None:
        """Nothing: the weights are kept already."""

    def facts(self) -> dict[str, Any]:
        """The fields of a record that tell of the training, not of the test."""
        measured = self.trained.measured
        return {
            "trained_as": self.trained.record.planned_key,
            "train_s": measured.train_s,
            "history": measured.history.as_json(),
            "resumed_after": list(measured.resumed_after),
            **({} if measured.processes == 1 else {"processes": measured.processes}),
            **({} if measured.curve is None else {"curve": measured.curve.as_json()}),
        }


def copy_untested(results: Results, folder: Path, keys: Collection[str], target: Path) -> int:
    """Copy the records of other stages, which no test changes, into another results folder; returns their number.

    Args:
        results: the results.
        folder: their folder.
        keys: the keys that are planned in the other folder.
        target: the other folder.
    """
    (target / "records").mkdir(parents=True, exist_ok=True)
    copied = 0
    for record in results.records:
        path = target / "records" / record.file_name
        if record.trial.stage != "quality" and record.planned_key in keys and not path.exists():
            shutil.copyfile(folder / "records" / record.file_name, path)
            copied += 1
    return copied


def trained_for(cell: Cell, seed: int, folder: Path) -> TrainedTrial:
    """The trial of a results folder that trained the network of a cell, which is tested in another way there.

    Args:
        cell: the cell, as it is to be tested.
        seed: its seed.
        folder: the results folder with the weights.

    Raises:
        WeightsError: if no such weights are kept, or if the cell is trained in another way.
    """
    trained = kept(folder, cell.name, seed)
    other = [
        name
        for name, value in vars(cell.recipe).items()
        if name not in TEST_FIELDS | OUTSIDE_QUALITY and value != getattr(trained.cell.recipe, name)
    ]
    if trained.cell.variant != cell.variant or other:
        what = ", ".join(other) if other else "network"
        raise WeightsError(f"the {cell.name} of {folder} was trained in another way: its {what} is another one")
    return trained
