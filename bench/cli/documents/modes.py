"""The JSON document of tests in execution modes (``modes``)."""

from __future__ import annotations

from typing import Literal

from bench.cli.documents.document import Document
from bench.cli.documents.trials import RunDocument
from bench.evidence.compare.modes import QualityInMode


class ModesDocument(Document):
    """Trained networks that were tested in execution modes (``bench evaluate --modes``).

    Attributes:
        folder: the results folder of the test by eager torch.
        complete: true if every network was tested in every mode.
        stopped_by: the signal that stopped the tests; null if they ended by themselves.
        variants: a :class:`~bench.evidence.compare.modes.QualityInMode` for each variant, mode and precision.
        runs: the runs of the tests, each with a results folder of its own.
    """

    document: Literal["modes"] = "modes"
    version: Literal[1] = 1
    folder: str
    complete: bool
    stopped_by: str | None
    variants: list[QualityInMode]
    runs: list[RunDocument]
