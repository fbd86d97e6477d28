"""The speed comparisons that a study asks for: pairs of variants and the settings to time them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.parts import ChoiceError
from bench.protocol.setting import Setting


@dataclass(frozen=True)
class Speed:
    """The speed comparisons of a study: each cell is timed against the cell with some of its levels replaced.

    Attributes:
        against: factor -> level of the other cell. A cell that has all these levels itself is not compared.
        settings: the settings in which each pair is timed.
        only: name of a setting -> levels that a cell must have to be timed in it. A setting that would take too long
            for all cells is restricted in this way.
    """

    against: Mapping[str, str]
    settings: tuple[Setting, ...]
    only: Mapping[str, Mapping[str, str]] | None = None

    def __post_init__(self) -> None:
        if not self.against or not self.settings:
            raise ChoiceError("Speed needs levels to compare against and at least one setting")
        names = [setting.name for setting in self.settings]
        if len(set(names)) != len(names):
            raise ChoiceError(f"Speed has settings {', '.join(names)}; each may be there once")
        unknown = [name for name in self.only or {} if name not in names]
        if unknown:
            raise ChoiceError(f"Speed(only=…) names {', '.join(unknown)}; settings are {', '.join(names)}")

    def pairs(self, levels: Mapping[str, str]) -> list[Setting]:
        """The settings in which a cell with these levels is timed; none for a cell that others are compared with."""
        if all(levels[factor] == level for factor, level in self.against.items()):
            return []
        only = self.only or {}
        return [
            setting
            for setting in self.settings
            if all(levels[factor] == level for factor, level in only.get(setting.name, {}).items())
        ]
