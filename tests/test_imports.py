"""Imports point one way: each of the twelve rooms imports only the rooms that its row names. Read from the source."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = {
    "parts": set(),
    "protocol": {"parts"},
    "data": {"parts", "protocol"},
    "network": {"parts", "protocol", "data"},
    "records": {"parts", "protocol"},
    "training": {"parts", "protocol", "data", "network"},
    "study": {"parts", "protocol", "data", "network", "records"},
    "measure": {"parts", "protocol", "data", "network", "training"},
    "evidence": {"parts", "protocol", "records", "study"},
    "run": {"parts", "protocol", "data", "network", "records", "training", "study", "measure"},
    "report": {"parts", "protocol", "records", "study", "evidence"},
    "cli": {
        "parts", "protocol", "data", "network", "records", "training", "study", "measure", "evidence", "run", "report",
    },
}  # fmt: skip
"""Room of ``bench`` -> the rooms that it may import besides itself."""

ENTRANCES = {("bench.network.trained", "run")}
"""A module and a room that it must not import, except for one function that users look for there."""

SIBLINGS = ("backbones", "necks", "heads", "shape_streams", "losses", "whole")
"""Folders of ``bench.network`` that never import each other."""

WITHOUT_TORCH = (
    "bench.parts", "bench.protocol", "bench.records", "bench.evidence", "bench.report", "bench.study.audit",
    "bench.study.published", "bench.cli.app", "bench.cli.options", "bench.cli.commands", "bench.cli.comparison",
    "bench.run.identity", "bench.run.processes.worker", "bench.run.processes.stopping",
    "bench.run.processes.scratch",
)  # fmt: skip
"""Modules and folders that name torch nowhere."""

ONLY_IN = {
    "ray": tuple(
        f"bench.run.{name}" for name in ("execute", "processes.cluster", "processes.watch", "processes.worker")
    ),
    "optuna": tuple(
        f"bench.run.search.{name}" for name in ("arm", "exploring", "pruning", "rounds", "storage", "tuning")
    ),
}
"""Library -> the modules that import it: of Ray the driver's side and the workers', of Optuna the searches."""

MOST_MODULES = 12
"""Modules that one folder holds at most; ``__init__``, ``__main__`` and stubs are not counted."""

MOST_ENTRIES = 13
"""Modules and folders at the top of ``bench``."""


def imports_of(source: str, module: str) -> set[str]:
    """Full names that a module's source imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names.update(_names(node, module))
    return names


def _names(node: ast.AST, module: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = [module.rsplit(".", node.level)[0]] if node.level else []
        base = ".".join([*package, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)


def lies_in(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def violations(source: str, module: str) -> list[str]:
    """Every import of ``module`` that the direction of imports forbids."""
    _, room, *inner = module.split(".")
    wrong = []
    for name in sorted(imports_of(source, module)):
        head, _, rest = name.partition(".")
        other, *parts = rest.split(".")
        if (module, other) in ENTRANCES:
            continue
        if head == "bench" and other in ROOMS and other != room and other not in ROOMS[room]:
            wrong.append(f"{module} imports bench.{other}")
        elif head == "bench" and room == other == "network" and inner and parts:
            if inner[0] in SIBLINGS and parts[0] in SIBLINGS and inner[0] != parts[0]:
                wrong.append(f"{module} imports bench.network.{parts[0]}")
        elif head in ONLY_IN and module not in ONLY_IN[head]:
            wrong.append(f"{module} imports {head}")
        elif head == "torch" and lies_in(module, WITHOUT_TORCH):
            wrong.append(f"{module} imports torch")
        elif head in ("studies", "parity", "tests", "benchmarks"):
            wrong.append(f"{module} imports {name}")
    return wrong


def modules() -> list[tuple[str, Path]]:
    files = sorted(path for path in (ROOT / "bench").rglob("*.py") if path.name != "__init__.py")
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts), path) for path in files]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_one_way(module: str, path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module) == []


