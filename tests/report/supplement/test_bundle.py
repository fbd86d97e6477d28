"""``bench export``: a bundle that stands by itself, is the same every time, and says nothing of this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from bench.cli import app
from bench.protocol.words import bytes_in_words
from bench.records.files import RecordError
from bench.records.record import read, write
from bench.records.results import frame, load
from bench.report.page.page import write_report
from bench.report.page.summary import commands
from bench.report.supplement import bundle
from bench.report.supplement.bundle import BundleError, Exported, export
from tests.report.planted_pictures import counted, plant_pictures

Plant = Callable[..., Path]
FACTORS = {"attention": ["off", "on"]}
SCORES = {"attention=off": [0.600, 0.620, 0.610], "attention=on": [0.650, "failed", None]}
COMMAND = "bench run /home/mallory/work/studies/planted.py --data /home/mallory/CamVid"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, planted_results: Plant) -> Path:
    """Results with a failed, a missing and a stale record, whose command and traceback have paths of a user."""
    results = tmp_path_factory.mktemp("results")
    made = planted_results(results / "planted", factors=FACTORS, scores=SCORES, plan={"command": COMMAND})
    path = made / "records" / "q1s1.aaaa1111.json"
    failed = read(path)
    trace = 'File "/home/mallory/work/x.py"\nOSError: /home/mallory/CamVid/val/7.png'
    write(failed.having(outcome={**failed.outcome.as_json(), "traceback": trace}), made / "records")
    write(read(made / "records" / "q0s0.aaaa1111.json").having(key="gone"), made / "records")
    (made / "artifacts").mkdir()
    np.savez(made / "artifacts" / "q0s0.npz", confusion=np.eye(3))
    (made / "logs").mkdir()
    (made / "logs" / "x.log").write_text("of mallory")
    return made


@pytest.fixture(scope="module")
def made(folder: Path) -> Exported:
    """Those results, exported once."""
    return export(folder)


@pytest.fixture
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page: what else is in a bundle does not need its second."""
    monkeypatch.setattr(bundle, "write_report", lambda folder: None)


def unpacked(archive: Path, target: Path) -> Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(target)
    [root] = target.iterdir()
    return root


def test_an_unpacked_bundle_gives_the_same_report(folder: Path, made: Exported, tmp_path: Path) -> None:
    assert made.path == folder.parent / "planted.zip"
    root = unpacked(made.path, tmp_path / "elsewhere")
    write_report(folder)
    shipped = {
        path: (root / "report" / path).read_bytes()
        for path in ("tables/ablation.md", "tables/ablation.csv", "tables/ablation.tex")
    }
    assert shipped == {path: (folder / "report" / path).read_bytes() for path in shipped}
    page = (root / "report" / "index.html").read_bytes()
    assert write_report(root).read_bytes() == page
    assert frame(root).equals(frame(folder))


def test_the_same_results_give_the_same_bytes(folder: Path, made: Exported, tmp_path: Path) -> None:
    assert export(folder, tmp_path / "again.zip").path.read_bytes() == made.path.read_bytes()
    with zipfile.ZipFile(made.path) as file:
        assert file.namelist() == sorted(file.namelist())
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_manifest_holds_for_every_file(made: Exported, tmp_path: Path) -> None:
    root = unpacked(made.path, tmp_path / "elsewhere")
    lines = dict(reversed(line.split("  ")) for line in (root / "MANIFEST").read_text().splitlines())
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert set(lines) == files - {"MANIFEST"}
    assert all(hashlib.sha256((root / file).read_bytes()).hexdigest() == digest for file, digest in lines.items())
    assert {"README.md", "CITATION.txt", "environment.txt", "commands.sh", "study.json", "report/index.html"} < files
    assert not any(file.startswith(("logs/", "artifacts/")) for file in files)
    assert subprocess.run(["sha256sum", "-c", "--quiet", "MANIFEST"], cwd=root, check=False).returncode == 0


