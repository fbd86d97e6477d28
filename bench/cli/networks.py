"""What the commands that build networks do, apart from their arguments: check, cost, convert."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cli.display import console_for_people, table_of
from bench.cli.studies import print_excluded
from bench.data.base import DataError
from bench.network.checkpoints.convert import convert_file
from bench.run.breakdown import break_down, pixels, smaller_sizes
from bench.run.check import Checked, check_cells, facts
from bench.run.resources import here
from bench.study import audit
from bench.study.source import Source, load_study
from bench.study.source import load as load_source
from bench.study.study import Study

FALLBACK_PX = (512, 512)
"""Input size of ``check`` and ``cost`` where neither the recipe nor the data gives one."""


@dataclass(frozen=True)
class Shaped:
    """A study with what its networks are built for, as far as that is known without its data."""

    study: Study
    num_classes: int
    input_px: tuple[int, int]
    folder_name: str


def shaped(what: Source, console: Console, *, data_is_given: bool) -> Shaped:
    """The study with the classes and image size of its data, which is checked; of its recipe where it is not found.

    Raises:
        DataError: for data that was named and is not found.
    """
    try:
        loaded = load_source(what)
        loaded.dataset.check()
        height, width = loaded.dataset.split(loaded.study.recipe.split)[0].image.shape[-2:]
        console.print(f"Data: {loaded.dataset.name}, {len(loaded.dataset.classes)} classes, checked.", highlight=False)
        px = loaded.study.recipe.cost_px or (height, width)
        return Shaped(loaded.study, len(loaded.dataset.classes), px, loaded.folder_name)
    except DataError as error:
        if data_is_given:
            raise
        study = load_study(what.path, what.size)
        console.print(f"Data not checked: {error}", markup=False, highlight=False, soft_wrap=True)
        name = f"{study.name}-{what.size}" if what.size else study.name
        return Shaped(study, len(study.recipe.data.cls.classes), study.recipe.cost_px or FALLBACK_PX, name)


def check(what: Source, *, data_is_given: bool) -> None:
    """Print every variant as built."""
    console = console_for_people()
    known = shaped(what, console, data_is_given=data_is_given)
    study, (height, width) = known.study, known.input_px
    rows = list(check_cells(study, known.num_classes, height, width))
    console.print(_checked_table(rows))
    print_excluded(study, console)
    console.print(
        f"{len(rows)} variants at 1×3×{height}×{width}; MACs of convolutions, linear layers and matrix products.",
        highlight=False,
    )
    for line in audit.summary(facts(study, rows, height, width), study.baseline_name, study.against):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def cost(
    what: Source,
    variant: str,
    sizes: Sequence[str],
    results: Path,
    *,
    depth: int,
    forwards: int,
    gpus: float | None,
    data_is_given: bool,
) -> None:
    """Print where a variant's cost is and how it grows, and write both under ``attribution`` in the results folder.

    Raises:
        BenchError: for a variant that the study does not have, or sizes that cannot be measured.
    """
    console = console_for_people()
    known = shaped(what, console, data_is_given=data_is_given)
    chosen = [pixels(size) for size in sizes] or smaller_sizes(known.input_px)
    with console.status("") as status:
        made = break_down(
            known.study.cell(variant),
            known.num_classes,
            chosen,
            here(gpus=gpus).machine("cost"),
            depth=depth,
            forwards=forwards,
            tell=status.update,
        )
    heads, rows = made.shown()
    table = table_of(*heads, numeric=heads[1:])
    for row in rows:
        table.add_row(*row)
    height, width = max(chosen, key=math.prod)
    console.print(table)
    console.print(f"{made.cell.name} at 1×3×{height}×{width} on {made.machine.hardware}.", highlight=False)
    if forwards:
        console.print("Times are of modules one by one: what a hook makes wait is in them.", highlight=False)
    for path in made.write(results / known.folder_name / "attribution", Path(what.path)):
        console.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)


def convert(
    checkpoint: Path, what: Source, variant: str, out: Path, num_classes: int | None, layout: str | None
) -> None:
    """Write ``checkpoint`` as a state dict of a study's variant, and print what was dropped and filled in.

    Raises:
        BenchError: for a variant that the study does not have, or a key that is not understood.
    """
    study = load_study(what.path, what.size)
    classes = num_classes or len(study.recipe.data.cls.classes)
    done = convert_file(checkpoint, study.cell(variant).variant, classes, out, layout)
    console = console_for_people()
    console.print(f"{len(done.state)} tensors written to {out}", markup=False, highlight=False)
    for what_happened, names in (("dropped, never used in forward", done.dropped), ("filled with 0", done.filled)):
        if names:
            console.print(f"{what_happened}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)


def _checked_table(rows: Sequence[Checked]) -> Table:
    table = table_of("variant", "parameters (M)", "MACs (G)", "output", numeric=("parameters (M)", "MACs (G)"))
    for row in rows:
        deployed = sum(count for slot, count in row.parameters.items() if slot != "auxiliary")
        shape = "×".join(map(str, row.output_shape))
        table.add_row(row.cell.name, f"{deployed / 1e6:.3f}", f"{sum(row.macs.values()) / 1e9:.3f}", shape)
    return table
