"""Networks, which studies vary: their components, their composition, losses and weights."""

from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from bench.network.model import SegModel

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def load(results: str | Path, variant: str, *, seed: int | None = None, device: str = "cpu") -> "SegModel":
    """The trained network of a variant, in evaluation mode; see :func:`bench.run.keeping.weights.load`."""
    from bench.run.keeping.weights import load

    return load(results, variant, seed=seed, device=device)
