"""Modules on the meta device, where tensors have shapes but no values, so that building and computing take no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from bench.parts import BenchError

Built = TypeVar("Built", bound=nn.Module)
Result = TypeVar("Result")


def shapes_alone(build: Callable[[], Built]) -> Built:
    """The module that ``build`` makes, on the meta device.

    A constructor that reads or copies values, as one that copies weights into its layers, cannot work there: such a
    module is built with values, and these are dropped.
    """
    try:
        with torch.device("meta"):
            return build()
    except BenchError:
        raise
    except Exception:  # noqa: BLE001 - code that reads values may raise anything without them; faulty code raises again
        with torch.random.fork_rng(devices=[]):  # the caller's stream of random numbers stays
            return build().to("meta")


def from_shapes(build: Callable[[], Built], compute: Callable[[Built], Result]) -> Result:
    """The result of ``compute`` for the module that ``build`` makes, from shapes alone wherever that is possible.

    A module whose forward reads values, or has an operator without a rule for shapes, is computed with values.
    """
    try:
        return compute(shapes_alone(build))
    except BenchError:
        raise
    except Exception:  # noqa: BLE001 - as above, for a forward: a faulty one raises again
        return compute(build())
