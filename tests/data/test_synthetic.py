"""The synthetic scenes: the same everywhere, void-framed, and undecidable without the cue that each class needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.base import IGNORE, DataError, Sample, SplitName
from bench.data.synthetic import Synthetic
from bench.parts import ChoiceError, part


def test_another_process_draws_the_same_scenes() -> None:
    code = "from pathlib import Path; from bench.data.synthetic import Synthetic; print(Synthetic(None).fingerprint())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == Synthetic(None).fingerprint()


def test_the_bytes_of_a_scene_are_those_of_the_first_release() -> None:
    """Integers only: another machine, numpy or Python that drew other scenes would make old records incomparable."""
    assert Synthetic(None).fingerprint().startswith("841c64ffc4910323")


def test_a_scene_depends_on_its_index_and_not_on_what_was_drawn_before() -> None:
    first, again = Synthetic(None).split("train"), Synthetic(None, train_images=7).split("train")
    torch.manual_seed(1)
    later = [first[index] for index in (5, 3, 6)][1]
    assert torch.equal(later.image, again[3].image)
    assert torch.equal(later.label, again[3].label)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"height_px": 72}, {"val_images": 47}])
def test_the_fingerprint_tells_every_choice_apart(changed: dict[str, int]) -> None:
    assert Synthetic(None, **changed).fingerprint() != Synthetic(None).fingerprint()


def test_splits_and_seeds_share_no_scene() -> None:
    scenes = [Synthetic(None).split(name)[0] for name in ("train", "val", "test")]
    scenes.append(Synthetic(None, seed=1).split("train")[0])
    assert len({scene.image.numpy().tobytes() for scene in scenes}) == 4


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 47), (96, 32), (128, 512)])
def test_images_and_labels_have_the_size_asked_for_and_a_void_frame(height: int, width: int) -> None:
    scene = Synthetic(None, height_px=height, width_px=width).split("val")[0]
    assert (scene.image.shape, scene.image.dtype) == ((3, height, width), torch.uint8)
    assert (scene.label.shape, scene.label.dtype) == ((height, width), torch.uint8)
    frame = torch.ones(height, width, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    assert torch.equal(scene.label == IGNORE, frame)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_every_class_covers_at_least_one_percent_of_every_split(name: SplitName) -> None:
    data = Synthetic(None, train_images=48)
    counts = _counts(_all(data, name), len(data.classes))
    assert (counts / counts.sum() > 0.01).all(), dict(zip(data.classes, counts.tolist(), strict=True))


def test_no_class_covers_more_than_a_quarter_so_that_a_constant_answer_scores_low() -> None:
    data = Synthetic(None)
    counts = _counts(_all(data), len(data.classes))
    shares = counts / counts.sum()
    assert shares.max() < 0.25
    assert shares.max() / len(data.classes) < 0.03  # mIoU of the best constant answer


def test_the_sky_alone_decides_the_class_of_the_lamps() -> None:
    data = Synthetic(None)
    sky, lit, unlit = (data.classes.index(name) for name in ("sky", "lit", "unlit"))
    for scene in _all(data):
        brightness = float(scene.image.float().mean(0)[scene.label == sky].mean())
        present = {value for value in (lit, unlit) if bool((scene.label == value).any())}
        assert present <= {unlit if brightness > 128 else lit}


def test_at_least_a_third_of_the_height_lies_between_sky_and_lamps() -> None:
    data = Synthetic(None)
    sky, lit, unlit = (data.classes.index(name) for name in ("sky", "lit", "unlit"))
    for scene in _all(data):
        rows = torch.arange(64)[:, None].expand(64, 96)
        lamps = rows[(scene.label == lit) | (scene.label == unlit)]
        assert int(lamps.min()) - int(rows[scene.label == sky].max()) > 64 / 3


def test_the_three_grounds_have_one_mean_colour_and_lamps_one_distribution_of_colours() -> None:
    data = Synthetic(None, train_images=800)
    scenes = _all(data, "train")
    mean = {name: _mean_colour(scenes, data.classes.index(name)) for name in data.classes}
    assert torch.allclose(mean["rows"], mean["ground"], atol=4)
    assert torch.allclose(mean["columns"], mean["ground"], atol=4)
    assert torch.allclose(mean["lit"], mean["unlit"], atol=16)


def test_mirrored_scenes_keep_rows_and_columns_what_they_are() -> None:
    """The stripes of rows do not change along x, those of columns not along y, whichever way one looks."""
    data = Synthetic(None)
    for name, along in (("rows", 1), ("columns", 0)):
        across: list[torch.Tensor] = []
        same: list[torch.Tensor] = []
        for scene in _all(data):
            inside = scene.label == data.classes.index(name)
            for axis, found in ((along, same), (1 - along, across)):
                both = inside & inside.roll(1, axis)
                steps = (scene.image.float().mean(0) - scene.image.float().mean(0).roll(1, axis)).abs()
                found.append(steps[both])
        assert torch.cat(across).mean() > 2 * torch.cat(same).mean()


def test_checking_reports_that_all_is_done() -> None:
    seen: list[tuple[int, int]] = []
    Synthetic(None, train_images=3, val_images=2, test_images=1).check(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6)


def test_a_folder_is_refused() -> None:
    with pytest.raises(DataError, match=r"reads no files, but was given the folder data; write: --data synthetic"):
        Synthetic(Path("data"))


def test_an_image_too_small_for_the_scene_is_refused_when_the_study_is_imported() -> None:
    with pytest.raises(ChoiceError, match=r"height_px=16\): expected int ≥ 32, got 16"):
        part(Synthetic, height_px=16)


def _all(data: Synthetic, name: SplitName = "val") -> list[Sample]:
    split = data.split(name)
    return [split[index] for index in range(len(split))]


def _counts(scenes: list[Sample], classes: int) -> torch.Tensor:
    return torch.stack([torch.bincount(s.label.flatten().long(), minlength=256) for s in scenes]).sum(0)[:classes]


def _mean_colour(scenes: list[Sample], label: int) -> torch.Tensor:
    colours = [scene.image.numpy()[:, scene.label.numpy() == label] for scene in scenes]
    return torch.from_numpy(np.concatenate(colours, 1).mean(1))
