"""How a run handles its trials besides measuring them. No result depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CHECKPOINT_MINUTES = 5.0


@dataclass(frozen=True, kw_only=True)
class Handling:
    """The time limit of trials, and what is kept of them.

    Attributes:
        timeout_s: the seconds after which a trial is given up, checked between iterations; ``None`` for no limit.
        pictures: ``True`` if a quality trial keeps its predictions and thumbnails of the images, for the gallery.
        weights: ``True`` if a quality trial keeps the weights that it ends with.
        checkpoint_s: the least seconds between two states of a training that are kept, so that it goes on from there
            after an interruption; ``None`` to keep none.
        cache: the folder for decoded samples; ``None`` if every trial decodes them itself.
        trained_in: the results folder whose kept weights are tested in place of a training; ``None`` to train.
        gpu_share: the share of a GPU that each trial is given; below 1, other trials may have the rest.
        beside_others: ``True`` if other trials may run on the machine of a trial, and take of its memory.
        marker: the name of a file in the results folder, by which a node of a cluster knows that it sees that folder;
            ``None`` where there is no doubt.
    """

    timeout_s: float | None = None
    pictures: bool = True
    weights: bool = True
    checkpoint_s: float | None = 60 * CHECKPOINT_MINUTES
    cache: Path | None = None
    trained_in: Path | None = None
    gpu_share: float = 1.0
    beside_others: bool = False
    marker: str | None = None

    def as_values(self) -> dict[str, Any]:
        """Plain values, from which :meth:`of` makes the same handling in another process."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Handling:
        """The handling whose :meth:`as_values` these are."""
        folders = {name: values[name] and Path(values[name]) for name in ("cache", "trained_in")}
        return cls(**{**values, **folders})


USUAL = Handling()
"""How trials are handled where no option says otherwise."""
