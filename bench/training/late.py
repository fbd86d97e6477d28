"""Losses that are read some iterations late, so that the host need not wait for the device at each step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor


class DivergedError(ArithmeticError):
    """A network whose loss, weights, running statistics or logits are no longer finite numbers."""


class LateLosses:
    """The losses of iterations, in blocks. A full block is sent to the host, and is read when the next one is full.

    Args:
        device: the device of the losses.
        every: the iterations of a block.
        done: the number of iterations before the first one.
        behind: the number of blocks that are on their way while the training goes on; by default one on a GPU, unless
            each iteration's loss is wanted, else none.
    """

    def __init__(self, device: torch.device, every: int, done: int = 0, behind: int | None = None) -> None:
        self._on_gpu = device.type == "cuda"
        self._every, self._behind = every, int(self._on_gpu and every > 1) if behind is None else behind
        self._open: list[Tensor] = []
        self._sent: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()
        self._read = done

    def add(self, loss: Tensor) -> list[float]:
        """Add the loss of the next iteration, a scalar without a gradient, and give those that are read at this time.

        Raises:
            DivergedError: if one of those that are read is not finite; it names the iteration.
        """
        self._open.append(loss)
        if len(self._open) == self._every:
            self._send()
        return self._receive(self._behind)

    def rest(self) -> list[float]:
        """Give all losses that were not read yet, in their order.

        Raises:
            DivergedError: if one of them is not finite; it names the iteration.
        """
        self._send()
        return self._receive(0)

    @contextmanager
    def diverging_first(self) -> Iterator[None]:
        """Inside the block, an error that follows from a divergence is raised as that divergence.

        Raises:
            DivergedError: in place of another error, if the loss was no longer finite before and was not read yet.
        """
        try:
            yield
        except DivergedError:
            raise
        except Exception:  # whatever a user's loss raises on numbers that are not finite; it is raised again
            with suppress(RuntimeError):  # the error of a device that gives no answer any more
                self.rest()
            raise

    def _send(self) -> None:
        if not self._open:
            return
        block, event = torch.stack(self._open), None
        self._open = []
        if self._on_gpu:
            host = torch.empty(block.shape, dtype=block.dtype, pin_memory=True)
            host.copy_(block, non_blocking=True)
            block, event = host, torch.cuda.Event()
            event.record()
        self._sent.append((block, event))

    def _receive(self, behind: int) -> list[float]:
        values: list[float] = []
        while len(self._sent) > behind:
            block, event = self._sent.popleft()
            if event is not None and not event.query():  # most are over, and a query does not wait
                event.synchronize()
            for value in block.tolist():
                self._read += 1
                if not math.isfinite(value):
                    raise DivergedError(
                        f"the loss is {value} at iteration {self._read}; lower the learning rate or clip gradients"
                    )
                values.append(value)
        return values
