"""Imports point one way (design: parts and layers at the bottom, the command line on top). Checked from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Whoever stands left may import what stands right, within bench; a folder stands for everything in it.
ALLOWED = {
    "parts": set(),
    "layers": {"parts"},
    "state_files": {"parts"},
    "layouts": {"layouts"},
    "backbones": {"parts", "layers", "state_files", "layouts", "backbones"},
    "necks": {"parts", "layers", "necks"},
    "heads": {"parts", "layers"},
    "canny": set(),
    "shape_streams": {"parts", "layers", "canny"},
    "model": {"parts", "layers"},
    "recipe": {"parts"},
    "setting": {"parts", "recipe"},
    "data": {"parts", "layers", "data"},
    "boundaries": {"data"},
    "losses": {"parts", "layers", "model", "data", "boundaries"},
    "gscnn_losses": {"parts", "layers", "model", "data", "boundaries", "losses"},
    "dual_task": {"parts", "layers", "model", "data", "boundaries", "losses", "gscnn_losses"},
    "controls": {"parts", "layers", "model"},
    "checkpoints": {"parts", "model", "layouts", "state_files"},
    "parity": {
        "parts", "layers", "model", "data", "losses", "gscnn_losses", "dual_task", "boundaries", "canny", "checkpoints",
        "layouts", "state_files", "backbones", "necks", "heads", "shape_streams", "scores", "measure", "parity",
    },
    "training": {"parts", "model", "data", "recipe"},
    "inference": {"parts", "model", "data"},
    "scores": set(),
    "measure": {
        "parts", "layers", "model", "data", "recipe", "setting", "inference", "training", "scores", "measure",
    },
    "identity": set(),
    "columns": {"parts"},
    "derived": {"scores"},
    "schema": {"columns", "setting", "schema"},
    "store": {"parts", "schema"},
    "records": {"columns", "scores", "derived", "setting", "schema", "store"},
    "pictures": {"store"},
    "image_scores": {"store"},
    "stats": set(),
    "signed_ranks": {"stats"},
    "published": {"parts"},
    "speedups": {"columns", "derived", "store", "records", "stats", "signed_ranks"},
    "frames": {"parts", "schema", "store", "records", "speedups"},
    "audit": set(),
    "sides": {"store", "records"},
    "changes": {"store", "sides"},
    "two_samples": {"stats", "signed_ranks"},
    "speed_comparison": {"store", "setting", "stats", "signed_ranks", "sides", "two_samples"},
    "completeness": {"setting", "store", "sides"},
    "comparison": {
        "columns", "derived", "store", "stats", "sides", "changes", "completeness", "two_samples", "speed_comparison",
    },
    "report": {
        "parts", "columns", "derived", "store", "records", "setting", "stats", "signed_ranks", "speedups", "audit",
        "published", "comparison", "scores", "pictures", "image_scores", "terminal", "report",
    },
    "terminal": set(),
    "comparison_commands": {"parts", "store", "sides", "comparison", "report", "terminal"},
    "redaction": set(),
    "bundle_texts": {"store", "records", "report"},
    "bundle": {"parts", "store", "records", "redaction", "bundle_texts", "report"},
    "environment": {"identity"},
    "factors": {"parts", "model", "recipe", "columns"},
    "cells": {"model", "recipe"},
    "study": {"parts", "model", "recipe", "setting", "cells", "factors", "published"},
    "check": {"parts", "layers", "model", "measure", "factors", "cells", "study", "training"},
    "stages": {"parts", "model", "data", "recipe", "setting", "cells", "study", "training", "measure", "identity"},
    "trial": {
        "parts", "data", "store", "pictures", "study", "training", "environment", "stages", "measure",
    },
    "plan": {
        "parts", "model", "store", "cells", "study", "training", "environment", "stages", "trial", "check", "measure",
    },
    "estimate": {"parts", "model", "setting", "cells", "study", "training", "plan", "measure"},
    "execute": {"parts", "store", "setting", "study", "environment", "stages", "trial", "plan"},
    "display": {"store", "study", "stages"},
    "breakdown": {"parts", "model", "measure", "store", "cells", "study", "environment"},
    "commands": {
        "parts", "store", "report", "factors", "study", "trial", "plan", "execute", "display", "estimate",
    },
    "network_commands": {
        "audit", "data", "study", "check", "checkpoints", "trial", "plan", "display", "breakdown", "commands",
    },
    "limits": {"parts", "model", "setting", "measure", "study", "environment", "trial"},
    "timing_commands": {
        "parts", "store", "records", "recipe", "setting", "factors", "study", "environment", "trial", "plan", "display",
        "speedups", "limits", "commands", "report",
    },
    "report_cli": {"parts", "store", "records", "report", "comparison_commands", "bundle", "terminal"},
    "options": set(),
    "timing_cli": {"options", "commands", "network_commands", "timing_commands"},
    "cli": {"parts", "options", "commands", "network_commands", "timing_cli", "report_cli", "terminal"},
}  # fmt: skip
SIBLINGS = ("backbones", "necks", "heads", "shape_streams")
RAY_ONLY_IN = {"execute", "search"}
WITHOUT_TORCH = {
    "parts", "columns", "scores", "derived", "frames", "schema", "store", "records", "stats", "audit",
    "signed_ranks", "speedups",
    "pictures", "image_scores", "report", "report_cli", "options", "timing_cli", "cli", "identity", "recipe",
    "setting", "published", "sides", "changes", "completeness", "two_samples", "speed_comparison",
    "comparison", "comparison_commands", "redaction", "bundle_texts", "bundle", "terminal",
}  # fmt: skip


def imports_of(source: str, module: str) -> set[str]:
    """Full names that a module's source imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = [module.rsplit(".", node.level)[0]] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def violations(source: str, module: str) -> list[str]:
    """Every import of ``module`` that the direction of imports forbids."""
    own = module.split(".")[1]
    wrong = []
    for name in sorted(imports_of(source, module)):
        head, _, rest = name.partition(".")
        if head == "bench" and rest:
            other = rest.split(".")[0]
            known_module = (ROOT / "bench" / f"{other}.py").exists() or (ROOT / "bench" / other).is_dir()
            same_file = name.startswith(f"{module}.")
            if known_module and other not in ALLOWED[own] and not same_file:
                wrong.append(f"{module} imports bench.{other}")
        elif head in ("ray", "optuna") and own not in RAY_ONLY_IN:
            wrong.append(f"{module} imports {head}")
        elif head == "torch" and own in WITHOUT_TORCH:
            wrong.append(f"{module} imports torch")
        elif head == "studies":
            wrong.append(f"{module} imports {name}")
    return wrong


