"""The names that ``bench`` offers, each imported when it is first used."""

from .evidence.frame import results as results
from .network.model import Variant as Variant
from .parts import BenchError as BenchError
from .parts import Level as Level
from .parts import Part as Part
from .parts import part as part
from .protocol.recipe import Recipe as Recipe
from .protocol.recipes import named_recipe as named_recipe
from .protocol.setting import Setting as Setting
from .study.designs import Cumulative as Cumulative
from .study.designs import Fractional as Fractional
from .study.designs import LeaveOneOut as LeaveOneOut
from .study.designs import Listed as Listed
from .study.factors import Factor as Factor
from .study.factors import adding as adding
from .study.factors import change as change
from .study.factors import choose as choose
from .study.published.rows import Published as Published
from .study.speed import Speed as Speed
from .study.study import Exclude as Exclude
from .study.study import Require as Require
from .study.study import Study as Study
from .study.tuning.ranges import Among as Among
from .study.tuning.ranges import LinearRange as LinearRange
from .study.tuning.ranges import LogRange as LogRange

__all__ = [
    "Among",
    "BenchError",
    "Cumulative",
    "Exclude",
    "Factor",
    "Fractional",
    "LeaveOneOut",
    "Level",
    "LinearRange",
    "Listed",
    "LogRange",
    "Part",
    "Published",
    "Recipe",
    "Require",
    "Setting",
    "Speed",
    "Study",
    "Variant",
    "adding",
    "change",
    "choose",
    "named_recipe",
    "part",
    "results",
]
