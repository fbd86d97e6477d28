"""The state of a study's own modules: what a trial leaves in them is seen, wherever it lies, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from bench.run.processes.own_state import own_state
from bench.run.processes.process import changed, traces

MODULE = """
import functools, itertools, random
from collections import defaultdict, deque
from dataclasses import dataclass, field
import numpy as np
import torch
from torch import nn
from bench.network import FCNHead, PSPHead
from bench.parts import part

LIST, MAPPING, QUEUE, COUNTS = [1], {"a": {"b": 1}}, deque([1]), defaultdict(int)
NAMES = {"a", "b"}
TENSOR, HALF, TRUTH = torch.zeros(3), torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.bool)
WAVES, ARRAY, OBJECTS = torch.zeros(2, dtype=torch.complex64), np.zeros(3), np.array([[1], None], dtype=object)
NETWORK, HEAD, CHOSEN = nn.Sequential(nn.Linear(2, 2)), FCNHead, part(FCNHead, width=8)
NUMBERS, RANDOM, NP, OLD, TORCH = (
    itertools.count(), random.Random(0), np.random.default_rng(0), np.random.RandomState(0), torch.Generator())
CIRCLE = []
CIRCLE.append(CIRCLE)

@functools.cache
def shared(width):
    return nn.Linear(width, width)

def collect(value, into=[]):
    into.append(value)

def counter():
    calls = []
    def call():
        calls.append(1)
    return call

count = counter()

@dataclass
class Inner:
    values: list = field(default_factory=lambda: [1])

class Slotted:
    __slots__ = ("value",)

class Block(nn.Module):
    built, settings, inner = 0, {"rate": 0.1}, Inner()
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, x):
        return self.layer(x) * self.settings["rate"]

SLOTTED = Slotted()
SLOTTED.value = [1]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = tmp_path / "planted_module.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("planted_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "planted_module", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "statement",
    [
        "m.LIST.append(2)", "m.LIST = [1, 2]", "m.MAPPING['a']['b'] = 2", "m.QUEUE.append(2)", "m.COUNTS['a'] += 1",
        "m.NAMES.add('c')", "m.TENSOR.add_(1)", "m.HALF[1] = 1", "m.TRUTH[2] = True", "m.WAVES[0] = 1j",
        "m.ARRAY[1] = 1", "m.OBJECTS[0].append(2)", "m.NETWORK[0].weight.data.mul_(2)", "m.NETWORK.eval()",
        "m.HEAD = m.PSPHead", "m.CHOSEN = m.CHOSEN.having(width=9)", "next(m.NUMBERS)", "m.RANDOM.random()",
        "m.NP.random()", "m.OLD.rand()", "torch.rand(2, generator=m.TORCH)", "m.shared(3)", "m.collect(1)", "m.count()",
        "m.Block.built += 1", "m.Block.settings['rate'] = 0.2", "m.Block.inner.values.append(2)",
        "m.SLOTTED.value.append(2)", "m.Block.forward = lambda self, x: x", "m.counter.seen = 1", "m.new = 1",
    ],
)  # fmt: skip
def test_what_a_trial_leaves_in_the_studys_own_modules_is_seen(own: ModuleType, statement: str) -> None:
    before = traces()
    assert changed(before, traces()) == []
    exec(statement, {"m": own, "torch": torch})
    assert changed(before, traces()) == ["module planted_module"]


def test_a_network_of_own_modules_that_is_trained_leaves_nothing(own: Any) -> None:
    before = traces()
    block = own.Block()
    optimiser = torch.optim.SGD(block.parameters(), lr=0.1)
    block(torch.rand(3, 2)).sum().backward()
    optimiser.step()
    assert own.CHOSEN.build is not None
    assert changed(before, traces()) == []


def test_an_iterator_counts_as_changed_since_nobody_sees_where_it_stands(own: Any) -> None:
    own.CYCLE = own.itertools.cycle("ab")
    assert changed(traces(), traces()) == ["module planted_module"]


def test_a_module_that_a_trial_imports_first_is_a_trace(own: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules.pop("planted_module")
    before = traces()
    monkeypatch.setitem(sys.modules, "planted_module", module)
    assert changed(before, traces()) == ["module planted_module"]


def test_a_library_that_a_distribution_brings_along_is_not_the_studys(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(torch.__file__).parent / "brought_along"
    library = ModuleType("brought")
    library.__file__ = str(folder / "brought" / "__init__.py")
    monkeypatch.setitem(sys.modules, "brought", library)
    assert "module brought" not in own_state()
    loose = ModuleType("loose")
    loose.__file__ = str(Path(torch.__file__).parents[1] / "loose.py")
    monkeypatch.setitem(sys.modules, "loose", loose)
    assert "module loose" in own_state(), "no distribution has it, so it may be the user's"