def test_nothing_in_the_bundle_names_a_user_and_what_was_replaced_is_told(
    folder: Path, made: Exported, tmp_path: Path
) -> None:
    root = unpacked(made.path, tmp_path / "elsewhere")
    texts = {path: path.read_bytes().decode() for path in root.rglob("*") if path.is_file()}
    assert [path for path, text in texts.items() if "mallory" in text or str(folder) in text] == []
    plan = json.loads((root / "study.json").read_text())
    assert plan["command"] == 'bench run studies/planted.py --data "$DATA"'
    failed = read(root / "records" / "q1s1.aaaa1111.json")
    assert failed.outcome.traceback == 'File "…/x.py"\nOSError: $DATA/val/7.png'
    assert "records/q1s1.aaaa1111.json: 2 paths of the machine replaced ($DATA, …)." in made.notes
    assert (root / "records" / "q0s0.aaaa1111.json").read_bytes() == (
        folder / "records" / "q0s0.aaaa1111.json"
    ).read_bytes()


def test_failed_stale_and_missing_trials_are_in_it_and_listed(made: Exported, tmp_path: Path) -> None:
    root = unpacked(made.path, tmp_path / "elsewhere")
    assert "records/q1s1.aaaa1111.json: failed, quality of attention=on, seed 1." in made.notes
    assert any(note.startswith("records/gone.aaaa1111.json: stale") for note in made.notes)
    assert "1 of 8 planned trials have no record." in made.notes
    assert [record.key for record in load(root).stale] == ["gone"]
    readme = (root / "README.md").read_text()
    assert "failed, quality of attention=on, seed 1" in readme
    assert "`artifacts/`" not in readme


@pytest.mark.usefixtures("without_page")
def test_artifacts_go_along_when_asked_for(folder: Path, tmp_path: Path) -> None:
    root = unpacked(export(folder, tmp_path / "x.zip", artifacts=True).path, tmp_path / "elsewhere")
    assert (root / "artifacts" / "q0s0.npz").read_bytes() == (folder / "artifacts" / "q0s0.npz").read_bytes()
    assert "`artifacts/`" in (root / "README.md").read_text()


def test_without_artifacts_a_reader_is_told_what_is_left_out(made: Exported, folder: Path) -> None:
    size = bytes_in_words((folder / "artifacts" / "q0s0.npz").stat().st_size)
    assert (
        f"Left out: artifacts/ (1 file, {size}). Without it the report here has no table of images and no "
        "gallery; bench export --artifacts adds what is there." in made.notes
    )


def test_a_page_from_the_bundle_has_the_originals_gallery(tmp_path: Path, planted_results: Plant) -> None:
    wrong = {"attention=off": [[18], [17]], "attention=on": [[15], [14]]}
    scores = {variant: [counted(counts, 2).sum(0).tolist() for counts in seeds] for variant, seeds in wrong.items()}
    folder = planted_results(
        tmp_path / "own" / "x", factors=FACTORS, scores=scores, classes=("road", "sky"), stages=("quality",), images=1
    )
    plant_pictures(folder, wrong, ["frame"])
    write_report(folder)
    whole = unpacked(export(folder, tmp_path / "whole.zip", artifacts=True).path, tmp_path / "whole")
    assert (whole / "pictures" / "planted.npz").read_bytes() == (folder / "pictures" / "planted.npz").read_bytes()
    gallery = (folder / "report" / "data" / "gallery.csv").read_bytes()
    assert gallery.count(b"attention=on,") == 1
    assert (whole / "report" / "data" / "gallery.csv").read_bytes() == gallery
    page = (whole / "report" / "index.html").read_bytes()  # built from what is in the bundle
    assert page == (folder / "report" / "index.html").read_bytes()
    assert "`pictures/`" in (whole / "README.md").read_text()


@pytest.mark.usefixtures("without_page")
def test_pictures_that_are_left_out_are_told(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "own" / "x", factors=FACTORS, scores=SCORES, classes=("road", "sky"))
    plant_pictures(folder, {"attention=off": [[18], None, None], "attention=on": [None, None, None]}, ["frame"])
    bare = export(folder, tmp_path / "bare.zip")
    assert any(
        note.startswith("Left out: artifacts/ (2 files, ") and "pictures/ (1 file, " in note for note in bare.notes
    )
    assert not (unpacked(bare.path, tmp_path / "bare") / "pictures").exists()


