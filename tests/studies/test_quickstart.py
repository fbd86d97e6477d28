"""The quickstart is short, its seeds are not those it was tuned on, and attention alone can tell its lamps apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.data.control import HEIGHT_PX, LAMPS_PX, NAMES, SKY_PX, WIDTH_PX
from bench.network.model import SegModel
from bench.study.source import load_study

PATH = Path(__file__).parents[2] / "studies" / "quickstart.py"
STUDY = load_study(PATH)
LEAST_TUNING_SEED = 100


def test_the_file_has_at_most_45_lines() -> None:
    assert len(PATH.read_text(encoding="utf-8").splitlines()) <= 45


def test_all_eight_combinations_of_three_factors_are_trained_and_costed() -> None:
    assert len(STUDY.cells()) == 8
    assert {"quality", "cost"} <= set(STUDY.stages)


def test_no_seed_that_it_ships_with_was_used_to_choose_its_recipe() -> None:
    assert max(STUDY.seeds) < LEAST_TUNING_SEED


@pytest.mark.parametrize("name", [cell.name for cell in STUDY.cells()])
def test_another_sky_changes_the_logits_of_lamps_with_attention_alone(name: str) -> None:
    torch.manual_seed(0)
    model = SegModel(STUDY.cell(name).variant, len(NAMES)).eval()
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("gamma"):
            torch.nn.init.constant_(parameter, 0.5)  # the attended features count from the first iteration on
    light_sky = torch.rand(1, 3, HEIGHT_PX, WIDTH_PX)
    dark_sky = light_sky.clone()
    dark_sky[:, :, :SKY_PX] -= 1
    with torch.no_grad():
        lamps_by_sky = [model(image).logits[:, :, LAMPS_PX:] for image in (light_sky, dark_sky)]
    assert torch.equal(*lamps_by_sky) != ("attention=on" in name)
