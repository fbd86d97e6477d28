"""Training and evaluation leave the device alone: how often they wait for it, and from which memory they copy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from bench.data.fed import FedDataset
from bench.measure.quality.evaluate import evaluate
from bench.network.model import SegModel, Variant
from bench.parts import Part, part
from bench.protocol.recipe import Recipe
from bench.run.keeping.curve import Curve
from bench.training.keeper import State
from bench.training.loop import READ_EVERY, train
from tests.measure.networks import PIXELWISE
from tests.null_cuda.device import GPU, Counted, counted
from tests.null_cuda.networks import CLASSES, PLAIN, READING, VARIANTS, CopyingLoss, ReadingLoss, recipe

SHORT, LONG = 2 * READ_EVERY, 4 * READ_EVERY
MOST_WAITS = 3
"""The synchronisations of the evaluation of one batch, at most."""


def training(variant: Variant, chosen: Recipe) -> Counted:
    """The counts of a whole training."""
    data = FedDataset(chosen.data.build(None), 2)
    with counted() as counts:
        train(SegModel(variant, CLASSES), data.split("train"), chosen, 0, device=GPU)
    return counts


def more_steps(variant: Variant, chosen: Recipe) -> Counted:
    """The counts of ``LONG - SHORT`` steps, without those of a training's beginning and end."""
    training(variant, chosen.having(iterations=SHORT))  # fills caches of memory and of libraries
    short, long = (training(variant, chosen.having(iterations=count)) for count in (SHORT, LONG))
    return Counted(long.synchronisations - short.synchronisations, 0, long.pageable_copies - short.pageable_copies)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
def test_a_training_step_waits_for_nothing_but_losses_read_late_and_copies_from_pinned_memory(
    variant: Variant, precision: str
) -> None:
    counts = more_steps(variant, recipe(precision=precision))
    assert counts.synchronisations <= (LONG - SHORT) // READ_EVERY  # the event of a block of losses, long over
    assert counts.pageable_copies == 0


@pytest.mark.parametrize(
    "choices", [{"clip_norm": 1.0}, {"accumulate": 2}, {"ema_decay": 0.9}, {"kernels": "deterministic"}], ids=str
)
def test_choices_of_the_recipe_make_no_step_wait(choices: dict[str, object]) -> None:
    counts = more_steps(PLAIN, recipe(**choices))
    assert counts.synchronisations <= (LONG - SHORT) // READ_EVERY
    assert counts.pageable_copies == 0


@pytest.mark.parametrize(("loss", "waits", "copies"), [(ReadingLoss, 20, 0), (CopyingLoss, 0, 20)])
def test_a_loss_that_reads_a_value_or_copies_from_usual_memory_is_seen(
    loss: type[nn.Module], waits: int, copies: int
) -> None:
    losses: tuple[Part[nn.Module], ...] = (part(loss),)
    counts = more_steps(replace(PLAIN, losses=losses), recipe())
    assert counts.synchronisations - (LONG - SHORT) // READ_EVERY <= waits <= counts.synchronisations + 2 * (not waits)
    assert counts.pageable_copies == copies


def evaluation(variant: Variant, images: int, chosen: Recipe) -> Counted:
    """The counts of the evaluation of a split."""
    data = chosen.data.having(val_images=images).build(None)
    with counted() as counts:
        evaluate(SegModel(variant, CLASSES), data.split("val"), chosen, device=GPU)
    return counts


def waits_of_a_batch(variant: Variant, chosen: Recipe) -> float:
    """The synchronisations for each further batch of an evaluation."""
    evaluation(variant, 4, chosen)  # fills caches of memory, for which the device is waited for
    few, many = (evaluation(variant, images, chosen) for images in (8, 16))
    return (many.synchronisations - few.synchronisations) / (8 / chosen.eval_batch)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize(
    "choices", [{}, {"test_flip": True, "test_scales": (0.75, 1.0), "eval_batch": 1}], ids=["whole", "by four views"]
)
def test_a_batch_of_an_evaluation_waits_three_times_at_most(variant: Variant, choices: dict[str, object]) -> None:
    assert waits_of_a_batch(variant, recipe(**choices)) <= MOST_WAITS


def test_a_network_that_waits_in_each_forward_of_an_evaluation_is_seen() -> None:
    assert waits_of_a_batch(READING, recipe()) == waits_of_a_batch(PIXELWISE, recipe()) + 1


def test_a_look_at_a_training_waits_no_more_often_for_more_images() -> None:
    def look(images: int) -> Counted:
        chosen = recipe()
        split = chosen.data.having(val_images=images).build(None).split("val")
        state = State({"model": SegModel(PLAIN, CLASSES).to(GPU)}, {}, None)
        with counted() as counts:
            Curve(split, chosen, GPU).look(state, 1)
        return counts

    look(4)  # fills caches of memory, for which the device is waited for
    few, many = look(8), look(16)
    assert (few.synchronisations, few.pageable_copies) == (many.synchronisations, many.pageable_copies)
