"""The plan of 1,000, 10,000 and 100,000 cells of a generated study, as a whole command: seconds, memory, and its keys.

The study is a full factorial of networks, of a choice of their heads, and of a grid of fields of the recipe.
"""

from __future__ import annotations

SIZES = {1_000: (5, 5, 2, 1), 10_000: (10, 5, 5, 2), 100_000: (10, 10, 5, 10)}
"""The number of cells -> the numbers of learning rates, weight decays, momenta and powers, beside 20 networks."""
LIMIT_S = 10.0
"""The most seconds that a plan of 100,000 cells may take (issue 19)."""
MOST_COMPARED = 5
MIB = 2**20


def study_text(rates: int, decays: int, momenta: int, powers: int) -> str:
    """The text of a study of two necks, two heads, five shares of dropout and a grid of the recipe."""
    grid = {
        "rate": ("learning_rate", 0.001, rates),
        "decay": ("weight_decay", 0.00001, decays),
        "momentum": ("momentum", 0.09, momenta),
        "power": ("poly_power", 0.1, powers),
    }
    fields = {name: given for name, given in grid.items() if given[2] > 1}
    factors = "\n".join(
        f'        Factor("{name}", {{f"l{{i}}": change(recipe=choose({field}={step} * (1 + i))) '
        f"for i in range({count})}}),"
        for name, (field, step, count) in fields.items()
    )
    baseline = {"neck": "none", "head": "fcn", "dropout": "l0", **dict.fromkeys(fields, "l0")}
    return f'''"""A generated study."""

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import ControlScenes
from bench.network import JPU, DualAttentionHead, FCNHead, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone

STUDY = Study(
    name="generated",
    question="How long does a plan take?",
    base=Variant(
        backbone=part(ShallowBackbone), head=part(FCNHead, width=64), losses=(part(SegmentationLoss),)
    ),
    factors=(
        Factor("neck", {{"none": change(), "jpu": change(neck=part(JPU, width=16, dilations=(1, 2)))}}),
        Factor("head", {{"fcn": change(), "attention": change(head=part(DualAttentionHead, width=64, reduction=1))}}),
        Factor("dropout", {{f"l{{i}}": change(head=choose(dropout=0.1 * i)) for i in range(5)}}),
{factors}
    ),
    baseline={baseline},
    recipe=Recipe(data=part(ControlScenes), crop_px=(128, 64), scale=(1.0, 1.0), iterations=600, batch=2),
    seeds=(0,),
    stages=("quality",),
)
'''
