"""The cells of a study: combinations of levels, and the network and recipe that each stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.network.model import Variant
from bench.protocol.recipe import Recipe


@dataclass(frozen=True)
class Cell:
    """One combination of levels and the network and recipe that it stands for."""

    levels: Mapping[str, str]
    variant: Variant
    recipe: Recipe

    @cached_property
    def name(self) -> str:
        """The name of the variant, such as ``attention=on,upsampling=jpu,gate=off``."""
        return cell_name(self.levels)


@dataclass(frozen=True)
class ExcludedCell:
    """A combination of levels that is not run, and the reason. It need not be a network that can be built."""

    levels: Mapping[str, str]
    reason: str

    @property
    def name(self) -> str:
        return cell_name(self.levels)


def cell_name(levels: Mapping[str, str]) -> str:
    """The name of a variant: its levels in the study's order."""
    return ",".join(f"{factor}={level}" for factor, level in levels.items())
