"""A script that :mod:`~.rekey` runs over another source tree: keys by that tree's own rules and by the present ones.

It is run as a file, with the tree first on the path and the request on standard input; it imports the tree's package
and loads the present rules from the folder that this file lies in, under a name of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

RULES = "present_rules_of_identity"


def main() -> None:
    """Answer the request on standard input with JSON on standard output."""
    request = json.load(sys.stdin)
    sys.path[0] = request["tree"]
    answer = sys.stdout
    sys.stdout = sys.stderr  # what a study prints is no part of the answer
    json.dump(answered(request), answer)


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """The keys of every trial that a request lists.

    Args:
        request: ``tree``, the study's ``path``, ``size``, ``data``, ``final``; ``trials``, rows of a plan, each with
            the ``fingerprint`` of its data; ``knows_other_data``, whether levels that choose the data were followed;
            ``versions``, a dict of versions for each environment that records name.

    Returns:
        ``old``, a key for each trial; ``ignored_data``, for each trial whether its level chooses data that were not
        used; ``new``, for each environment a key for each trial; ``explained``, what went into the new ones;
        ``unnamed``, for each environment the distributions that it names no version of.
    """
    stages = _module("bench.run.stages", "bench.stages")
    study = _study(request)
    old, asked, ignored = [], [], []
    module = [name for name, loaded in sys.modules.items() if getattr(loaded, "__file__", None) == request["path"]]
    rules = _rules()
    for trial in request["trials"]:
        cell = study.cell(trial["variant"])
        against = study.cell(trial["against"]) if trial.get("against") else None
        setting = stages.Setting(**_tuples(trial["setting"])) if trial.get("setting") else None
        place = (cell, trial["stage"], trial["seed"], trial["fingerprint"])
        ignored.append(not request["knows_other_data"] and cell.recipe.data != study.recipe.data)
        processes = trial.get("processes", 1)
        together = {"processes": processes} if processes > 1 else {}  # an older source does not know of it
        old.append(stages.identify(*place, against=against, setting=setting, **together))
        asked.append(
            rules.key.Computation(
                stage=trial["stage"],
                function=stages.measure_quality_in_group if together else stages.STAGE_FUNCTIONS[trial["stage"]],
                variants=[side.variant for side in (cell, against) if side is not None],
                recipe=cell.recipe,
                seed=trial["seed"],
                data=trial["fingerprint"],
                setting=setting,
                irrelevant=frozenset(stages.IRRELEVANT[trial["stage"]]),
                modules=tuple(module),
                **together,
            )
        )
    variant, recipe = asked[0].variants[0], asked[0].recipe
    library = rules.library.Library(
        "bench",
        plain=(type(variant), type(recipe), stages.Setting, type(recipe.data)),
        reports=(stages.Event,),
        silent=request["silent"],
        observers=getattr(stages, "OBSERVERS", ()),
    )
    reader = rules.reader.Reader(library, getattr(stages, "PROVEN", ()))
    new, unnamed, explained = [], [], []
    for versions in request["versions"]:
        keys = rules.key.Keys(reader, versions)
        made = [keys.key(computation) for computation in asked]
        new.append([key.text for key in made])
        unnamed.append(sorted({name for key in made for name in key.versions if name not in keys.versions}))
        explained.append(rules.explained.packed(rules.explained.explained(key) for key in made))
    return {"old": old, "ignored_data": ignored, "new": new, "explained": explained, "unnamed": unnamed}


def _study(request: dict[str, Any]) -> Any:
    """The study as one run of it was planned, without its data."""
    load_study = _named("load_study", "bench.study.source", "bench.study")
    parse_data = _named("parse_data", "bench.data.choose")
    study = load_study(request["path"], request["size"])
    part, _ = parse_data(request["data"], study.recipe.data)
    changes: dict[str, Any] = {} if part == study.recipe.data else {"data": part}
    if request["final"]:
        changes["split"] = "test"
    return study.having(recipe=study.recipe.having(**changes)) if changes else study


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _rules() -> Any:
    """The package that this file lies in, under another name than its own."""
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        RULES, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[RULES] = package
    spec.loader.exec_module(package)
    for name in ("key", "library", "reader", "explained"):
        importlib.import_module(f"{RULES}.{name}")
    return package


def _module(*names: str) -> Any:
    """The first module of these that there is."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise ModuleNotFoundError(f"the tree has none of {', '.join(names)}")


def _named(name: str, *modules: str) -> Any:
    """A name of the first of some modules that has it."""
    for module in modules:
        try:
            return getattr(_module(module), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise ModuleNotFoundError(f"the tree has no {name} in {', '.join(modules)}")


if __name__ == "__main__":
    main()
