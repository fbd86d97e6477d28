"""The speed comparisons that a study asks for: pairs of variants and the settings to time them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.parts import ChoiceError
from bench.protocol.recipe import Mode
from bench.protocol.setting import Setting


@dataclass(frozen=True)
class Speed:
    """The speed comparisons of a study: each cell is timed against the cell with some of its levels replaced.

    Attributes:
        against: factor -> level of the other cell. A cell that has all these levels itself is not compared.
        settings: the settings in which each pair is timed.
        only: name of a setting -> levels that a cell must have to be timed in it. A setting that would take too long
            for all cells is restricted in this way.
        modes: the execution modes of each setting, in place of its own one: ``("eager", "compile", "openvino")``.
    """

    against: Mapping[str, str]
    settings: tuple[Setting, ...]
    only: Mapping[str, Mapping[str, str]] | None = None
    modes: tuple[Mode, ...] = ()

    def __post_init__(self) -> None:
        if not self.against or not self.settings:
            raise ChoiceError("Speed needs levels to compare against and at least one setting")
        names = [setting.name for setting in self.settings]
        every = [setting.name for setting in self.timed()]
        if len(set(every)) != len(every):
            raise ChoiceError(f"Speed has settings {', '.join(every)}; each may be there once")
        unknown = [name for name in self.only or {} if name not in names]
        if unknown:
            raise ChoiceError(f"Speed(only=…) names {', '.join(unknown)}; settings are {', '.join(names)}")

    def timed(self) -> tuple[Setting, ...]:
        """All settings in which pairs are timed: those of the first mode first."""
        if not self.modes:
            return self.settings
        return tuple(replace(setting, mode=mode) for mode in self.modes for setting in self.settings)

    def pairs(self, levels: Mapping[str, str]) -> list[Setting]:
        """The settings in which a cell with these levels is timed; none for a cell that others are compared with."""
        if all(levels[factor] == level for factor, level in self.against.items()):
            return []
        only = self.only or {}
        fitting = [
            setting
            for setting in self.settings
            if all(levels[factor] == level for factor, level in only.get(setting.name, {}).items())
        ]
        return list(replace(self, settings=tuple(fitting), only=None).timed()) if fitting else []
