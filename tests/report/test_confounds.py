"""Which variants the audit compares, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.records import load
from bench.report import confounds

Plant = Callable[..., Path]
PLAIN = "attention=off, upsampling=dilated"
ATTENDED, BOTH = PLAIN.replace("off", "on"), "attention=on, upsampling=jpu"


def facts(attention: str, upsampling: str, head: str, macs: int) -> dict[str, Any]:
    """A network of two slots as an audit keeps it; the neck has all that upsampling changes."""
    slots = {
        slot: {"class": name, "choices": {}, "parameters": 9, "trainable": 9, "macs": count}
        for slot, name, count in (("head", head, macs), ("neck", upsampling, 5 * 10**9))
    }
    unset: dict[str, Any] = {"losses": [], "recipe": {}, "learning_rates": {}, "conventions": {}}
    return {"levels": {"attention": attention, "upsampling": upsampling}, "slots": slots, **unset}


def test_a_timed_variant_is_compared_with_the_other_side_of_its_comparison_planned_or_not(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)
    plan = json.loads((folder / "study.json").read_text())
    attended = {"attention": "on", "upsampling": "jpu"}
    cell = {"key": "s0", "stage": "speed", "seed": None, "excluded": None, "levels": attended}
    plan["cells"] = [{**cell, "variant": BOTH, "against": ATTENDED, "setting": {"height": 64, "width": 64}}]
    plan["stages"] = ["speed"]
    sides = {
        PLAIN: facts("off", "dilated", "Plain", 10**9),
        ATTENDED: facts("on", "dilated", "Attending", 2 * 10**9),
        BOTH: facts("on", "jpu", "Attending", 4 * 10**9),
    }
    about = {"attention": ["head"], "upsampling": ["neck"]}
    plan["audit"] = {"about": about, "touched": about, "input_px": [64, 64], "variants": sides}
    (folder / "study.json").write_text(json.dumps(plan))
    table = confounds.differences(load(folder)).set_index("Where")
    assert list(table["Kind"].sort_index()) == ["follows", "declared"]
    assert table.loc["head", "MACs (G)"] == "+2.00"
    assert set(table["Variant"]) == {f"attention=on + upsampling=jpu against {ATTENDED}"}
    assert confounds.confounded(load(folder)) == []