def test_the_commands_are_a_script_from_clone_to_report(made: Exported, tmp_path: Path) -> None:
    root = unpacked(made.path, tmp_path / "elsewhere")
    script = (root / "commands.sh").read_text()
    assert subprocess.run(["bash", "-n", str(root / "commands.sh")], check=False).returncode == 0
    assert script.splitlines()[3:] == [
        ': "${REPOSITORY:?set it to the address of the repository that these results are from}"',
        ': "${DATA:?set it to the folder of the data set}"',
        'DATA="$(realpath "$DATA")"',
        'git clone "$REPOSITORY" source',
        "cd source",
        "git checkout c0ffee0c0ffee0",
        "python3 -m venv .venv",
        ".venv/bin/pip install -c constraints.txt -e .",
        '.venv/bin/bench run studies/planted.py --data "$DATA"',
        ".venv/bin/bench report results/planted",
    ]
    environment = (root / "environment.txt").read_text()
    assert environment.count("# trials: ") == 1
    assert "# trials: 2 cost, 6 quality\n" in environment
    assert "torch: 2.13.0\n" in environment
    assert "commit c0ffee0c0ffee0" in (root / "CITATION.txt").read_text()


@pytest.mark.usefixtures("without_page")
def test_the_script_reports_the_folder_that_the_run_makes_not_what_it_is_called_now(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path / "before", plan={"folder": "planted-small"})
    script = (unpacked(export(folder).path, tmp_path / "elsewhere") / "commands.sh").read_text()
    assert script.splitlines()[-1] == ".venv/bin/bench report results/planted-small"


@pytest.mark.parametrize(
    ("plan", "run", "report"),
    [
        ({"command": "bench run x.py --results out/mine"}, "run x.py --results out/mine", "out/mine/planted"),
        ({"command": "bench run x.py --results 'my out'"}, "run x.py --results 'my out'", "'my out/planted'"),
        ({"command": "bench run x.py --results=out", "folder": "a b"}, "run x.py --results=out", "'out/a b'"),
        ({"size": "small", "final": True}, "run studies/planted.py", "results/planted-small-final"),
    ],
)
@pytest.mark.usefixtures("without_page")
def test_page_and_script_report_the_folder_that_the_run_makes(
    tmp_path: Path, planted_results: Plant, plan: dict[str, Any], run: str, report: str
) -> None:
    folder = planted_results(tmp_path / "renamed", plan=plan)
    script = (unpacked(export(folder).path, tmp_path / "elsewhere") / "commands.sh").read_text()
    assert script.splitlines()[-2:] == [f".venv/bin/bench {run}", f".venv/bin/bench report {report}"]
    assert commands(load(folder))[-2:] == [f"bench {run}", f"bench report {report}"]


@pytest.mark.usefixtures("without_page")
def test_what_bench_cost_and_bench_limits_left_goes_along_without_paths(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "own" / "x")
    (folder / "attribution").mkdir()
    (folder / "attribution" / "baseline.csv").write_text("module,of\nhead,/home/mallory/x/head.py\n")
    (folder / "limits-batch-baseline.json").write_text('{"study": "/home/mallory/x/study.py", "largest": 8}')
    root = unpacked(export(folder).path, tmp_path / "elsewhere")
    assert (root / "attribution" / "baseline.csv").read_text() == "module,of\nhead,…/head.py\n"
    assert json.loads((root / "limits-batch-baseline.json").read_text()) == {"study": "…/study.py", "largest": 8}
    readme = (root / "README.md").read_text()
    assert "`limits-*.json`" in readme
    assert "`attribution/`" in readme
    assert "`study/`" not in readme


@pytest.mark.usefixtures("without_page")
def test_a_hostile_study_is_text_in_readme_and_script(tmp_path: Path, planted_results: Plant) -> None:
    hostile = "x\n# Big\n<script>alert(1)</script>\nrm -rf ~"
    more = {
        "name": "x # Big <script>alert(1)<script> $(touch gone)",
        "question": hostile,
        "command": "bench run studies/x.py '$(touch gone)'",
    }
    made = export(planted_results(tmp_path / "own" / "x", plan=more))
    root = unpacked(made.path, tmp_path / "elsewhere")
    readme, script = (root / "README.md").read_text(), (root / "commands.sh").read_text()
    assert "<script>" not in readme
    assert "\n# Big" not in readme + script
    assert "\nrm" not in script
    assert "'$(touch gone)'" in script


