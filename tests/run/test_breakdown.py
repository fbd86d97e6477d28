"""``bench cost``: a table of what matters, files with everything, and sizes that make no sense refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from torch import Tensor

from bench.measure.cost.attribution import QUANTITIES, Growth
from bench.network.model import Variant
from bench.parts import ChoiceError, part
from bench.run.breakdown import Breakdown, SizeError, break_down, smaller_sizes
from bench.run.environment import Machine
from bench.study.source import load_study
from tests.measure.networks import WithUnusedHead

MACHINE = Machine("cpu", 1)
SIZES = [(32, 48), (64, 96)]


@pytest.fixture
def breakdown(tiny_study: Callable[..., Path]) -> Breakdown:
    cell = load_study(str(tiny_study())).cell("neck=on")
    return break_down(cell, 9, SIZES[::-1], MACHINE, depth=2, forwards=1, tell=lambda _: None)


def test_files_hold_every_module_at_every_size(breakdown: Breakdown, tmp_path: Path) -> None:
    paths = breakdown.write(tmp_path / "attribution", Path(__file__))
    assert [path.name for path in paths] == ["neck=on.json", "neck=on.modules.csv", "neck=on.growth.csv"]
    document, modules = json.loads(paths[0].read_text()), pd.read_csv(paths[1])
    assert len(modules) == len(document["modules"]) == len(breakdown.rows)
    assert set(zip(modules["height_px"], modules["width_px"], strict=True)) == set(SIZES)
    assert {"backbone", "neck", "head", "backbone.layer1"} <= set(modules["module"])
    assert len(pd.read_csv(paths[2])) == len(document["growth"]) == 4 * modules["module"].nunique()
    assert document["environment"]["threads"] == 1
    assert (document["batch"], document["training_batch"]) == (1, 4)
    unknown = [row for row in document["growth"] if row["exponent"] is None]
    assert unknown, "normalisation has no MACs, so their growth has no exponent"


def test_forwards_are_timed_in_the_recipes_precision_or_a_chosen_one(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    cell = load_study(str(tiny_study())).cell("neck=on")
    by_recipe = break_down(
        replace(cell, recipe=cell.recipe.having(precision="bfloat16")), 9, SIZES, MACHINE, depth=1, forwards=1,
        tell=lambda _: None,
    )  # fmt: skip
    document = json.loads(by_recipe.write(tmp_path, Path(__file__))[0].read_text())
    assert (document["precision"], document["memory_format"]) == ("bfloat16", "contiguous")
    conditions = {"precision": "tf32", "memory_format": "channels_last"}
    with pytest.raises(ChoiceError, match="'tf32' needs a CUDA device"):
        break_down(cell, 9, SIZES, MACHINE, depth=1, forwards=1, tell=lambda _: None, conditions=conditions)


def test_the_table_shows_the_largest_size_with_shares_of_the_whole_and_exponents(breakdown: Breakdown) -> None:
    heads, rows = breakdown.shown()
    assert heads[0] == "module"
    assert heads[-3:] == ["MACs ~ px^", "saved ~ px^", "time ~ px^"]
    assert all(len(row) == len(heads) for row in rows)
    whole = next(row for row in breakdown.rows if row.input_px == (64, 96))
    assert rows[0][:4] == ["network", f"{whole.parameters / 1e6:.4g}", f"{whole.macs / 1e9:.4g}", "100.0%"]
    slots = {row[0].strip(): row for row in rows if row[0].startswith("  ") and row[0][2] != " "}
    assert list(slots) == ["backbone", "neck", "head"]
    assert sum(float(row[3].rstrip("%")) for row in slots.values()) == pytest.approx(100, abs=0.2)


def test_without_timed_forwards_there_is_no_time_and_with_one_size_no_growth(tiny_study: Callable[..., Path]) -> None:
    cell = load_study(str(tiny_study())).cell("baseline")
    breakdown = break_down(cell, 9, [(32, 32)], MACHINE, depth=1, forwards=0, tell=lambda _: None)
    heads, rows = breakdown.shown()
    assert heads == ["module", "parameters (M)", "MACs (G)", "share", "saved (MiB, batch 4)", "share"]
    assert [row[0].strip() for row in rows] == ["network", "backbone", "head"]
    assert not breakdown.growth


def test_a_module_of_small_shares_is_in_the_files_alone(breakdown: Breakdown) -> None:
    tiny = replace(breakdown.rows[0], module="backbone.tiny", depth=2, input_px=(64, 96), parameters=1, macs=1)
    tiny = replace(tiny, saved_bytes=1, time_s=1e-9)
    exponents = [Growth("backbone.tiny", name, 1.0, 1.0) for name in QUANTITIES]
    fuller = replace(breakdown, rows=[*breakdown.rows, tiny], growth=[*breakdown.growth, *exponents])
    assert fuller.shown() == breakdown.shown()
    assert "backbone.tiny" in set(fuller.modules()["module"])


def test_sizes_of_equally_many_pixels_are_refused(tiny_study: Callable[..., Path]) -> None:
    cell = load_study(str(tiny_study())).cell("baseline")
    with pytest.raises(SizeError, match="32x64, 64x32: some have as many pixels"):
        break_down(cell, 9, [(32, 64), (64, 32)], MACHINE, depth=1, forwards=0, tell=lambda _: None)


def test_three_sizes_are_the_default() -> None:
    assert smaller_sizes((360, 480)) == [(180, 240), (270, 360), (360, 480)]
    assert smaller_sizes((16, 24)) == [(16, 16), (16, 18), (16, 24)]


def test_what_never_reaches_the_output_has_a_column_where_there_is_any(tiny_study: Callable[..., Path]) -> None:
    cell = load_study(str(tiny_study())).cell("baseline")
    unread = replace(cell, variant=Variant(whole=part(WithUnusedHead), losses=cell.variant.losses))
    breakdown = break_down(unread, 9, [(32, 32)], MACHINE, depth=2, forwards=0, tell=lambda _: None)
    heads, rows = breakdown.shown()
    wasted = {row[0].strip(): row[heads.index("of these unused (G)")] for row in rows}
    macs = f"{32 * 32 * 8 * 27 / 1e9:.4g}"
    assert wasted == {"network": macs, "whole": macs, "conv": "", "norm": "", "classifier": "", "auxiliary_head": macs}


class ReadsAValue(WithUnusedHead):
    """Cannot run on shapes alone, so that saved bytes of a batch are followed from few images."""

    def forward(self, image: Tensor) -> Tensor:
        logits = super().forward(image)
        return logits if logits.sum().item() < math.inf else -logits


def test_extrapolated_numbers_are_marked_and_say_how(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    cell = load_study(str(tiny_study())).cell("baseline")
    network = replace(cell, variant=Variant(whole=part(ReadsAValue), losses=cell.variant.losses))
    breakdown = break_down(network, 9, SIZES, MACHINE, depth=1, forwards=0, tell=lambda _: None)
    how = "extrapolated from batches of 2 and 3 images"
    expected = {"saved_bytes": {"32x48": how, "64x96": how}}
    assert breakdown.extrapolated() == expected
    heads, rows = breakdown.shown()
    assert rows[0][heads.index("saved (MiB, batch 4)")].startswith("≈ ")
    assert rows[0][heads.index("saved ~ px^")] == "≈ 1.00"
    assert "≈" not in rows[0][heads.index("MACs (G)")] + rows[0][heads.index("MACs ~ px^")]
    paths = breakdown.write(tmp_path, Path(__file__))
    assert json.loads(paths[0].read_text())["extrapolated"] == expected
    assert set(pd.read_csv(paths[1])["saved_bytes_extrapolated"]) == {how}
    followed = [replace(row, macs_extrapolated="extrapolated; 1% off") for row in breakdown.rows]
    heads, rows = replace(breakdown, rows=followed).shown()
    assert all(row[heads.index("MACs (G)")].startswith("≈ ") for row in rows)
