"""No network of a study mixes tensors of a GPU and of the CPU: seen without a GPU, by devices and shapes alone.

Every variant's forward and losses run in training mode in float32, bfloat16 and float16, its backward in bfloat16.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.network import SimplePyramid, Timm
from bench.study.source import load_study
from tests.network.pretended_cuda.device import compiled, compiler

ROOT = Path(__file__).parents[2]
PRECISIONS = {"float32", "bfloat16", "float16"}
MISPLACED = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu"

pytestmark = pytest.mark.xdist_group("pretended_cuda")  # one process asks once


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory, skip_or_fail: Callable[[str], None]) -> dict[str, Any]:
    """The faults that a process finds which knows a GPU by name alone: of the studies, and of planted networks."""
    arguments: list[str] = []
    if not torch.cuda.is_available():
        if sys.platform != "linux" or compiler() is None:
            skip_or_fail("a pretended GPU needs Linux and a C++ compiler, such as g++")
        arguments = [str(compiled(tmp_path_factory.mktemp("pretended_cuda")))]
    command = [sys.executable, "-m", "tests.network.pretended_cuda", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_tests_of_one_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    grouped = request.node.nodeid.endswith("@pretended_cuda")  # which is how pytest-xdist tells its processes
    assert grouped == ("PYTEST_XDIST_WORKER" in os.environ), "other versions of pytest and pytest-xdist ignore groups"


def test_no_variant_of_a_study_mixes_devices_in_any_precision(faults: dict[str, Any]) -> None:
    errors = {
        f"{variant}, {precision}": error
        for variant, by_precision in faults["studies"].items()
        for precision, error in by_precision.items()
        if error
    }
    assert not errors, "\n\n".join(f"{where}:\n{error}" for where, error in errors.items())


def test_every_variant_was_run_in_every_precision(faults: dict[str, Any]) -> None:
    cells = {
        f"{path.stem}, {cell.name}"
        for path in ROOT.joinpath("studies").glob("[a-z]*.py")
        if path.stem != "families"
        for cell in load_study(path).cells()
        if cell.variant.backbone is None or cell.variant.backbone.cls not in (Timm, SimplePyramid)
    }
    assert len(cells) > 100
    assert cells <= set(faults["studies"])
    assert all(set(by_precision) == PRECISIONS for by_precision in faults["studies"].values())


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("in forward", "torch.linspace(0, 1, image.shape[-1])"),
        ("in constructor", "image - self.mean"),
        ("in loss", "output.logits, label, self.weights"),
    ],
)
def test_a_tensor_on_the_cpu_is_found_in_every_precision_with_the_line_that_uses_it(
    faults: dict[str, Any], place: str, code: str
) -> None:
    errors = faults["planted"][place]
    assert set(errors) == PRECISIONS
    for error in errors.values():
        assert MISPLACED in error
        assert code in error


def test_a_tensor_on_the_cpu_is_found_in_a_backward(faults: dict[str, Any]) -> None:
    error = faults["planted"]["in backward"]["bfloat16"]
    assert MISPLACED in error
    assert "torch.full(grad.shape, 2.0)" in error


def test_a_network_without_a_fault_has_none(faults: dict[str, Any]) -> None:
    assert faults["planted"]["nowhere"] == dict.fromkeys(PRECISIONS, "")
