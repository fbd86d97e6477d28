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
from .study.factors import Factor as Factor
from .study.factors import adding as adding
from .study.factors import change as change
from .study.factors import choose as choose
from .study.published.rows import Published as Published
from .study.speed import Speed as Speed
from .study.study import Exclude as Exclude
from .study.study import Study as Study

__all__ = [
    "BenchError",
    "Exclude",
    "Factor",
    "Level",
    "Part",
    "Published",
    "Recipe",
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
