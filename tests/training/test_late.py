"""Losses that are read late are all read, in their order, at most two blocks behind."""

from __future__ import annotations

import pytest
import torch

from bench.training.late import DivergedError, LateLosses

CPU = torch.device("cpu")


def read(losses: list[float], every: int, behind: int) -> list[list[float]]:
    """The losses that are read at each iteration, and those that are read at the end."""
    late = LateLosses(CPU, every, behind=behind)
    given = [late.add(torch.tensor(loss)) for loss in losses]
    return [*given, late.rest()]


@pytest.mark.parametrize("every", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("behind", [0, 1])
@pytest.mark.parametrize("count", [1, 6, 7])
def test_all_losses_are_read_in_their_order_and_the_last_ones_at_the_end(every: int, behind: int, count: int) -> None:
    losses = [0.1 * index for index in range(count)]
    given = read(losses, every, behind)
    assert [value for values in given for value in values] == torch.tensor(losses).tolist()
    open_now = 0
    for values in given[:-1]:
        open_now += 1 - len(values)
        assert open_now <= every * (1 + behind)
    assert open_now == len(given[-1])


def test_a_block_is_read_when_the_next_one_is_sent() -> None:
    assert read([1.0, 2.0, 3.0, 4.0, 5.0], 2, 1) == [[], [], [], [1.0, 2.0], [], [3.0, 4.0, 5.0]]
    assert read([1.0, 2.0, 3.0], 2, 0) == [[], [1.0, 2.0], [], [3.0]]


def test_the_first_loss_that_is_no_number_is_named() -> None:
    losses = [1.0, 2.0, float("inf"), float("nan"), 5.0]
    for every in (1, 2, 5):
        with pytest.raises(DivergedError, match="the loss is inf at iteration 3"):
            read(losses, every, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_not_waited_for() -> None:
    late = LateLosses(torch.device("cuda"), 2)
    losses = torch.arange(9.0, device="cuda").unbind()
    late.add(losses[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        given = [late.add(loss) for loss in losses[1:8]]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [value for values in given for value in values] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [*late.add(losses[8]), *late.rest()] == [6.0, 7.0, 8.0]