def modules() -> list[tuple[str, Path]]:
    files = sorted(path for path in (ROOT / "bench").rglob("*.py") if path.name != "__init__.py")
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts), path) for path in files]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_one_way(module: str, path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module) == []


def test_every_module_has_its_place_in_the_order() -> None:
    assert {name.split(".")[1] for name, _ in modules()} == set(ALLOWED)


def test_packages_hold_no_code_so_that_importing_one_module_imports_no_other() -> None:
    bodies = {path: ast.parse(path.read_text()).body for path in (ROOT / "bench").rglob("__init__.py")}
    own = bodies.pop(ROOT / "bench" / "__init__.py")
    assert [path for path, body in bodies.items() if any(not isinstance(node, ast.Expr) for node in body)] == []
    code = [ast.unparse(node).partition("\n")[0] for node in own if not isinstance(node, ast.Expr)]
    assert code == [
        "from __future__ import annotations",
        "from typing import TYPE_CHECKING",
        "if TYPE_CHECKING:",
        "def results(*folders: str | Path, stage: str | None=None) -> pd.DataFrame:",
    ]


def test_importing_bench_imports_nothing_of_it() -> None:
    script = "import sys; known = set(sys.modules); import bench; print(sorted(set(sys.modules) - known - {'bench'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [
        name for name in ast.literal_eval(done.stdout) if name.partition(".")[0] in ("bench", "pandas", "torch")
    ] == []


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("bench.heads.fcn", "from bench.necks.jpu import JPU", "bench.heads.fcn imports bench.necks"),
        ("bench.necks.jpu", "import bench.study", "bench.necks.jpu imports bench.study"),
        ("bench.model", "from bench import backbones", "bench.model imports bench.backbones"),
        ("bench.report.page", "import torch\nfrom bench import trial", "bench.report.page imports bench.trial"),
        ("bench.report.page", "import torch", "bench.report.page imports torch"),
        ("bench.trial", "import ray", "bench.trial imports ray"),
        ("bench.plan", "def f():\n    from ray import tune", "bench.plan imports ray"),
        ("bench.training", "from . import study", "bench.training imports bench.study"),
        ("bench.layers", "from studies.quickstart import STUDY", "bench.layers imports studies.quickstart.STUDY"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str, said: str) -> None:
    assert said in violations(line, module)


def test_siblings_are_not_allowed_each_other() -> None:
    assert all(not ALLOWED[one] & (set(SIBLINGS) - {one}) for one in SIBLINGS)


def test_the_command_line_starts_without_torch_and_ray() -> None:
    script = "import sys, bench.cli; print(sorted({'torch', 'ray', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
