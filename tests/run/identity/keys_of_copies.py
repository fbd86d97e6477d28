"""A script: the keys of committed studies over copies of the package that were edited, one copy after the other.

Run as a file with the folder of the copy; the edits are JSON on standard input, the keys JSON on standard output.
An edit is ``[file, old text, new text]``; a file that does not exist yet is created from the new text.
"""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

STUDIES = (("positive_control", "quality", None), ("jpu_speed", "speed", "cpu"))
RULES = "bench.run.identity"


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path[0] = str(folder)
    copies = json.load(sys.stdin)
    keys = {}
    with mock.patch.object(ast, "parse", functools.cache(ast.parse)):  # most files are the same in all copies
        for name, edits in copies.items():
            keys[name] = _keys(folder, edits)
            gc.freeze()  # the syntax trees stay, so that none of them is looked through for garbage again
    json.dump(keys, sys.stdout)


def _keys(folder: Path, edits: list[list[str]]) -> dict[str, str]:
    """Study and trial -> key, over the copy with some edits, which are taken back afterwards."""
    before: dict[Path, str | None] = {}
    for file, old, new in edits:
        path = folder / file
        text = path.read_text(encoding="utf-8") if path.exists() else None
        before.setdefault(path, text)
        if text is not None and old not in text:
            raise ValueError(f"{file} does not have {old!r}")
        path.write_text(new if text is None else text.replace(old, new), encoding="utf-8")
    try:
        return _read()
    finally:
        for path, text in before.items():
            path.unlink() if text is None else path.write_text(text, encoding="utf-8")


def _read() -> dict[str, str]:
    for name in [each for each in sys.modules if each.partition(".")[0] in ("bench", "studies")]:
        if not name.startswith(RULES):  # what reads the copy is the same for all
            del sys.modules[name]
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    stages: Any = importlib.import_module("bench.run.stages")
    keys = {}
    for study_name, stage, size in STUDIES:
        module: Any = importlib.import_module(f"studies.{study_name}")
        study = module.STUDY if size is None else module.SIZES[size]
        named = {"modules": (module.__name__,)}
        if stage == "speed":
            for cell, other, setting in study.pairs():
                key = stages.identify(cell, stage, None, "data", against=other, setting=setting, **named)
                keys[f"{study_name} {cell.name} {setting.name}"] = key
        else:
            for cell in study.cells():
                keys[f"{study_name} {cell.name}"] = stages.identify(cell, stage, 0, "data", **named)
    return keys


if __name__ == "__main__":
    main()
