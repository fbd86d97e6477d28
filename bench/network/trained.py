"""The entrance to trained networks for notebooks; the run that keeps their weights makes them."""

from __future__ import annotations

from pathlib import Path

from bench.network.model import SegModel


def load(results: str | Path, variant: str, *, seed: int | None = None, device: str = "cpu") -> SegModel:
    """The trained network of a variant, in evaluation mode; see :func:`bench.run.keeping.weights.load`."""
    from bench.run.keeping import weights

    return weights.load(results, variant, seed=seed, device=device)
