"""Batches that a GPU gets on a stream of its own, while it computes the step before on its usual stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

import torch
from torch import Tensor

from bench.training.augment.batches import Batch

Pair = tuple[Tensor, Tensor]


def prefetched(
    made: Iterable[Batch], finish: Callable[[Batch], Pair], device: torch.device
) -> Generator[Pair, None, None]:
    """Yield the images and labels of the batches, to be used on the stream of the device that is current now.

    A batch is copied and finished on the second stream, and the next one is begun before a batch is handed out: so its
    copy and its augmentation run while the step computes. An event lets the step wait, on the device alone, for its own
    batch. The memory of a batch is given away again only after the step that used it. An error of ``made`` is therefore
    raised one batch early.

    Args:
        made: the batches, in pinned memory.
        finish: finishes a batch on the device; it draws no random numbers of the device.
        device: a CUDA device.
    """
    current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)

    def begun(batch: Batch) -> tuple[Pair, torch.cuda.Event]:
        with torch.cuda.stream(side):
            pair = finish(batch.to(device))
            return pair, side.record_event()

    batches = iter(made)
    first = next(batches, None)
    ahead = None if first is None else begun(first)
    while ahead is not None:
        pair, ready = ahead
        following = next(batches, None)
        ahead = None if following is None else begun(following)
        current.wait_event(ready)
        for tensor in pair:
            tensor.record_stream(current)
        yield pair
