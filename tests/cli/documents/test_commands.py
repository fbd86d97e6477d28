"""Every command that prints a result gives it as a document too, alone on standard output, and ends as without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli.documents.data import CacheDocument, DataDocument
from bench.cli.documents.networks import CheckDocument, CostDocument
from bench.cli.documents.results import (
    CleanDocument,
    CompareDocument,
    ExportDocument,
    ReportDocument,
    TableDocument,
)
from bench.cli.documents.trials import RunDocument

Bench = Callable[..., tuple[int, str, str]]


def asked(bench: Bench, *arguments: str | Path, status: int = 0) -> str:
    """The only line that a command prints on standard output."""
    code, out, _ = bench(*arguments, "--json")
    assert code == status
    (line,) = out.splitlines()
    return line


def test_check_tells_counts_by_slot_and_what_is_faulty(bench: Bench, tiny_study: Callable[..., Path]) -> None:
    told = CheckDocument.model_validate_json(asked(bench, "check", tiny_study()))
    assert [variant.variant for variant in told.variants] == ["neck=off", "neck=on"]
    assert told.faulty == []
    assert told.input_px == [32, 32]
    assert told.variants[1].parameters["neck"] > 0
    assert told.variants[0].output_shape[2:] == [32, 32]


def test_a_run_tells_every_trial_with_its_reason_and_record(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_study()
    broken = "class Broken:\n    def __init__(self):\n        pass\n\n\n"
    text = path.read_text().replace("part(FCNHead, width=8)", "part(Broken)").replace("STUDY = ", f"{broken}STUDY = ")
    path.write_text(text)
    told = RunDocument.model_validate_json(asked(bench, "run", path, "--results", tmp_path / "results", status=1))
    assert (told.complete, told.stopped_by, told.ran) == (False, None, 0)
    assert {(trial.outcome, trial.stage) for trial in told.trials} == {("failed", "quality"), ("failed", "cost")}
    assert [trial.reason for trial in told.trials if "Broken.__init__() takes" not in str(trial.reason)] == []
    assert [trial.record for trial in told.trials if not Path(str(trial.record)).exists()] == []
    assert told.report is not None
    assert Path(told.report).exists()
    command = json.loads((tmp_path / "results/tiny/study.json").read_text())["command"]
    assert "--json" not in command, "the form of the output is no part of what was run"


def test_results_are_documents(bench: Bench, planted_results: Callable[..., Path], tmp_path: Path) -> None:
    folder, other = planted_results(tmp_path / "planted"), planted_results(tmp_path / "other")
    report = ReportDocument.model_validate_json(asked(bench, "report", folder))
    assert Path(report.page).exists()
    table = TableDocument.model_validate_json(asked(bench, "report", folder, "--table", "ablation"))
    _, out, _ = bench("report", folder, "--table", "ablation", "--format", "json")
    assert table.rows == json.loads(out)
    compared = CompareDocument.model_validate_json(asked(bench, "compare", folder, other))
    assert compared.worse == []
    assert len(compared.quality) == 4
    exported = ExportDocument.model_validate_json(asked(bench, "export", folder))
    assert Path(exported.path).exists()


def test_clean_asks_nothing_and_removes_only_if_told(
    bench: Bench, planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = planted_results(tmp_path / "planted")
    nothing = CleanDocument.model_validate_json(asked(bench, "clean", folder))
    assert (nothing.kinds, nothing.removed) == ([], False)
    left = folder / "artifacts" / "nobody.npz"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"12345")
    listed = CleanDocument.model_validate_json(asked(bench, "clean", folder, status=1))
    assert (listed.removed, listed.kinds[0].size_bytes, listed.kinds[0].files) == (False, 5, [str(left)])
    assert left.exists()
    assert CleanDocument.model_validate_json(asked(bench, "clean", folder, "--yes")).removed
    assert not left.exists()


def test_data_are_documents(bench: Bench, tmp_path: Path) -> None:
    data = DataDocument.model_validate_json(asked(bench, "data", "check", "synthetic"))
    assert data.splits[0].images > 0
    assert set(data.splits[0].pixels) == set(data.classes)
    cache = CacheDocument.model_validate_json(asked(bench, "data", "cache", "--cache", tmp_path / "cache"))
    assert (cache.folder, cache.samples) == (str(tmp_path / "cache"), 0)


def test_a_cost_names_the_files_that_were_written(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    line = asked(bench, "cost", tiny_study(), "baseline", "--px", "32x32", "--forwards", "0", "--results", tmp_path)
    told = CostDocument.model_validate_json(line)
    assert told.variant == "neck=off"
    assert told.written
    assert all(Path(path).exists() for path in told.written)


@pytest.mark.parametrize("form", [("--format", "csv"), ("--output", "file"), ("--methods",)])
def test_a_form_of_its_own_beside_json_is_refused(
    bench: Bench, planted_results: Callable[..., Path], tmp_path: Path, form: tuple[str, ...]
) -> None:
    code, out, err = bench("report", planted_results(tmp_path / "planted"), "--json", *form)
    assert (code, out) == (2, "")
    assert "--json" in err


def test_a_mistake_prints_no_document(bench: Bench, tmp_path: Path) -> None:
    code, out, err = bench("plan", tmp_path / "nothing.py", "--json")
    assert (code, out) == (2, "")
    assert err.startswith("bench: ")
