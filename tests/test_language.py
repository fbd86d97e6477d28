"""The language of docstrings: each begins with the thing that it is about, never with a phrase that leaves it out."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "benchmarks", "parity", "studies")
BEGINNINGS = ("Of ", "What ", "Whether ", "Where ", "In what ")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a file with their lines, including the texts under constants and fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value.strip()


def vague(path: Path) -> list[str]:
    """The docstrings of a file that leave out the noun, each with its place; questions are allowed."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for line, text in docstrings(path)
        if text.startswith(BEGINNINGS) and not text.splitlines()[0].endswith("?")
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_leaves_out_its_noun(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    places = [place for path in paths for place in vague(path)]

    assert not places, "name the thing first, such as 'The seconds …':\n" + "\n".join(places)


def test_a_docstring_without_a_noun_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""The seconds of a step."""\n\nSTART_S = 6.0\n"""Of a speed trial."""\n')
    monkeypatch.setitem(globals(), "ROOT", tmp_path)

    assert vague(path) == ["module.py:4: Of a speed trial."]


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted((ROOT / "bench").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