def test_every_module_lies_in_a_room() -> None:
    assert {name.split(".")[1] for name, _ in modules()} == set(ROOMS)


def test_the_rooms_form_no_circle() -> None:
    graphlib.TopologicalSorter(ROOMS).prepare()


def test_the_house_stays_small_enough_to_walk_through() -> None:
    files = [path for path in (ROOT / "bench").glob("*.py") if path.name != "__init__.py"]
    rooms = [path.parent for path in (ROOT / "bench").glob("*/__init__.py")]
    assert len(files) + len(rooms) <= MOST_ENTRIES
    folders = {path.parent for _, path in modules()}
    counts = {
        folder: len([path for path in folder.glob("*.py") if not path.name.startswith("__")]) for folder in folders
    }
    assert {str(folder.relative_to(ROOT)): count for folder, count in counts.items() if count > MOST_MODULES} == {}


def file_imports() -> dict[str, set[str]]:
    """Module -> the modules of ``bench`` that it imports when it is itself imported."""
    names = {name for name, _ in modules()}
    arrows: dict[str, set[str]] = {}
    for module, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {name for node in _executed(tree) for name in _names(node, module)}
        targets = {name if name in names else name.rpartition(".")[0] for name in imported}
        arrows[module] = (targets & names) - {module}
    return arrows


def _executed(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that importing a module executes, those under ``if TYPE_CHECKING`` left out."""
    return (node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))


def test_no_two_files_import_each_other_in_a_circle() -> None:
    graphlib.TopologicalSorter(file_imports()).prepare()


@pytest.mark.parametrize("folder", sorted((ROOT / "bench").rglob("__init__.py"))[1:], ids=str)
def test_packages_hold_no_code_but_lazy_exports(folder: Path) -> None:
    code = [node for node in ast.parse(folder.read_text(encoding="utf-8")).body if not isinstance(node, ast.Expr)]
    text = "\n".join(ast.unparse(node) for node in code)
    assert text in ("", LAZY)


LAZY = "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)"


def test_importing_bench_imports_nothing_of_it() -> None:
    script = "import sys; known = set(sys.modules); import bench; print(sorted(set(sys.modules) - known - {'bench'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [
        name for name in ast.literal_eval(done.stdout) if name.partition(".")[0] in ("bench", "pandas", "torch")
    ] == []


@pytest.mark.parametrize("package", ["bench", "bench.network"])
def test_everything_that_a_package_offers_is_there(package: str) -> None:
    script = (
        f"import {package} as p; missing = [n for n in p.__all__ if not hasattr(p, n)]; print(len(p.__all__), missing)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, missing = done.stdout.split(" ", 1)
    assert int(count) >= 9
    assert missing.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        (
            "bench.network.heads.fcn", "from bench.network.necks.jpu import JPU",
            "bench.network.heads.fcn imports bench.network.necks",
        ),
        ("bench.network.necks.jpu", "import bench.study.study", "bench.network.necks.jpu imports bench.study"),
        ("bench.data.base", "from bench import network", "bench.data.base imports bench.network"),
        ("bench.report.page.page", "import torch\nfrom bench import run", "bench.report.page.page imports bench.run"),
        ("bench.report.page.page", "import torch", "bench.report.page.page imports torch"),
        ("bench.run.trial", "import ray", "bench.run.trial imports ray"),
        ("bench.run.schedule", "def f():\n    from ray import tune", "bench.run.schedule imports ray"),
        ("bench.run.execute", "import optuna", "bench.run.execute imports optuna"),
        ("bench.training.loop", "from .. import study", "bench.training.loop imports bench.study"),
        (
            "bench.network.layers", "from studies.quickstart import STUDY",
            "bench.network.layers imports studies.quickstart.STUDY",
        ),
    ],
)  # fmt: skip
def test_a_forbidden_import_is_found(module: str, line: str, message: str) -> None:
    assert message in violations(line, module)


def test_the_command_line_starts_without_torch_and_ray() -> None:
    script = "import sys, bench.cli.app; print(sorted({'torch', 'ray', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
