"""The plan of 1,000, 10,000 and 100,000 cells of a generated study, as a whole command: seconds, memory, and its keys.

The study is a full factorial of networks, of a choice of their heads, and of a grid of fields of the recipe.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.run.schedule.many_keys import KeysOfMany
from bench.run.stages import key_of
from bench.study.source import Source, load
from benchmarks.side_by_side import close

SIZES = {1_000: (5, 5, 2, 1), 10_000: (10, 5, 5, 2), 100_000: (10, 10, 5, 10)}
"""The number of cells -> the numbers of learning rates, weight decays, momenta and powers, beside 20 networks."""
LIMIT_S = 10.0
"""The most seconds that a plan of 100,000 cells may take."""
SAMPLE, COMPARED = 300, 5


def plan() -> None:
    """The whole command ``bench plan`` of 1,000, 10,000 and 100,000 cells; the limit is 10 s.

    ``ours`` is the time, ``other`` the limit. Keys of some cells are compared with those that they have by themselves.

    Raises:
        RuntimeError: for a plan that fails, or a key that is another one beside others than by itself.
    """
    for cells, counts in SIZES.items():
        with tempfile.TemporaryDirectory() as name:
            study = Path(name) / "generated.py"
            study.write_text(study_text(*counts), encoding="utf-8")
            command = [sys.executable, "-m", "bench.cli", "plan", str(study), "--results", name]
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            taken = time.perf_counter() - start
            if done.returncode:
                raise RuntimeError(done.stderr)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # ru_maxrss is in KiB on Linux
            compare_keys(study)
        what = f"bench plan of {cells:,} cells, {peak:.0f} MiB, {COMPARED} keys as by themselves, limit ÷ ours, s"
        close(f"plan_{cells}", f"{taken:.2f}", f"{LIMIT_S:.2f}", f"{LIMIT_S / taken:.3f}", what)


def compare_keys(study: Path) -> None:
    """Compare keys of some cells, made beside those of others, with the keys that they have by themselves.

    Raises:
        RuntimeError: for a key that is another one.
    """
    loaded = load(Source(str(study)))
    draw, keys, modules = random.Random(0), KeysOfMany(), loaded.modules
    cells = draw.sample(loaded.study.cells(), SAMPLE)
    made = {cell.name: keys.key_of(cell, "quality", 0, "data", modules=modules).text for cell in cells}
    for cell in cells[-COMPARED:]:
        if key_of(cell, "quality", 0, "data", modules=modules).text != made[cell.name]:
            raise RuntimeError(f"{cell.name} has another key beside others than by itself")


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
