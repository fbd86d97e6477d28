"""Every whole network as a user runs it: trained, tested, counted, timed, a row of the report (``nox -s extras``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.network.whole.families import FAMILIES

pytestmark = pytest.mark.extras

ROOT = Path(__file__).parents[3]

STUDY = """
from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import ControlScenes
from bench.network import SMP, SegmentationLoss, own_losses
from tests.network.whole.small import CONFIGS, network

UNET = part(SMP, architecture="Unet", encoder="resnet18")
WHOLES = {name: network(name) for name in CONFIGS}
STUDY = Study(
    name="wholes",
    question="Does every whole network run?",
    base=Variant(whole=UNET, losses=(part(SegmentationLoss),)),
    factors=(
        Factor(
            "network",
            {
                "smp-unet": change(),
                **{name: change(whole=each, losses=own_losses(each)) for name, each in WHOLES.items()},
            },
            about=("whole", "losses"),
        ),
    ),
    baseline={"network": "smp-unet"},
    recipe=Recipe(
        data=part(ControlScenes, train_images=8, val_images=2),
        crop_px=(64, 64), iterations=2, batch=2, learning_rate=0.001, latency_samples=5, latency_least_s=0.01,
    ),
    seeds=(0,),
)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wholes")
    (folder / "wholes.py").write_text(STUDY, encoding="utf-8")
    for arguments in (("check", folder / "wholes.py"), ("run", folder / "wholes.py", "--results", folder)):
        command = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "wholes"


@pytest.mark.parametrize("network", ["smp-unet", *FAMILIES])
def test_it_is_trained_tested_counted_timed_and_a_row_of_the_report(network: str, results: Path) -> None:
    table = bench.results(results)
    rows = table[table["variant"] == f"network={network}"]
    assert dict(zip(rows["stage"], rows["outcome"], strict=True)) == {"quality": "done", "cost": "done"}
    quality, cost = rows[rows["stage"] == "quality"].iloc[0], rows[rows["stage"] == "cost"].iloc[0]
    assert 0 <= quality["miou"] <= 1
    assert cost["parameters"] > 0
    assert cost["macs"] > 0
    assert cost["latency_s"] > 0
    assert f"network={network}" in (results / "report" / "index.html").read_text(encoding="utf-8")
