"""docs/architecture.md says what is so: the rooms and their imports, the words, the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import bench
from tests.test_imports import ROOMS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TABLES = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
ROOM_TABLE, WORD_TABLE, PLACE_TABLE = TABLES

PATHS = re.compile(r"`((?:\w+/)*\w+\.(?:py|json|html\.jinja)|(?:\w+/)+)`")
"""What the page writes as code and ends like a file or a folder."""
OUTSIDE = {"study.json"}


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in table.splitlines()[2:]]


def test_its_table_of_rooms_is_the_one_that_the_imports_are_tested_with() -> None:
    imports = {}
    for room, sentence, others in rows(ROOM_TABLE):
        assert len(sentence) > 20
        name = room.strip("`")
        imports[name] = set(ROOMS) - {name} if others == "every other room" else set(re.findall(r"`(\w+)`", others))
    assert imports == ROOMS


def test_each_room_stands_below_the_rooms_that_it_imports() -> None:
    above: set[str] = set()
    for room, _, _ in rows(ROOM_TABLE):
        assert ROOMS[room.strip("`")] <= above
        above.add(room.strip("`"))


def test_its_words_are_those_of_the_packages_docstring_and_each_stands_once() -> None:
    assert WORD_TABLE in (bench.__doc__ or "")
    words = [word for word, _ in rows(WORD_TABLE)]
    assert len(words) == len(set(words)) > 20


def test_the_files_and_folders_that_it_names_are_there() -> None:
    named = set(PATHS.findall(PAGE)) - OUTSIDE
    assert len(named) > 15
    places = [ROOT, ROOT / "bench", *(path for path in (ROOT / "bench").glob("*") if path.is_dir())]
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []


def test_a_missing_file_would_be_found() -> None:
    assert PATHS.findall("see `run/gone.py` and `measure/`, not `bench.data` or `--data`") == [
        "run/gone.py",
        "measure/",
    ]
    assert not (ROOT / "bench" / "run" / "gone.py").exists()
