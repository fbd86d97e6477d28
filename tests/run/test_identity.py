"""Identity: what changes a trial's key and, as important, what does not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.necks.jpu import JPU
from bench.run.identity import definitions, digest, forget_sources, source_digest
from bench.run.stages import measure_quality

SOURCE = '''
"""Module docstring."""
import math

SCALE = 2
UNUSED = 3


def helper(x):
    """Says what it does."""
    return x * SCALE  # a comment


def unrelated(x):
    return x + UNUSED


class Component:
    """A component."""

    size: int = 1

    def forward(self, x: float) -> float:
        return helper(x) + math.sqrt(x)
'''


def load(path: Path, text: str) -> ModuleType:
    path.write_text(text)
    forget_sources()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def key(folder: Path, text: str) -> str:
    return source_digest([load(folder / "component_source.py", text).Component])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another comment"),
        ('"""Says what it does."""', '"""Says something else."""'),
        ('"""A component."""', '"""A part."""'),
        ('"""Module docstring."""', '"""Other."""'),
        ("x * SCALE", "(x   *   SCALE)"),
        ("UNUSED = 3", "UNUSED = 4"),
        ("x + UNUSED", "x - UNUSED"),
        ("x: float) -> float", "x: int) -> int"),
    ],
)
def test_comments_docstrings_layout_and_unrelated_code_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert key(tmp_path, SOURCE) == key(tmp_path, SOURCE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ math.sqrt", "- math.sqrt"),
        ("x * SCALE", "x / SCALE"),
        ("SCALE = 2", "SCALE = 4"),
        ("size: int = 1", "size: int = 2"),
        ("return helper(x)", "return SCALE + helper(x)"),
    ],
)
def test_whatever_the_component_computes_with_counts(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert key(tmp_path, SOURCE) != key(tmp_path, SOURCE.replace(old, new))


def test_definitions_are_followed_across_modules() -> None:
    found = definitions([JPU])
    assert {
        "bench.network.necks.jpu:JPU",
        "bench.network.necks.jpu:SeparableConv",
        "bench.network.layers:resize",
    } <= set(found)
    assert not any(name.startswith(("bench.heads", "bench.study.study", "bench.records.results")) for name in found)


def test_a_part_does_not_depend_on_another_parts_source() -> None:
    assert not set(definitions([FCNHead])) & {name for name in definitions([ResNet]) if "resnet" in name}


def test_a_quality_trial_depends_on_training_data_and_scoring_but_not_on_the_runner() -> None:
    found = set(definitions([measure_quality]))
    assert {
        "bench.training.loop:train",
        "bench.training.augment:batches",
        "bench.measure.quality.confusion:pair_counts",
    } <= found
    assert "bench.network.model:SegModel" in found
    runner_and_cost = ("study", "plan", "measure.counts", "measure.memory", "measure.latency", "display")
    assert not any(name.startswith(tuple(f"bench.{module}:" for module in runner_and_cost)) for name in found)


def test_a_class_without_source_is_refused() -> None:
    made = type("Made", (), {"__module__": __name__})
    with pytest.raises(ValueError, match="cannot find the source of .*:Made"):
        source_digest([made])


def test_a_digest_does_not_depend_on_key_order() -> None:
    assert digest({"a": 1, "b": [1, None]}) == digest({"b": [1, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
