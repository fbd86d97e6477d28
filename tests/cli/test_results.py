"""Commands that read results: options that mean nothing, places that cannot be had, names that a terminal acts on."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cli import app

Plant = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, planted_results: Plant) -> Path:
    scores = {"attention=off": [0.60, 0.62], "attention=on": [0.65, 0.66]}
    return planted_results(tmp_path_factory.mktemp("own") / "x", factors={"attention": ["off", "on"]}, scores=scores)


def refused(done: tuple[int, str, str]) -> str:
    """The one line that a refused command says."""
    code, out, err = done
    assert (code, out) == (2, ""), err
    assert err.startswith("bench: ")
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--table", "main", "--methods"), "--table, --methods, --watch and --figures exclude each other"),
        (("--table", "main", "--watch"), "exclude each other; choose one"),
        (("--figures", "svg", "--watch"), "exclude each other; choose one"),
        (("--figures", "gif"), "--figures 'gif': expected one of svg, pdf, png"),
        (("--port", "0"), "--port is for --watch"),
        (("--columns", "miou"), "--columns is for --table"),
        (("--methods", "--columns", "miou"), "--columns is for --table"),
        (("--format", "csv"), "--format and --output are for --table or --methods"),
        (("--methods", "--format", "csv"), "--methods is written as markdown or latex, not as 'csv'"),
        (("--table", "Main"), "no table 'Main' (did you mean 'main'?)"),
        (("--table", "main", "--format", ""), "no format ''"),
        (("--table", "main", "--format", "docx"), "no format 'docx'"),
        (("--table", "main", "--columns", "Variant"), "has no column 'Variant' (did you mean 'variant'?)"),
        (("--table", "main", "--columns", ","), "has no column ''"),
    ],
)
def test_an_option_that_means_nothing_is_refused_before_anything_is_written(
    bench: Run, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(bench("report", folder, *arguments))
    assert not (folder / "report").exists()


def test_a_port_out_of_range_is_a_usage_error(bench: Run, folder: Path) -> None:
    code, out, err = bench("report", folder, "--watch", "--port", "99999")
    assert (code, out) == (2, "")
    assert "Invalid value for '--port'" in err


def test_a_column_named_twice_is_there_once(bench: Run, folder: Path) -> None:
    code, out, _ = bench("report", folder, "--table", "main", "--format", "csv", "--columns", "variant, variant ,miou")
    assert code == 0
    assert out.splitlines()[0].count("variant") == 1


def test_a_table_goes_into_a_new_folder_in_one_step(bench: Run, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "main.csv"
    assert bench("report", folder, "--table", "main", "--format", "csv", "--output", target)[:2] == (0, "")
    assert target.read_text() == bench("report", folder, "--table", "main", "--format", "csv")[1]
    assert list(target.parent.iterdir()) == [target]


Break = Callable[[Path], object]
IN_THE_WAY: list[tuple[str, Break]] = [
    ("report", lambda folder: (folder / "report").write_text("x")),
    ("report/tables/main.md", lambda folder: (folder / "report/tables/main.md").mkdir(parents=True)),
    ("report", lambda folder: os.symlink("/nowhere/at/all", folder / "report")),
    ("records/dead.json", lambda folder: os.symlink("/nowhere/at/all", folder / "records/dead.json")),
    ("records/x.json", lambda folder: (folder / "records/x.json").mkdir()),
    ("study.json", lambda folder: ((folder / "study.json").unlink(), (folder / "study.json").mkdir())),
]


@pytest.mark.parametrize(("path", "put"), IN_THE_WAY, ids=[path for path, _ in IN_THE_WAY])
def test_what_is_in_the_way_is_named_in_one_line(
    bench: Run, planted_results: Plant, tmp_path: Path, path: str, put: Break
) -> None:
    planted_results(tmp_path, factors={"a": ["x", "y"]}, scores={"a=x": [0.6], "a=y": [0.6]}, stages=("quality",))
    put(tmp_path)
    assert str(tmp_path / path) in refused(bench("report", tmp_path))
    assert not (tmp_path / "report" / "index.html").exists()
    assert not list(tmp_path.rglob("*.part"))


WRITING = {"main.csv": ("report", "--table", "main", "--format", "csv"), "all.zip": ("export",)}


@pytest.mark.parametrize("name", WRITING)
def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_file(
    bench: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    command, *options = WRITING[name]
    target = tmp_path / name
    sync = os.fsync  # an export writes its report into a temporary folder first, which is not full
    monkeypatch.setattr(os, "fsync", lambda handle: (full if str(tmp_path) in _name(handle) else sync)(handle))
    line = refused(bench(command, folder, *options, "--output", target))
    assert f"{target}: No space left on device" in line
    assert list(tmp_path.iterdir()) == []


def _name(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")


def test_a_file_that_cannot_be_made_is_named_and_not_its_temporary_one(
    bench: Run, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"{'x' * 250}.csv"
    line = refused(bench("report", folder, "--table", "main", "--format", "csv", "--output", target))
    assert f"bench: {target}: File name too long" in line


@pytest.mark.parametrize("command", ["report", "compare", "export"])
def test_an_output_that_is_a_folder_is_refused(bench: Run, folder: Path, tmp_path: Path, command: str) -> None:
    given: list[str | Path] = [folder, folder] if command == "compare" else [folder]
    more = ["--table", "main"] if command == "report" else []
    assert str(tmp_path) in refused(bench(command, *given, *more, "--output", tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no\nsuch", "\x1b[31mred", ":x: [bold]no[/bold]", "x" * 5000, ""])
@pytest.mark.parametrize("command", ["report", "export"])
def test_a_hostile_name_is_one_plain_line(
    bench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(bench(command, name))
    assert "\x1b" not in line
    assert name != ":x: [bold]no[/bold]" or name in line


def test_a_comparison_shows_no_control_character_of_a_record(
    bench: Run, planted_results: Plant, tmp_path: Path
) -> None:
    plan: dict[str, Any] = {"recipe": {"crop_px": [64, 64]}}
    factors, scores = {"a": ["x", "y"]}, {"a=x": [0.6], "a=y": [0.6]}
    one = planted_results(tmp_path / "one", factors=factors, scores=scores, plan=plan)
    other = planted_results(tmp_path / "other", factors=factors, scores=scores, plan={"question": "\x1b[31mred?"})
    code, out, _ = bench("compare", one, other)
    assert code == 0
    assert "\x1b" not in out
    assert "\\x1b[31mred?" in out


def test_an_output_that_lacks_a_character_has_an_escape(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["bench", "compare", str(folder), str(folder)])
    with pytest.raises(SystemExit) as leaving:
        app.main()
    sys.stdout.flush()
    assert leaving.value.code in (0, None)
    assert b"\\u0394" in content.getvalue(), "the capital delta of a difference"


def test_a_broken_plan_stops_before_the_page(bench: Run, planted_results: Plant, tmp_path: Path) -> None:
    plan = json.loads((planted_results(tmp_path) / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**plan, "stages": "quality"}))
    assert "stages: Input should be a valid list, got 'quality'" in refused(bench("report", tmp_path))
