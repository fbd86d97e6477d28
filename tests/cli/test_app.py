"""The command line: help that a newcomer understands, exit statuses, and a mistake explained in one line."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.network.checkpoints.convert import LAYOUTS
from bench.network.model import SegModel
from bench.network.shapes_alone import shapes_alone
from bench.records.results import load
from bench.study.source import load_study

STUDIES = [
    path for path in sorted(Path(__file__).parents[2].joinpath("studies").glob("[a-z]*.py")) if path.stem != "families"
]
"""Every study but that of whole networks, which `nox -s extras` tests; its parts are those of the others."""


@pytest.mark.parametrize(
    "command", ["check", "plan", "run", "trial", "cost", "speed", "limits", "convert", "report", "compare", "export"]
)
def test_every_command_has_help_with_its_options_explained(
    bench: Callable[..., tuple[int, str, str]], command: str
) -> None:
    code, out, _ = bench(command, "--help")
    assert code == 0
    assert f"Usage: bench {command}" in out
    assert "a study file" in out.lower() or "results folder" in out


def test_help_lists_the_commands_in_the_order_in_which_they_are_used(
    bench: Callable[..., tuple[int, str, str]],
) -> None:
    listed = bench("--help")[1].partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.strip()] == [
        "check", "plan", "run", "tune", "explore", "trial", "rekey", "speed", "limits", "cost", "convert", "evaluate",
        "predict", "report", "compare", "export", "merge", "clean", "data",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["speed", "limits", "cost"])
def test_the_help_of_a_measurement_speaks_of_no_training(
    bench: Callable[..., tuple[int, str, str]], command: str
) -> None:
    out = " ".join(bench(command, "--help")[1].split())
    assert "0 to measure on the CPU" in out
    assert "trial that trains" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "no/such.py"), "no/such.py; expected the path of a Python file"),
        (("run", "studies/quickstart.py", "--seeds", "a,b"), "expected whole numbers"),
        (("run", "studies/quickstart.py", "--retry", "fialed"), "did you mean 'failed'"),
        (("run", "studies/quickstart.py", "--data", "synthetik"), "did you mean 'synthetic'"),
        (("run", "studies/quickstart.py", "--cpus", "100000"), "this machine has"),
        (("run", "studies/components.py", "--data", "/no/such/folder"), "/no/such/folder"),
        (("run", "studies/components.py", "--size", "tiny"), "no size 'tiny'; its SIZES: controls, headline, small"),
        (("trial", "studies/quickstart.py", "attention=onn"), "no level 'onn'"),
        (("trial", "studies/quickstart.py", "baseline", "--stage", "speed"), "no 'speed' trial"),
        (("report", "no/such/folder"), "no study.json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    bench: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.delenv("BENCH_CAMVID", raising=False)
    repository = Path(__file__).parents[2]
    absolute = [str(repository / argument) if argument.startswith("studies/") else argument for argument in arguments]
    if arguments[0] != "report" and arguments[0] != "check":
        absolute += ["--results", str(tmp_path)]
    code, out, err = bench(*absolute)
    assert code == 2, out + err
    assert message in err
    assert err.startswith("bench: ")
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.timm] if path.stem == "backbones" else []) for path in STUDIES],
    ids=lambda path: path.stem,
)
def test_every_study_that_ships_builds_in_every_cell_from_shapes_alone(
    bench: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.delenv("BENCH_CAMVID", raising=False)
    monkeypatch.setattr("bench.run.check.from_shapes", lambda build, compute: compute(shapes_alone(build)))
    code, out, err = bench("check", path)
    assert code == 0, out + err
    assert out.count("attention=") >= len(load_study(path).cells()) or path.stem not in ("quickstart", "components")


def test_check_prints_parameters_macs_and_shape(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path]
) -> None:
    code, out, _ = bench("check", tiny_study())
    assert code == 0
    assert "parameters (M)" in out
    assert "MACs (G)" in out
    assert out.count("1×9×32×32") == 2


def test_check_says_in_one_line_that_no_image_fills_the_crops(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study()
    study.write_text(study.read_text().replace("crop_px=(32, 32)", "crop_px=(64, 80)"))
    code, out, _ = bench("check", study)
    assert code == 0
    told = [line for line in out.splitlines() if "no crop of 64 × 80 pixels is filled" in line]
    assert len(told) == 1
    assert "of 32 × 32 is too small even at the largest scale of 2" in told[0]
    assert "is filled" not in bench("check", tiny_study("other"))[1]


def test_check_works_without_data_but_not_with_wrong_data(
    bench: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BENCH_CAMVID", raising=False)
    study = Path(__file__).parents[2] / "studies" / "components.py"
    code, out, _ = bench("check", study, "--size", "small")
    assert code == 0
    assert "Data not checked" in out
    code, _, err = bench("check", study, "--size", "small", "--data", tmp_path)
    assert code == 2
    assert str(tmp_path) in err


def test_a_neck_on_too_few_levels_is_a_line_of_its_cell_when_checked(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study()
    study.write_text(study.read_text().replace("backbone=choose(output_stride=32), ", ""))
    code, out, err = bench("check", study)
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].startswith("neck=on: JPU")


def test_trials_of_faulty_networks_are_recorded_as_failed_without_being_run(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    study = tiny_study("faulty")
    text = study.read_text()
    assert "STUDY = Study(" in text
    wrong = "class Wrong(FCNHead):\n    def forward(self, *rest, **more):\n        return nothing_here\n\n\n"
    study.write_text(text.replace("STUDY = Study(", f"{wrong}STUDY = Study(").replace("part(FCNHead", "part(Wrong"))
    code, out, err = bench("plan", study, "--results", tmp_path / "results")
    assert (code, err) == (1, "")
    assert "The time" not in out
    code, out, err = bench("run", study, "--results", tmp_path / "results", "--seeds", "0")
    assert (code, err) == (1, "")
    told = [line for line in out.splitlines() if line.startswith("neck=")]
    assert [line.partition(": ")[0] for line in told] == ["neck=off", "neck=on"]
    assert all("name 'nothing_here' is not defined" in line for line in told)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/tiny/records").glob("*.json")]
    assert len(records) == 4
    assert {record["outcome"]["status"] for record in records} == {"failed"}
    assert all("NameError" in record["outcome"]["reason"] for record in records)
    assert (tmp_path / "results/tiny/report/index.html").exists()


def test_plan_lists_trials_and_a_time(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    code, out, _ = bench("plan", tiny_study(), "--results", tmp_path / "results")
    assert code == 0
    assert out.count("missing") == 6
    assert "0 of 6 trials done, 6 to run" in out
    assert "rough" in out
    assert not (tmp_path / "results").exists()


def test_one_trial_runs_in_this_process_and_counts_like_any_other(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    study, results = tiny_study(), tmp_path / "results"
    assert bench("trial", study, "neck=on", "--seed", "1", "--results", results)[0] == 0
    assert bench("trial", study, "baseline", "--stage", "cost", "--results", results)[0] == 0
    assert bench("trial", study, "baseline", "--no-pictures", "--results", results)[0] == 0
    assert len(list((results / "tiny" / "artifacts").glob("*.predictions.zip"))) == 1
    assert len(list((results / "tiny" / "pictures").iterdir())) == 1
    out = bench("plan", study, "--results", results)[1]
    assert "3 of 6 trials done" in out
    code, out, _ = bench("report", results / "tiny")
    assert code == 0
    assert "index.html" in out
    assert list(load(results / "tiny").frame()["status"]).count("done") == 3


BLOCKED = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "ray", "fvcore", "optuna"):
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Absent())
from bench.cli.app import main

sys.argv = ["bench", "report", sys.argv[1]]
main()
"""


