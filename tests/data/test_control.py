"""Scenes of the positive control: what they promise of each class holds in every scene."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.base import DataError
from bench.data.control import BLOCK_PX, DISTANCE_PX, FENCE, LIT, NAMES, PLAIN, SKY, UNLIT, ControlScenes

SCENES = [ControlScenes(None).split("train")[index] for index in range(32)]


def test_every_class_is_in_every_pair_of_scenes_and_lamps_are_lit_where_the_sky_is_dark() -> None:
    for light, dark in zip(SCENES[::2], SCENES[1::2], strict=True):
        assert set(torch.cat([light.label, dark.label]).unique().tolist()) == set(range(len(NAMES)))
        assert light.image[:, light.label == SKY].min() > 170 > 80 > dark.image[:, dark.label == SKY].max()
        assert (light.label == UNLIT).any()
        assert not (light.label == LIT).any()
        assert (dark.label == LIT).any()
        assert not (dark.label == UNLIT).any()


def test_lamps_look_alike_and_are_as_far_from_the_sky_as_is_said() -> None:
    for scene in SCENES:
        lamp = (scene.label == LIT) | (scene.label == UNLIT)
        rows = torch.nonzero(lamp.any(1)).flatten()
        assert rows.min() - torch.nonzero((scene.label == SKY).any(1)).max() > DISTANCE_PX
    lit, unlit = (
        torch.cat([s.image[:, s.label == name].double() for s in SCENES], dim=1).mean(1) for name in (LIT, UNLIT)
    )
    assert (lit - unlit).abs().max() < 0.3  # of 20 standard errors' worth of pixels with noise of 3.7


def test_a_block_of_a_fence_has_the_mean_of_its_ground() -> None:
    """Noise apart, whose mean over all blocks of a scene is 0 to a fraction of a grey level."""
    for scene in SCENES:
        blocks = scene.image.double().unfold(1, BLOCK_PX, BLOCK_PX).unfold(2, BLOCK_PX, BLOCK_PX).mean((-1, -2))
        kinds = scene.label[::BLOCK_PX, ::BLOCK_PX]
        fence, plain = blocks[:, kinds == FENCE].mean(1), blocks[:, kinds == PLAIN].mean(1)
        assert (fence - plain).abs().max() < 0.6
        inside = scene.image[0][scene.label == FENCE].double()
        assert inside.std() > 55


def test_everything_lies_on_the_grid_of_blocks() -> None:
    for scene in SCENES:
        corners = scene.label[::BLOCK_PX, ::BLOCK_PX].repeat_interleave(BLOCK_PX, 0).repeat_interleave(BLOCK_PX, 1)
        assert torch.equal(corners, scene.label)


def test_scenes_depend_on_seed_split_and_index_alone() -> None:
    again = ControlScenes(None, train_images=5).split("train")[3]
    assert torch.equal(again.image, SCENES[3].image)
    assert not torch.equal(ControlScenes(None, seed=1).split("train")[3].image, SCENES[3].image)
    assert not torch.equal(ControlScenes(None).split("val")[3].image, SCENES[3].image)
    assert ControlScenes(None).fingerprint() != ControlScenes(None, seed=1).fingerprint()
    assert np.asarray(SCENES[0].image).dtype == np.uint8


def test_a_folder_is_refused(tmp_path: object) -> None:
    with pytest.raises(DataError, match="reads no files"):
        ControlScenes(tmp_path)
