"""The part of a forward that its output depends on, and the modules that run although their output is thrown away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bench.measure.cost.whole.dispatched import Dispatched, around, inside

Executed = dict[tuple[str, str], int]
"""(innermost module, operator) -> multiply-accumulates."""


@dataclass(frozen=True)
class Idle:
    """A module that runs, although some or all of what it computes is thrown away.

    Attributes:
        module: the name of the module: the outermost of which nothing reaches the output, or one that is used in part.
        macs: the multiply-accumulates that never reach the output.
        executed: all of its multiply-accumulates.
    """

    module: str
    macs: int
    executed: int


@dataclass(frozen=True)
class Counts:
    """The multiply-accumulates of one forward.

    Attributes:
        executed: the multiply-accumulates that run.
        wasted: those of them that never reach the output.
        output_bytes: called module -> bytes of its outputs over all its calls.
        output_shape: the shape of the logits.
        unknown: operator of another library than torch -> its calls; it has no count.
        running: the modules that run -> whether anything that they compute reaches the output.
    """

    executed: Executed
    wasted: Executed
    output_bytes: dict[str, int]
    output_shape: tuple[int, ...]
    unknown: dict[str, int]
    running: Mapping[str, bool]

    @property
    def unused(self) -> tuple[str, ...]:
        """The modules that run, and of which nothing reaches the output; none lies inside another."""
        idle = {name for name, needed in self.running.items() if not needed}
        return tuple(name for name in self.running if name in idle and name.rpartition(".")[0] not in idle)

    def macs(self, module: str = "") -> int:
        """The multiply-accumulates of a module with all modules inside it, as executed."""
        return _within(self.executed, module)

    def wasted_macs(self, module: str = "") -> int:
        """Those of them that never reach the output."""
        return _within(self.wasted, module)

    def by_operator(self, module: str = "") -> dict[str, int]:
        """Operator -> multiply-accumulates of a module with all modules inside it, as executed."""
        total: Counter[str] = Counter()
        for (name, operator), macs in self.executed.items():
            if inside(name, module):
                total[operator] += macs
        return dict(total)

    def idle(self) -> list[Idle]:
        """The modules with MACs that never reach the output, most of them first; none lies inside another."""
        executed, wasted = _by_module(self.executed), _by_module(self.wasted)
        named: set[str] = set()
        for module, _ in self.wasted:
            unused = [name for name in around(module) if wasted[name] == executed[name]]
            named.add(unused[-1] if unused else module)
        outermost = [name for name in named if not any(other != name and inside(name, other) for other in named)]
        found = (Idle(name, wasted[name], executed[name]) for name in outermost)
        return sorted(found, key=lambda idle: (-idle.macs, idle.module))


def summed(forward: Dispatched) -> Counts:
    """The multiply-accumulates of a forward, and of those the ones that never reach the output."""
    executed: Counter[tuple[str, str]] = Counter()
    wasted: Counter[tuple[str, str]] = Counter()
    running: dict[str, bool] = {}
    for operator, needed in zip(forward.operators, reaching(forward), strict=True):
        for name in around(operator.module):
            running[name] = running.get(name, False) or needed
        if operator.macs:
            executed[operator.module, operator.name] += operator.macs
            if not needed:
                wasted[operator.module, operator.name] += operator.macs
    return Counts(dict(executed), dict(wasted), forward.output_bytes, forward.output_shape, forward.unknown, running)


def reaching(forward: Dispatched) -> list[bool]:
    """For each operator, whether the logits depend on what it writes.

    Values that the forward reads, as by ``.item()`` or ``.tolist()``, and shapes that values decide, as that of
    ``nonzero``, decide what runs next, so the output depends on them, too. Tensors that share memory count as one: an
    operator may be called needed that is not, never the other way round.
    """
    needed, kept = set(forward.output), [False] * len(forward.operators)
    for index in range(len(forward.operators) - 1, -1, -1):
        operator = forward.operators[index]
        kept[index] = not operator.writes or operator.shapes or not needed.isdisjoint(operator.writes)
        if kept[index]:
            needed |= operator.reads
    return kept


def _within(macs: Mapping[tuple[str, str], int], module: str) -> int:
    return sum(count for (name, _), count in macs.items() if inside(name, module))


def _by_module(macs: Mapping[tuple[str, str], int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for (module, _), count in macs.items():
        for name in around(module):
            total[name] += count
    return total
