"""The README and the pages of docs/: commands are the ones that CI runs, links lead somewhere, examples are real."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from bench.cli.app import app
from bench.data.camvid import CamVid
from bench.data.choose import parse_data
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.report.page.page import write_report
from bench.run.check import check_cells
from bench.run.environment import Machine
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.trial import run
from bench.study.published.rows import Published, matching, rows
from bench.study.source import Source, load, load_study
from bench.study.study import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
MOST_LINES = {"README.md": 180, "architecture.md": 80}


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a language in a page."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(path: Path, text: str) -> list[str]:
    """The relative links of a page that lead to no file, or to no heading of a Markdown file."""
    dead = []
    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    return dead


def test_both_commands_are_one_line_each_and_ci_runs_the_one_for_tests() -> None:
    quickstart, tests = (block.strip() for block in blocks("sh")[:2])
    assert "\n" not in quickstart + tests
    assert quickstart.endswith("bench run studies/quickstart.py")
    assert tests.endswith("nox -s tests")
    assert tests in (ROOT / ".ci" / "run").read_text()
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_every_command_stands_in_the_readmes_table() -> None:
    table = README[README.index("## The commands at a glance") : README.index("## Write a study")]
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    commands += [str(group.name) for group in app.registered_groups]
    assert sorted(set(re.findall(r"^\| `bench (\w+)", table, re.MULTILINE))) == sorted(commands)


def options() -> dict[str, set[str]]:
    """Command -> its options, of a command in a group as in ``data check``."""
    pending, named = [("", get_command(app))], dict[str, set[str]]()
    while pending:
        name, command = pending.pop()
        if isinstance(command, TyperGroup):
            pending += [(f"{name} {inner}".strip(), command.commands[inner]) for inner in command.commands]
        else:
            named[name] = {"--help", *(word for given in command.params for word in given.opts + given.secondary_opts)}
    return named


def test_every_command_and_option_that_a_page_names_exists() -> None:
    known = options()
    for name, text in {"README.md": README, **PAGES}.items():
        ours = re.sub(
            r"`pip install[^`]*`|^python3 -m venv.*$|`(?:sha256sum|tensorboard|ray|sbatch) [^`]*`"
            r"|^ray .*$|^#SBATCH .*$",
            "",
            text,
            flags=re.MULTILINE,
        )
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", ours)) <= set().union(*known.values()), name
        for line in re.findall(r"(?:^|`|&& )bench ([^`\n#]+)", ours, re.MULTILINE):
            words = line.split()
            command = " ".join(words[:2] if words[0] == "data" else words[:1])
            if command != "data":
                assert {word for word in words if word.startswith("--")} <= known[command], line


def test_every_session_of_nox_and_every_file_that_a_page_names_exists() -> None:
    sessions = {node.name for node in ast.parse((ROOT / "noxfile.py").read_text()).body if hasattr(node, "name")}
    for name, text in {"README.md": README, **PAGES}.items():
        assert {named.replace("-", "_") for named in re.findall(r"nox -s ([\w-]+)", text)} <= sessions, name
        paths = re.findall(r"\b(?:studies|tests|bench|benchmarks)/[\w/-]+(?:\.\w+)?", text)
        assert [path for path in paths if not (ROOT / path).exists()] == [], name


@pytest.mark.parametrize("cls", [Recipe, Study])
def test_every_field_of_a_study_and_of_its_recipe_stands_in_the_documentation(cls: type) -> None:
    text = "\n".join(PAGES.values())
    names = [attribute.name for attribute in fields(cls) if attribute.init]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_the_picture_of_a_report_is_there() -> None:
    name = re.search(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert name is not None
    assert (ROOT / name[1]).read_bytes().startswith(b"\x89PNG")


def test_the_readme_and_the_architecture_stay_short() -> None:
    lines = {name: text.count("\n") for name, text in {"README.md": README, **PAGES}.items()}
    assert {name: lines[name] for name, most in MOST_LINES.items() if lines[name] > most} == {}


def test_the_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([^)#]+)", README))
    assert linked == set(PAGES)


def test_every_relative_link_leads_somewhere() -> None:
    pages = {ROOT / "README.md": README, **{ROOT / "docs" / name: text for name, text in PAGES.items()}}
    results = ROOT / "results" / "README.md"
    pages[results] = results.read_text(encoding="utf-8")
    assert {str(path.relative_to(ROOT)): dead for path, text in pages.items() if (dead := dead_links(path, text))} == {}


def test_a_link_to_no_file_and_one_to_no_heading_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One title\n")
    text = "[a](page.md) [b](page.md#one-title) [c](page.md#two) [d](gone.md) [e](#one-title) [f](https://example.org)"
    assert dead_links(page, text) == ["page.md#two", "gone.md"]


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
    checked = {each.cell.name: each for each in check_cells(load_study(study), lambda cell: 9, 33, 41)}
    assert set(checked) == {"neck=off", "neck=blur", "neck=on"}
    assert checked["neck=blur"].output_shape == (1, 9, 33, 41)

    plan = make_schedule(load(Source(str(study))), tmp_path / "results", here())
    write_plan(plan, "bench run tiny.py")
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


def test_the_description_of_a_folder_in_the_documentation_reads_a_folder(tmp_path: Path) -> None:
    example = next(block for block in blocks("toml", PAGES["studies.md"]))
    (tmp_path / "classes.toml").write_text(example, encoding="utf-8")
    for split in ("train", "val"):
        for kind, name, values in (("images", "photo.jpg", 200), ("masks", "photo_mask.png", 8)):
            path = tmp_path / kind / split / name
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((4, 6), values, dtype=np.uint8)).save(path)
    chosen, folder = parse_data(f"folder={tmp_path}", part(CamVid))
    data = chosen.build(folder)
    assert data.classes == ("road", "everything else")
    assert (data.split("val")[0].label == 0).all()


def test_the_readmes_commands_for_a_folder_are_commands(tmp_path: Path) -> None:
    lines = next(block for block in blocks("sh") if block.startswith("bench data init")).splitlines()
    runner = CliRunner()
    for line in lines:
        program, *words = shlex.split(line, comments=True)
        group = words[:2] if words[0] == "data" else words[:1]
        assert program == "bench"
        assert runner.invoke(app, [*group, "--help"]).exit_code == 0
        assert {word for word in words if word.startswith("--")} <= {"--data", "--size"}


def test_the_published_numbers_are_counted_and_its_example_names_some(tmp_path: Path) -> None:
    told = re.search(r"(\d+) accuracies, (\d+) of training\s+memory, (\d+) speeds", PAGES["studies.md"])
    assert told is not None
    assert [int(count) for count in told.groups()] == [len(rows(name)) for name in ("accuracy", "cost", "speed")]
    example = next(block for block in blocks("python", PAGES["studies.md"]) if block.startswith("published = ("))
    names: dict[str, object] = {"Published": Published}
    exec(example, names)
    [declared] = names["published"]
    jpu = {**declared.settings, **declared.levels["upsampling=jpu"]}
    assert set(matching(declared.system, jpu)["value"]) == {"51.05", "42.75"}


def test_the_line_for_a_notebook_gives_the_table(
    tmp_path: Path, planted_results: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_results(tmp_path / "results" / "quickstart")
    monkeypatch.chdir(tmp_path)
    names: dict[str, pd.DataFrame] = {}
    exec(next(block for block in blocks("python", PAGES["records.md"]) if block.startswith("import bench\n")), names)
    assert names["table"]["miou"].notna().sum() == 12
