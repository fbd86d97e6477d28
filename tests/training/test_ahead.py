"""Batches come in their order, the same for any number of threads, and no thread outlives them."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from itertools import islice

import pytest
import torch

from bench.data.synthetic import Synthetic
from bench.training.ahead import ahead
from bench.training.augment.plain import batches

WORKERS = [0, 1, 3]
DATA = Synthetic(None, height_px=40, width_px=48, train_images=7, val_images=4)


def made(iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch of an iteration."""
    stream = batches(
        DATA.split("train"), batch=3, crop_px=(32, 40), scale=(0.5, 2.0), flip=0.5, seed=4, start=iteration
    )
    return next(stream)


def late_if_even(number: int) -> int:
    time.sleep(0.01 * (number % 2 == 0))
    return number


@pytest.mark.parametrize("workers", WORKERS)
def test_batches_are_those_of_the_one_stream_from_the_start_and_after_a_resume(workers: int) -> None:
    stream = batches(DATA.split("train"), batch=3, crop_px=(32, 40), scale=(0.5, 2.0), flip=0.5, seed=4)
    expected = list(islice(stream, 9))
    for start in (0, 5):
        with closing(ahead(made, workers, start)) as given:
            for (image, label), batch in zip(expected[start:], given, strict=False):
                assert torch.equal(image, batch[0])
                assert torch.equal(label, batch[1])


@pytest.mark.parametrize("workers", WORKERS)
def test_the_order_is_kept_whichever_is_ready_first(workers: int) -> None:
    with closing(ahead(late_if_even, workers)) as given:
        assert list(islice(given, 20)) == list(range(20))


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_comes_at_its_turn(workers: int) -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("file 2 is damaged")
        return number

    given = ahead(make, workers)
    assert [next(given), next(given)] == [0, 1]
    with pytest.raises(ValueError, match="file 2 is damaged"):
        next(given)


@pytest.mark.parametrize("workers", WORKERS)
def test_threads_end_with_the_stream_and_go_no_further_than_one_batch_ahead_of_each(workers: int) -> None:
    started: list[int] = []
    before = threading.active_count()
    with closing(ahead(lambda number: started.append(number) or number, workers)) as given:
        assert list(islice(given, 3)) == [0, 1, 2]
    assert threading.active_count() == before
    assert len(started) <= 3 + workers + 1
