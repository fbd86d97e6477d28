"""The weights that a quality trial ends with: files of safetensors in a results folder, and networks made of them.

A file's header says whose weights they are: the trial with its key, the network's choices, the names of the classes,
and the mean and standard deviation by which images are normalised. So it can be used without this package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor

from bench.network.model import SegModel
from bench.network.normalisation import MEAN, STD
from bench.parts import BenchError
from bench.records import results as stored
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.records.results import Results
from bench.run.stages import key_of
from bench.study.cells import Cell
from bench.study.source import Loaded, source_of_plan
from bench.study.source import load as load_study

if TYPE_CHECKING:
    from bench.run.trial import Trial

WEIGHTS = "weights"
"""The folder of a results folder that has the files of weights."""


class WeightsError(BenchError, ValueError):
    """Weights that were not kept, that were changed, or that belong to another network than the study has now."""


def described_weights(trial: Trial, choices: Mapping[str, Any], classes: Sequence[str]) -> dict[str, str]:
    """The header of a file of weights: names with texts or JSON."""
    return {
        "format": "pt",  # by which other libraries see that tensors are torch's
        "trial": json.dumps({"key": trial.key, "variant": trial.variant, "seed": trial.seed}),
        "variant": json.dumps(choices["variant"]),
        "classes": json.dumps(list(classes)),
        "normalisation": json.dumps({"mean": MEAN, "std": STD, "of": "RGB in 0 … 1"}),
    }


def packed(weights: Mapping[str, Tensor], header: Mapping[str, str]) -> bytes:
    """The content of a file of weights: the same bytes for the same weights and header."""
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    content: bytes = safetensors.torch.save(tensors, dict(header))
    # safetensors writes the header's texts in another order in each process, so they are put into one order.
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[start:]


def digest_of(content: bytes) -> str:
    """The digest of a file of weights, as its record has it: SHA-256."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class TrainedTrial:
    """A trial whose weights are kept.

    Attributes:
        record: the trial's record.
        measured: what the trial measured.
        path: the file of its weights.
        loaded: the study as it is now.
        cell: the trial's variant and recipe, as the study has them now.
    """

    record: Record
    measured: MeasuredQuality
    path: Path
    loaded: Loaded
    cell: Cell

    def content(self) -> bytes:
        """The content of the file of weights.

        Raises:
            WeightsError: if the file is not there or not the one that was written.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise WeightsError(
                f"the weights of {self.record.file_name} cannot be read: {self.path} ({error.strerror or error}); copy "
                "them from where the trial ran, or remove the record and run again"
            ) from error
        if digest_of(content) != self.measured.weights_digest:
            raise WeightsError(f"{self.path} is not the file that {self.record.file_name} names: its digest is another")
        return content

    def network(self, device: torch.device) -> SegModel:
        """The trained network, in evaluation mode.

        Raises:
            WeightsError: if the file is not there or not the one that was written.
        """
        model = SegModel(self.cell.variant, len(self.measured.classes))
        model.load_state_dict(safetensors.torch.load(self.content()))
        return model.to(device).eval()


def with_weights(results: Results) -> set[tuple[str, int | None]]:
    """The variants and seeds whose weights are kept."""
    done = results.done(MeasuredQuality)
    return {(record.trial.variant, record.trial.seed) for record, measured in done if measured.weights}


def kept(folder: str | Path, variant: str, seed: int | None = None) -> TrainedTrial:
    """The trial of a results folder whose weights are asked for.

    Args:
        folder: the results folder.
        variant: the variant; factors that its name leaves out have the baseline's level.
        seed: the seed; by default the first that has weights.

    Raises:
        RecordError: for results that cannot be read.
        StudyError: if the study is not there, or does not have the variant.
        WeightsError: if no weights of it are kept, or if the study's network is another one now.
    """
    results = stored.load(folder)
    loaded = load_study(source_of_plan(results.plan, Path(folder)))
    cell = loaded.study.cell(variant)
    done = {
        record.trial.seed: (record, measured)
        for record, measured in results.done(MeasuredQuality)
        if record.trial.variant == cell.name and measured.weights
    }
    if not done or (seed is not None and seed not in done):
        of_seed = "" if seed is None else f" with seed {seed}"
        have = sorted(f"{variant} with seed {seed}" for variant, seed in with_weights(results))
        shown = f"; there are those of {', '.join(have[:6])}{', …' if len(have) > 6 else ''}" if have else ""
        raise WeightsError(
            f"{folder} has no weights of {cell.name}{of_seed}{shown}. A quality trial keeps them unless it runs with "
            "--no-weights"
        )
    record, measured = done[seed] if seed is not None else next(iter(done.values()))
    _refuse_another_network(record, cell, loaded)
    return TrainedTrial(record, measured, Path(folder) / measured.weights, loaded, cell)


def load(folder: str | Path, variant: str, *, seed: int | None = None, device: str = "cpu") -> SegModel:
    """The trained network of a variant, in evaluation mode; the arguments and errors are those of :func:`kept`.

    Images are normalised by :func:`bench.network.normalisation.normalise`, or are given to
    :func:`bench.training.inference.predict` as they are.
    """
    return kept(folder, variant, seed).network(torch.device(device))


def _refuse_another_network(record: Record, cell: Cell, loaded: Loaded) -> None:
    """Raise WeightsError if the code or the settings by which the weights were trained have changed since."""
    fingerprint = record.choices.fingerprint or ""
    now = key_of(cell, "quality", record.trial.seed, fingerprint, modules=loaded.modules)
    if now.text != record.planned_key:
        raise WeightsError(
            f"the study's {cell.name} is another one now than when {record.file_name} was made (its key was "
            f"{record.planned_key} and is {now.text}): these weights may mean something else in it. Check out the "
            "commit that the record names, or run the study again"
        )
