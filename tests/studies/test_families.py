"""The study of families with transformers itself, small and as a user runs it. Run by ``nox -s extras``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.study.source import load_study

pytestmark = pytest.mark.extras

STUDY = Path(__file__).parents[2] / "studies" / "families.py"


@pytest.mark.parametrize("architectures", [{"upernet", "segformer", "mask2former", "oneformer", "eomt"}])
@pytest.mark.parametrize("size", [None, "small"])
def test_each_size_has_the_families(size: str | None, architectures: set[str]) -> None:
    cells = load_study(STUDY, size).cells()
    assert len(cells) == 11
    assert {cell.variant.whole["architecture"] for cell in cells if cell.variant.whole is not None} == architectures


def test_every_family_is_trained_tested_counted_and_a_row_of_the_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.cli", "run", STUDY, "--size", "small", "--results", tmp_path]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    table = bench.results(tmp_path / "families")
    names = {cell.name for cell in load_study(STUDY, "small").cells()}
    for stage in ("quality", "cost"):
        rows = table[table["stage"] == stage]
        assert set(rows["variant"]) == names
        assert set(rows["outcome"]) == {"done"}
    costs = table[table["stage"] == "cost"]
    assert (costs["parameters"] > 0).all()
    assert (costs["macs"] > 0).all()
    page = (tmp_path / "families" / "report" / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in names)
    assert json.loads((tmp_path / "families" / "study.json").read_text(encoding="utf-8"))["size"] == "small"
