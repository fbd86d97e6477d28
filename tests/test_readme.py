"""The README's commands are the ones that CI runs, and its example component and study are real."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.report.page.page import write_report
from bench.run.check import check_cells
from bench.run.environment import Machine
from bench.run.plan import make_plan
from bench.run.resources import here
from bench.run.trial import run
from bench.study.published.rows import Published, matching, rows
from bench.study.source import Source, load, load_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_both_commands_are_one_line_each_and_ci_runs_the_one_for_tests() -> None:
    quickstart, tests = (block.strip() for block in blocks("sh")[:2])
    assert "\n" not in quickstart + tests
    assert quickstart.endswith("bench run studies/quickstart.py")
    assert tests.endswith("nox -s tests")
    assert tests in (ROOT / ".ci" / "run").read_text()
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_the_picture_of_a_report_is_there() -> None:
    name = re.search(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert name is not None
    assert (ROOT / name[1]).read_bytes().startswith(b"\x89PNG")


def test_the_files_that_it_links_to_are_there() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_adding_the_readmes_neck_costs_its_class_and_one_line_in_a_study(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    component = next(block for block in blocks("python") if block.startswith("class Blur"))
    study = tiny_study()
    text = study.read_text()
    imports = "from typing import Literal\n\nfrom torch import Tensor, nn\n\nfrom bench.parts import Levels\n"
    new_level = '"blur": change(neck=part(Blur, window=5)), '
    text = text.replace("STUDY = Study(", f"{component}\n\nSTUDY = Study(").replace(
        '"on": change(', new_level + '"on": change('
    )
    study.write_text(imports + text)
    checked = {each.cell.name: each for each in check_cells(load_study(study), 9, 33, 41)}
    assert set(checked) == {"neck=off", "neck=blur", "neck=on"}
    assert checked["neck=blur"].output_shape == (1, 9, 33, 41)

    plan = make_plan(load(Source(str(study))), tmp_path / "results", here())
    plan.write("bench run tiny.py")
    for trial in plan.trials:
        if trial.variant == "neck=blur":
            assert run(trial, plan.folder, Machine("cpu", 1)).status == "done"
    page = write_report(plan.folder)
    assert "neck=blur" in page.read_text()
    table = pd.read_csv(page.parent / "data" / "variants.csv")
    blur = table[table["neck"] == "blur"].iloc[0]
    assert blur["macs"] > 0
    assert 0 <= blur["miou_mean"] <= 1


def test_the_readmes_study_is_one(tmp_path: Path) -> None:
    study = next(block for block in blocks("python") if block.startswith("STUDY"))
    names = (ROOT / "studies" / "components.py").read_text()
    statements = [node for node in ast.parse(names).body if isinstance(node, ast.ImportFrom)]
    imports = "".join(f"{ast.unparse(node)}\n" for node in statements)
    path = tmp_path / "jpu_width.py"
    path.write_text(imports + study)
    widths = [cell.variant.neck["width"] for cell in load_study(path).cells() if cell.variant.neck]
    assert widths == [512, 256, 128]


def test_the_readmes_published_numbers_are_counted_and_its_example_names_some(tmp_path: Path) -> None:
    told = re.search(r"(\d+) accuracies, (\d+) of training\s+memory, (\d+) speeds", README)
    assert told is not None
    assert [int(count) for count in told.groups()] == [len(rows(name)) for name in ("accuracy", "cost", "speed")]
    example = next(block for block in blocks("python") if block.startswith("published = ("))
    names: dict[str, object] = {"Published": Published}
    exec(example, names)
    [declared] = names["published"]  # type: ignore[misc]  # from text
    jpu = {**declared.settings, **declared.levels["upsampling=jpu"]}
    assert set(matching(declared.system, jpu)["value"]) == {"51.05", "42.75"}


def test_the_readmes_line_for_a_notebook_gives_the_table(
    tmp_path: Path, planted_results: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_results(tmp_path / "results" / "quickstart")
    monkeypatch.chdir(tmp_path)
    names: dict[str, pd.DataFrame] = {}
    exec(next(block for block in blocks("python") if block.startswith("import bench\n")), names)
    assert names["table"]["miou"].notna().sum() == 12