def test_a_report_needs_neither_torch_nor_ray(planted_results: Callable[..., Path], tmp_path: Path) -> None:
    folder = planted_results(tmp_path / "planted")
    done = subprocess.run([sys.executable, "-c", BLOCKED, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "report" / "index.html").exists()


def test_convert_writes_our_tensors_and_names_what_it_dropped(
    bench: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    study = Path(__file__).parents[2] / "studies" / "danet_attention.py"
    variant = load_study(study).cell("attention=both,supervised=three").variant
    ours = SegModel(variant, 11, seed=1).state_dict()
    names = LAYOUTS["danet"]({"head.conv5a.0.weight"})
    theirs = {str(names.source_name(name)): tensor for name, tensor in ours.items()}
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in theirs.items()}}, tmp_path / "danet.pth")
    out = tmp_path / "ours.pth"
    code, _, err = bench("convert", tmp_path / "danet.pth", study, "attention=both,supervised=three", out)
    assert code == 0, err
    written = torch.load(out, weights_only=True)
    assert set(written) == set(ours)
    assert all(torch.equal(written[name], ours[name]) for name in ours)

    theirs["head.surplus.weight"] = torch.zeros(1)
    torch.save(theirs, tmp_path / "danet.pth")
    code, _, err = bench("convert", tmp_path / "danet.pth", study, "attention=both,supervised=three", out)
    assert code == 2
    assert "head.surplus.weight" in err


def test_cost_takes_a_variant_apart_and_writes_what_it_prints(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    code, out, _ = bench(
        "cost", tiny_study(), "neck=on", "--px", "32x32", "--px", "64x64", "--forwards", "1", "--results", tmp_path
    )
    assert code == 0
    assert all(word in out for word in ("network", "backbone", "neck", "MACs ~ px^", "neck=on at 1×3×64×64"))
    assert len(list((tmp_path / "tiny" / "attribution").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("neck=of",), "did you mean 'off'"), (("baseline", "--px", "64"), "expected HEIGHTxWIDTH")],
)
def test_cost_explains_a_variant_or_size_that_is_none(
    bench: Callable[..., tuple[int, str, str]],
    tiny_study: Callable[..., Path],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    code, _, err = bench("cost", tiny_study(), *arguments)
    assert code == 2
    assert message in err


def test_a_user_without_home_or_entry_gets_both_before_ray_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli.trials import running

    def nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    running.need_a_home()
    assert Path.home().is_dir()
    assert getpass.getuser() == str(os.getuid())


def test_a_name_beyond_ascii_is_understood_in_a_locale_that_has_none(tmp_path: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli.app", "report", tmp_path / "tiöny"],
        env=environment, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{tmp_path}/tiöny has no study.json" in done.stderr.replace("\\xf6", "ö")


def test_a_name_that_is_no_text_is_refused_before_anything_is_done(bench: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = bench("run", "st\udcfcdy.py")
    assert (code, out) == (2, "")
    assert err == "bench: st\\udcfcdy.py: this name is not UTF-8, so no record can hold it; rename the file or folder\n"


def test_a_text_that_the_locale_cannot_write_is_one_line(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        "tiö→ny".encode("latin-1")

    monkeypatch.setattr("bench.cli.trials.planning.source", refuse)
    code, out, err = bench("plan", tiny_study())
    assert (code, out) == (2, "")
    assert err == "bench: 'tiö→ny': the locale's encoding latin-1 lacks '→'; set the variable PYTHONUTF8=1\n"
