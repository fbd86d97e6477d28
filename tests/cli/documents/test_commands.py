"""Every command that prints a result gives it as a document too, alone on standard output, and ends as without."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cli.app import app
from bench.cli.commands.data import app as data_app
from bench.cli.documents.data import (
    CacheDocument,
    DataDocument,
    DescriptionDocument,
    EvictDocument,
    PrepareDocument,
    UnpackDocument,
)
from bench.cli.documents.networks import CheckDocument, CostDocument, LimitsDocument
from bench.cli.documents.results import (
    CleanDocument,
    CompareDocument,
    ExportDocument,
    MergeDocument,
    RekeyDocument,
    ReportDocument,
    TableDocument,
)
from bench.cli.documents.trials import RunDocument
from bench.records.files import read_json
from bench.run.limits import Attempt, Question
from tests.data.official.drawn import Drawer

ROOT = Path(__file__).parents[3]
Bench = Callable[..., tuple[int, str, str]]


def asked(bench: Bench, *arguments: str | Path, status: int = 0) -> str:
    """The only line that a command prints on standard output."""
    code, out, _ = bench(*arguments, "--json")
    assert code == status
    (line,) = out.splitlines()
    return line


def test_every_command_may_give_a_document() -> None:
    commands = [*app.registered_commands, *data_app.registered_commands]
    assert len(commands) > 20
    for command in commands:
        assert command.callback is not None
        assert "as_json" in inspect.signature(command.callback).parameters, command.callback.__name__


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


def drawn(folder: Path) -> Path:
    """A folder of one's own with images and label files."""
    for index in range(4):
        for kind, shape in (("images", (8, 8, 3)), ("labels", (8, 8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full(shape, index % 2, dtype=np.uint8)).save(folder / kind / f"{index}.png")
    return folder


def test_what_is_made_of_folders_of_images_are_documents(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = drawn(tmp_path / "own")
    first = DescriptionDocument.model_validate_json(asked(bench, "data", "init", own))
    assert first.folder == str(own)
    assert str(own / "classes.toml") in first.written
    assert first.guesses
    assert all(Path(path).exists() for path in first.written)

    def unpacked(source: str, folder: Path, **options: object) -> dict[str, int]:
        drawn(folder)
        return {"train": 3, "val": 1}

    monkeypatch.setattr("bench.data.own.hugging_face.unpack", unpacked)
    new = UnpackDocument.model_validate_json(asked(bench, "data", "unpack", "someone/streets", tmp_path / "new"))
    assert new.images == {"train": 3, "val": 1}
    assert new.description is not None
    assert new.description.guesses == first.guesses
    again = UnpackDocument.model_validate_json(asked(bench, "data", "unpack", "someone/streets", tmp_path / "new"))
    assert again.description is None, "the folder has one"

    city = tmp_path / "cityscapes"
    for split in ("train", "val", "test"):
        drawer = Drawer(seed=1)
        drawer.image(city / "leftImg8bit" / split / "bonn" / "bonn_000000_000019_leftImg8bit.png")
        drawer.label(city / "gtFine" / split / "bonn" / "bonn_000000_000019_gtFine_labelIds.png", range(34))
    for made, there in ((3, 0), (0, 3)):
        told = PrepareDocument.model_validate_json(asked(bench, "data", "prepare", "cityscapes", city))
        assert (told.folder, told.made, told.there) == (str(city), made, there)


def test_an_eviction_tells_what_it_removed(bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    told = EvictDocument.model_validate_json(asked(bench, "data", "evict", "--cache", cache))
    assert (told.folder, told.samples, told.size_bytes) == (str(cache), 0, 0)


def test_folders_that_are_merged_and_records_with_new_keys_are_documents(
    bench: Bench, planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    one, two = planted_results(tmp_path / "one"), planted_results(tmp_path / "two")
    (two / "attribution").mkdir()
    (two / "attribution" / "cost.json").write_text("of two")
    shutil.copytree(two / "attribution", one / "attribution")
    (one / "attribution" / "cost.json").write_text("of one")
    told = MergeDocument.model_validate_json(asked(bench, "merge", tmp_path / "all", one, two))
    count = len(list((one / "records").iterdir()))
    assert (told.folder, told.sources) == (str(tmp_path / "all"), [str(one), str(two)])
    assert (told.added, told.records) == (count, count)
    again = MergeDocument.model_validate_json(asked(bench, "merge", one, two))
    assert (again.added, again.records) == (0, count)
    assert again.left_out == [str(two / "attribution" / "cost.json")]

    folder = tmp_path / "positive_control"
    shutil.copytree(ROOT / "results" / "positive_control" / "records", folder / "records")
    plan = read_json(ROOT / "results" / "positive_control" / "study.json")
    (folder / "study.json").write_text(json.dumps(plan))
    for path in (folder / "records").iterdir():
        record = read_json(path)
        path.write_text(json.dumps({**{k: v for k, v in record.items() if k != "digest"}, "version": 1}))
    rekeyed = RekeyDocument.model_validate_json(asked(bench, "rekey", folder))
    assert (rekeyed.planned, rekeyed.records) == (len(plan["trials"]), 0)
    assert rekeyed.digests == len(list((folder / "records").iterdir()))
    assert (rekeyed.untouched, rekeyed.differences) == ([], [])


def test_limits_tell_every_attempt(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(question: Question, size: int) -> Attempt:
        return Attempt(size, size <= 2, 2**20 * size if size <= 2 else None)

    monkeypatch.setattr("bench.cli.timings.in_child", fit)
    line = asked(
        bench, "limits", tiny_study(), "neck=on", "--px", "32x32", "--memory-limit", "1GiB", "--results", tmp_path
    )
    told = LimitsDocument.model_validate_json(line)
    assert (told.variant, told.searched, told.largest) == ("neck=on", "batch", "32x32 batch 2")
    assert told.memory_limit_bytes == 2**30
    assert [(tried.size, tried.fits, tried.peak_bytes) for tried in told.attempts] == [
        (1, True, 2**20), (2, True, 2**21), (4, False, None), (3, False, None)
    ]  # fmt: skip
    assert Path(told.path).exists()


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
