"""The form of a prepared network, and the one-line error of a network that a runtime cannot run."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.parts import BenchError

Logits = Callable[[Tensor], Tensor]
"""A prepared network: image ``N 3 H W`` of the size that it was prepared for -> logits ``N K H W`` in float32."""


class PreparationError(BenchError, RuntimeError):
    """A network that a compiler or a runtime cannot prepare, such as one with an operator that it does not have."""


@contextlib.contextmanager
def preparing(what: str) -> Iterator[None]:
    """Inside the block, warnings of a compiler are not shown, and an error of it is one line that says ``what`` failed.

    Raises:
        PreparationError: in place of any error other than one that says that memory ran out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecations within torch and the packages, on every export
            yield
    except (MemoryError, torch.OutOfMemoryError, PreparationError):
        raise
    except Exception as error:  # each compiler has errors of its own, and their causes raise anything
        raise PreparationError(f"{what} failed: {first_line(error)}") from error


@contextlib.contextmanager
def compiled_throughout() -> Iterator[None]:
    """Inside the block, torch.compile refuses a network that it would otherwise run partly by eager torch.

    That is one with a function that needs more graphs than torch's limit of them: without this block, torch writes a
    warning and calls the function as it is, and the time would be one of neither mode.

    Raises:
        PreparationError: for such a network.
    """
    # Takes a second to import. The names of torch 2.6, which later ones have as aliases.
    from torch._dynamo import config
    from torch._dynamo.exc import FailOnRecompileLimitHit

    try:
        with config.patch(fail_on_cache_limit_hit=True):
            yield
    except FailOnRecompileLimitHit as error:
        raise PreparationError(
            f"torch.compile needs more than {config.cache_size_limit} graphs for one function of this network, and "
            "would run that function uncompiled: the time would be neither that of the mode nor that of eager torch"
        ) from error


def first_line(error: BaseException) -> str:
    """The innermost cause of an error in one line of at most :data:`LONGEST` characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


LONGEST = 200
"""The most characters of another package's message that an error repeats."""
