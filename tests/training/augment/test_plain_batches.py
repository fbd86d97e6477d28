"""The training stream: the same batch for the same seed and iteration, and geometry that moves both alike."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE, Sample, Split
from bench.data.cache import Remembered
from bench.data.synthetic import Synthetic
from bench.network.normalisation import MEAN, STD, normalise
from bench.training.augment.plain import batches

PLAIN: dict[str, Any] = {"batch": 2, "crop_px": (16, 24), "scale": (1.0, 1.0), "flip": 0.0, "seed": 0}
LIVELY: dict[str, Any] = {
    "batch": 3, "crop_px": (40, 56), "scale": (0.5, 2.0), "flip": 0.5, "colour_jitter": 0.3, "seed": 7,
}  # fmt: skip


def scenes() -> Split:
    return Synthetic(None, train_images=10).split("train")


def numbered(count: int, size: tuple[int, int] = (16, 24)) -> Split:
    """Sample i has the label i everywhere."""
    return Remembered(
        count,
        lambda i: Sample(torch.full((3, *size), i, dtype=torch.uint8), torch.full(size, i, dtype=torch.uint8), str(i)),
    )


def ramp(height: int, width: int) -> Split:
    """One sample whose red is 4 y, whose green is 4 x, and whose label is y // 4 * 16 + x // 4."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([4 * y, 4 * x, torch.zeros_like(y)]).to(torch.uint8)
    return Remembered(1, lambda _: Sample(image, (y // 4 * 16 + x // 4).to(torch.uint8), "ramp"))


def take(split: Split, count: int, **options: Any) -> list[tuple[Tensor, Tensor]]:
    return list(itertools.islice(batches(split, **options), count))


def colours(image: Tensor) -> Tensor:
    """Back from normalised to 0 … 255."""
    return (image * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]) * 255


def digest(drawn: list[tuple[Tensor, Tensor]]) -> str:
    content = b"".join(image.numpy().tobytes() + label.numpy().tobytes() for image, label in drawn)
    return hashlib.sha256(content).hexdigest()


def test_a_stream_resumed_at_an_iteration_goes_on_as_if_never_stopped() -> None:
    whole = take(scenes(), 9, **LIVELY)
    assert digest(take(scenes(), 4, **LIVELY, start=5)) == digest(whole[5:])


def test_another_process_draws_the_same_batches() -> None:
    code = (
        "import itertools, hashlib; from bench.training.augment.plain import batches;"
        "from bench.data.synthetic import Synthetic;"
        f"d = itertools.islice(batches(Synthetic(None, train_images=10).split('train'), **{LIVELY!r}), 5);"
        "print(hashlib.sha256(b''.join(i.numpy().tobytes() + l.numpy().tobytes() for i, l in d)).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(take(scenes(), 5, **LIVELY))


def test_the_global_random_state_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    one = digest(take(scenes(), 3, **LIVELY))
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    torch.manual_seed(2)
    np.random.seed(2)
    assert digest(take(scenes(), 3, **LIVELY)) == one


def test_other_seeds_and_iterations_give_other_batches() -> None:
    drawn = take(scenes(), 6, **LIVELY) + take(scenes(), 6, **{**LIVELY, "seed": 8})
    assert len({digest([each]) for each in drawn}) == 12


def test_every_epoch_shows_each_sample_once_in_another_order() -> None:
    labels = torch.cat([label[:, 0, 0] for _, label in take(numbered(7), 21, **{**PLAIN, "batch": 2})])
    epochs = [labels[start : start + 7].tolist() for start in range(0, 42, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_a_batch_larger_than_the_split_shows_samples_again() -> None:
    [(_, label)] = take(numbered(3), 1, **{**PLAIN, "batch": 6})
    assert Counter(label[:, 0, 0].tolist()) == {0: 2, 1: 2, 2: 2}


def test_batches_are_normalised_float_images_and_int64_labels_with_void() -> None:
    for image, label in take(scenes(), 5, **LIVELY):
        assert (image.shape, image.dtype) == ((3, 3, 40, 56), torch.float32)
        assert (label.shape, label.dtype) == ((3, 40, 56), torch.int64)
        assert set(label.unique().tolist()) <= {*range(9), IGNORE}


def test_without_augmentation_a_whole_image_comes_out_bit_identical() -> None:
    split = scenes()
    [(image, label)] = take(split, 1, **{**PLAIN, "crop_px": (64, 96), "batch": 10})
    originals = {split[i].label.long().numpy().tobytes(): normalise(split[i].image) for i in range(10)}
    for each, its_label in zip(image, label, strict=True):
        assert torch.equal(each, originals[its_label.numpy().tobytes()])


def test_normalising_matches_the_hand_computed_values() -> None:
    image = torch.tensor([0, 255, 51], dtype=torch.uint8)[:, None, None]
    expected = torch.tensor([(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225])
    assert torch.allclose(normalise(image).flatten(), expected)
    assert torch.equal(normalise(torch.stack([image, image]))[1], normalise(image))


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_image_and_label_stay_on_each_other_at_every_scale(scale: float, flip: float) -> None:
    """The image says where each pixel comes from; the label must come from there too."""
    options = {**PLAIN, "crop_px": (20, 28), "scale": (scale, scale), "flip": flip, "batch": 1}
    for image, label in take(ramp(60, 62), 8, **options):
        red, green, _ = colours(image[0])
        y, x, known = red / 4, green / 4, label[0] != IGNORE
        assert known.all()
        # Half a source pixel apart at most: sampled at a centre, or between two of them.
        row, column = label[0] // 16, label[0] % 16
        for at, cell in ((y, row), (x, column)):
            assert (at > cell * 4 - 0.51).all()
            assert (at < cell * 4 + 3.51).all()
        assert abs(float(x[0, -1] - x[0, 0]) * (-1 if flip else 1) - 27 / scale) < 1.01
        assert abs(float(y[-1, 0] - y[0, 0]) - 19 / scale) < 1.01


def test_crops_come_from_everywhere_and_scales_from_the_whole_range() -> None:
    options = {**PLAIN, "crop_px": (16, 16), "scale": (0.5, 2.0), "batch": 200}
    [(image, _)] = take(ramp(60, 62), 1, **options)
    x = torch.stack([colours(each)[1] for each in image]) / 4
    assert x.min() < 1
    assert x.max() > 60
    scales = 15 / (x[:, 0, -1] - x[:, 0, 0])
    assert scales.min() < 0.55
    assert scales.max() > 1.8


def test_about_the_asked_share_is_flipped() -> None:
    [(image, _)] = take(ramp(60, 62), 1, **{**PLAIN, "batch": 400, "flip": 0.25})
    flipped = image[:, 1, 0, 0] > image[:, 1, 0, -1]
    assert 0.18 < float(flipped.float().mean()) < 0.32


def test_flipping_changes_nothing_else() -> None:
    [plain], [flipped] = take(scenes(), 1, **LIVELY | {"flip": 0.0}), take(scenes(), 1, **LIVELY | {"flip": 1.0})
    assert torch.equal(plain[0], flipped[0].flip(-1))
    assert torch.equal(plain[1], flipped[1].flip(-1))


def test_an_image_smaller_than_the_crop_is_padded_with_the_mean_colour_and_void() -> None:
    [(image, label)] = take(numbered(1, (10, 12)), 1, **{**PLAIN, "batch": 30, "crop_px": (16, 24)})
    padded = label == IGNORE
    assert (padded.flatten(1).sum(1) == 16 * 24 - 10 * 12).all()
    assert (image.permute(0, 2, 3, 1)[padded] == 0).all()
    assert torch.allclose(image.permute(0, 2, 3, 1)[~padded], normalise(torch.zeros(3, 1, 1)).flatten())
    assert len({each.numpy().tobytes() for each in padded}) > 10  # it lies anywhere in the crop


def test_one_side_may_be_padded_while_the_other_is_cut() -> None:
    [(_, label)] = take(numbered(1, (40, 10)), 1, **{**PLAIN, "crop_px": (16, 24)})
    assert ((label == 0).sum((1, 2)) == 16 * 10).all()


def test_colour_jitter_changes_the_image_within_its_bounds_and_never_the_label() -> None:
    plain = take(scenes(), 4, **LIVELY | {"colour_jitter": 0.0})
    jittered = take(scenes(), 4, **LIVELY)
    for (image, label), (other, same) in zip(plain, jittered, strict=True):
        assert torch.equal(label, same)
        assert (image - other).abs().mean() > 0.01
        values = torch.stack([colours(each) for each in other])
        assert values.min() > -0.01
        assert values.max() < 255.01


def test_jittered_grey_stays_grey() -> None:
    grey = Remembered(1, lambda _: Sample(torch.full((3, 8, 8), 100, dtype=torch.uint8), torch.zeros(8, 8), "grey"))
    [(image, _)] = take(grey, 1, **{**PLAIN, "crop_px": (8, 8), "batch": 20, "colour_jitter": 0.2})
    values = torch.stack([colours(each) for each in image])
    assert torch.allclose(values[:, 0], values[:, 1], atol=1e-3)
    assert 79.9 < values.min() < 90  # brightness alone moves a flat grey: 100 × (1 ± 0.2)
    assert 110 < values.max() < 120.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 0}, "batch is 0; it must be 1 or more"),
        ({"crop_px": (0, 8)}, r"crop_px is \(0, 8\); both sides must be 1 or more"),
        ({"scale": (2.0, 0.5)}, r"scale is \(2.0, 0.5\); it must be \(low, high\) with 0 < low"),
        ({"scale": (0.0, 1.0)}, r"it must be \(low, high\) with 0 < low"),
        ({"flip": 1.5}, "flip is 1.5; it must be a probability"),
        ({"colour_jitter": 1.0}, "colour_jitter is 1.0; it must be 0 or more and below 1"),
        ({"seed": -1}, "seed is -1 and start is 0; neither may be below 0"),
    ],
)
def test_arguments_out_of_range_are_refused_before_the_first_batch(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(scenes(), **{**PLAIN, **wrong})


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split is empty"):
        batches(numbered(0), **PLAIN)
