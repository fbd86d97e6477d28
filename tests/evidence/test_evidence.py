"""Every conclusion is drawn once, and whoever reads it leaves it as it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest

from bench.evidence import stats
from bench.evidence.evidence import Evidence, evidence_of
from bench.report.page.page import content, render

Plant = Callable[..., Path]
CONCLUSIONS = [name for name, value in vars(Evidence).items() if isinstance(value, cached_property)]


def test_a_conclusion_is_drawn_once(tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    first = {name: getattr(evidence, name) for name in CONCLUSIONS}
    assert {"labels", "effects", "variants", "class_effects", "speedups", "confounds", "published"} <= set(first)
    monkeypatch.setattr(stats, "holm", lambda p: pytest.fail("drawn again"))
    assert all(getattr(evidence, name) is value for name, value in first.items())
    with pytest.raises(pytest.fail.Exception, match="drawn again"):
        _ = Evidence(evidence.results).effects


def test_a_page_leaves_every_conclusion_as_it_was(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, boundary_px=(3, 9)))
    tables = {name: table for name in CONCLUSIONS if isinstance(table := getattr(evidence, name), pd.DataFrame)}
    before = {name: table.copy(deep=True) for name, table in tables.items()}
    render(evidence, content(tmp_path, evidence))
    assert len(before) >= 8
    for name, table in before.items():
        pd.testing.assert_frame_equal(tables[name], table)