@pytest.mark.usefixtures("without_page")
def test_the_studys_source_is_that_of_the_recorded_commit(
    tmp_path: Path, planted_results: Plant, commit: Callable[..., str]
) -> None:
    repository = tmp_path / "repository"
    (repository / "studies").mkdir(parents=True)
    study = repository / "studies" / "planted.py"
    study.write_text("STUDY = 1\n")
    head = commit(repository)
    study.write_text("STUDY = 2\n")
    plan = {"command": f"bench run {study}", "created": {"commit": head, "dirty": False}}
    made = export(planted_results(tmp_path / "own" / "x", plan=plan))
    root = unpacked(made.path, tmp_path / "elsewhere")
    assert (root / "study" / "planted.py").read_text() == "STUDY = 1\n"
    assert not any("source is not included" in note for note in made.notes)


@pytest.mark.usefixtures("without_page")
def test_the_studys_own_modules_are_in_the_bundle_as_they_were_recorded(tmp_path: Path, planted_results: Plant) -> None:
    home = tmp_path / "home"
    (home / "studies" / "blocks").mkdir(parents=True)
    files = {
        "planted.py": "STUDY = 1\n",
        "helpers.py": "A = 1\n",
        "blocks/head.py": "B = 1\n",
        "../shared.py": "C = 1\n",
    }
    digests = {}
    for name, text in files.items():
        (home / "studies" / name).write_text(text)
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    (home / "studies" / "helpers.py").write_text("A = 2\n")
    plan = {"command": f"bench run {home / 'studies' / 'planted.py'}", "modules": digests}
    made = export(planted_results(tmp_path / "own" / "x", plan=plan))
    root = unpacked(made.path, tmp_path / "elsewhere")
    bundled = {path.relative_to(root / "study").as_posix(): path for path in (root / "study").rglob("*.py")}
    assert sorted(bundled) == ["shared.py", "studies/blocks/head.py", "studies/planted.py"]
    assert bundled["studies/planted.py"].read_text() == files["planted.py"]
    [note] = [note for note in made.notes if "not included" in note]
    assert note.startswith("The study's module helpers.py is not included: neither the study's folder nor git has")
    script = (root / "commands.sh").read_text()
    assert script.splitlines()[-3:-1] == [
        'export PYTHONPATH="$HERE"/study/studies:"$HERE"/study',
        '.venv/bin/bench run "$HERE"/study/studies/planted.py',
    ]


COMMANDS = (
    "run --address ray://user@head:10001",
    "run --address=auto",
    "run --timeout 60.5 --retry failed --retry=timed_out",
    "run --no-pictures --seeds 0,1 --final",
    "run --results /home/mallory/out --cpus 2 --gpus 0.5 --size small",
    "run --data camvid=/home/mallory/CamVid --pictures",
    "plan --seeds 0",
)


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_script_runs_commands_that_the_program_accepts_after_any_option(
    tmp_path: Path, planted_results: Plant, command: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "planted.py").write_text("STUDY = 1\n")
    digest = hashlib.sha256(b"STUDY = 1\n").hexdigest()
    plan = {"command": f"bench {command} {home / 'planted.py'}", "modules": {"planted.py": digest}, "folder": "planted"}
    root = unpacked(export(planted_results(tmp_path / "own" / "x", plan=plan)).path, tmp_path / "elsewhere")
    commands_run = executed_commands(root, tmp_path)
    assert [words[0] for words in commands_run] == ["run", "report"]
    for words in commands_run:
        assert "mallory" not in " ".join(words)
        parsed = get_command(app.app).make_context("bench", list(words))
        click_command = parsed.command.commands[words[0]]
        with click_command.make_context(words[0], list(words[1:])) as context:
            if words[0] == "run":
                assert context.params["study"].read_text() == "STUDY = 1\n"
    assert commands_run[1][1].endswith("/planted")


