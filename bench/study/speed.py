"""The speed comparisons that a study asks for: pairs of variants and the settings to time them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.parts import ChoiceError
from bench.protocol.setting import Setting


@dataclass(frozen=True)
class Speed:
    """The speed comparisons of a study: every cell against the one with some of its levels replaced.

    Attributes:
        against: factor -> level of the other side. A cell that has these levels itself is compared with nothing.
        settings: each pair is timed in every one of them.
        only: setting's name -> levels that a cell must have to be timed there; for what is too dear for all cells.
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
        """The settings in which a cell with these levels is timed; none for the other side itself."""
        if all(levels[factor] == level for factor, level in self.against.items()):
            return []
        only = self.only or {}
        return [
            setting
            for setting in self.settings
            if all(levels[factor] == level for factor, level in only.get(setting.name, {}).items())
        ]
