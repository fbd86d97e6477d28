"""The components study from end to end on a small set in CamVid's layout: every cell trains, learns and is reported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.data.camvid import CamVid
from bench.measure.quality.confusion import confusion
from bench.protocol.scores import mean_iou
from bench.records.results import load

SHORTER = """
from studies.components import SIZES

STUDY = SIZES["small"].having(
    recipe=SIZES["small"].recipe.having(
        crop_px=(72, 96), scale=(0.8, 1.25), iterations=40, batch=8, eval_batch=8
    ),
    stages=("quality",),
)
"""


def prior_miou(folder: Path) -> float:
    """mIoU on val of the best guess that does not look at the image: each pixel's most frequent class in train."""
    data = CamVid(folder)
    train, val = data.split("train"), data.split("val")
    labels = torch.stack([train[i].label for i in range(len(train))])
    guess = torch.stack([(labels == each).sum(0) for each in range(len(data.classes))]).argmax(0).to(torch.uint8)
    total = sum(confusion(guess, val[i].label, len(data.classes)) for i in range(len(val)))
    assert isinstance(total, torch.Tensor)
    return mean_iou(total.tolist())


@pytest.mark.contract  # it takes two minutes of two cores
@pytest.mark.xdist_group("ray")  # one cluster at a time: each takes every core
def test_every_cell_learns_more_than_the_class_prior(camvid_like: Path, tmp_path: Path) -> None:
    study = tmp_path / "shorter.py"
    study.write_text(SHORTER)
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli.app", "run", study, "--data", camvid_like, "--results", tmp_path / "results"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = load(tmp_path / "results" / "components")
    frame = results.frame()
    assert list(frame["status"]) == ["done"] * 8
    assert frame["variant"].nunique() == 8
    assert (frame["miou"] > prior_miou(camvid_like)).all(), frame[["variant", "miou"]].to_string()
    for _, curve in results.curves().groupby("variant"):
        losses = curve.sort_values("iteration")["loss"].to_numpy()
        assert losses[-5:].mean() < 0.8 * losses[:5].mean()


def test_the_prior_of_the_real_camvid_is_the_known_one() -> None:
    folder = os.environ.get("BENCH_CAMVID")
    if not folder:
        pytest.skip("BENCH_CAMVID does not name a folder with CamVid")
    assert prior_miou(Path(folder)) == pytest.approx(0.167, abs=0.001)