def executed_commands(root: Path, place: Path) -> list[list[str]]:
    """The arguments of every call of bench when the script of a bundle is executed, with stubs of git and pip."""
    repository, programs, log = place / "repository", place / "programs", place / "calls"
    (repository / ".venv" / "bin").mkdir(parents=True)
    programs.mkdir()
    stubs = {
        programs / "git": '[ "$1" = checkout ] || cp -r "$2" "$3"',
        programs / "python3": "true",
        repository / ".venv" / "bin" / "pip": "true",
        repository
        / ".venv"
        / "bin"
        / "bench": f'for word in "$@"; do printf "%s\\0" "$word"; done >> {log}; echo >> {log}',
    }
    for path, body in stubs.items():
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    (place / "CamVid").mkdir()
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin", "REPOSITORY": str(repository), "DATA": "CamVid", "RAY_ADDRESS": "auto",
    }  # fmt: skip
    subprocess.run(["bash", str(root / "commands.sh")], env=environment, cwd=place, check=True)
    return [line.split("\0")[:-1] for line in log.read_text().splitlines()]


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize(
    ("commit", "note"),
    [
        ("dead" * 10, "git has no planted.py of commit deaddeaddead"),
        (None, "no commit of it"),
        ("--output=gone", "no commit of it"),
    ],
)
def test_a_source_that_cannot_be_had_is_told(
    tmp_path: Path, planted_results: Plant, commit: str | None, note: str
) -> None:
    plan = {"created": {"commit": commit, "dirty": None}}
    made = export(planted_results(tmp_path / "own" / "x", plan=plan))
    assert note in made.notes[0]


def test_a_folder_without_a_study_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(RecordError, match=r"no study\.json"):
        export(tmp_path / "x")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


@pytest.mark.usefixtures("without_page")
def test_the_command_prints_what_a_reader_must_know(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "supplement.zip"
    monkeypatch.setattr(sys, "argv", ["bench", "export", str(folder), "--output", str(target)])
    with pytest.raises(SystemExit) as leaving:
        app.main()
    out = capsys.readouterr().out
    assert leaving.value.code in (0, None)
    assert "failed, quality of attention=on, seed 1." in out
    assert out.splitlines()[-1] == f"Written: {target}"
    assert zipfile.is_zipfile(target)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x/new.zip", "lies in the results folder itself"),
        ("x/records/new.zip", "lies in the results folder itself"),
        ("x/study.json", "is there already and is no zip file"),
        ("notes.txt", "is there already and is no zip file"),
        (".", "is a folder; name a zip file"),
    ],
)
def test_an_export_overwrites_nothing_but_a_zip_file_outside_of_the_results(
    tmp_path: Path, planted_results: Plant, name: str, message: str
) -> None:
    folder = planted_results(tmp_path / "x")
    (tmp_path / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(BundleError, match=message):
        export(folder, tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("without_page")
def test_a_folder_that_is_called_as_an_option_is_none_in_the_readme(tmp_path: Path, planted_results: Plant) -> None:
    made = export(planted_results(tmp_path / "own" / "-rf"))
    assert "    bench report ./-rf\n" in (unpacked(made.path, tmp_path / "elsewhere") / "README.md").read_text()


@pytest.mark.usefixtures("without_page")
def test_an_older_export_is_replaced(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x")
    first = export(folder).path.read_bytes()
    assert export(folder).path.read_bytes() == first


@pytest.mark.parametrize(
    ("file", "content"),
    [("limits-x.json", b"{"), ("limits-x.json", b"[" * 100_000), ("attribution/x.csv", b"of \xff")],
)
def test_a_damaged_file_is_named_and_nothing_is_written(
    tmp_path: Path, planted_results: Plant, file: str, content: bytes
) -> None:
    folder = planted_results(tmp_path / "x")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(content)
    with pytest.raises(RecordError, match=f"{Path(file).name} cannot be read .*; delete it, or move it out"):
        export(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_command_that_no_shell_reads_is_refused(tmp_path: Path, planted_results: Plant) -> None:
    with pytest.raises(RecordError, match=r"study\.json has a command that no shell reads \(No closing quotation\)"):
        export(planted_results(tmp_path / "x", plan={"command": "bench run 'x.py"}))


@pytest.mark.usefixtures("without_page")
def test_an_export_that_is_stopped_leaves_nothing(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted_results(tmp_path / "x")

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", stop)
    with pytest.raises(KeyboardInterrupt):
        export(folder)
    assert list(tmp_path.iterdir()) == [folder]
