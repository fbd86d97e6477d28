"""The work of the commands that build networks: check, cost, convert and predict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from bench.cli.console import PlainConsole, console_for_people, say
from bench.cli.display import table_of
from bench.cli.documents.document import Give, keep_silent
from bench.cli.documents.networks import (
    CheckDocument,
    CheckedVariant,
    ConvertDocument,
    CostDocument,
    PredictDocument,
    UnreadImage,
)
from bench.cli.documents.plan import LeftOut
from bench.cli.options import parse_px
from bench.cli.trials.notices import print_excluded, print_faulty
from bench.data.base import DataError
from bench.data.contract import ContractError
from bench.data.pixels import Colour
from bench.network.checkpoints.convert import convert_file
from bench.parts import BenchError
from bench.protocol.text import plain
from bench.protocol.words import EXTRAPOLATED, plural
from bench.run.breakdown import break_down, smaller_sizes
from bench.run.check import Checked, Faulty, check_cells, facts, unfilled_crops
from bench.run.keeping.predict import images_in
from bench.run.keeping.predict import predict as predicted
from bench.run.keeping.weights import TrainedTrial, kept
from bench.run.resources import here
from bench.study import audit
from bench.study.cells import Cell
from bench.study.source import Loaded, Source, load_study
from bench.study.source import load as load_source
from bench.study.study import Study

FALLBACK_PX = (512, 512)
"""The input size of ``check`` and ``cost`` if neither the recipe nor the data give one."""


@dataclass(frozen=True)
class Shaped:
    """A study with the numbers of classes and the input size for which its networks are built.

    ``loaded`` has its data, if they can be used.
    """

    study: Study
    classes_of: Callable[[Cell], int]
    input_px: tuple[int, int]
    folder_name: str
    loaded: Loaded | None = None


def shaped(source: Source, console: PlainConsole, *, data_is_given: bool) -> Shaped:
    """The study with the numbers of classes and the image size of its data, which are checked on the way.

    If the data are not found, the classes come from their class, and the size from the recipe or :data:`FALLBACK_PX`.

    Args:
        source: the source of the study.
        console: the console that is told whether the data were checked.
        data_is_given: ``True`` if the user named the data, so that data that cannot be used are an error.

    Raises:
        DataError: if the user named data that cannot be used.
        ContractError: if a data set of the user's own does not keep to its contract.
    """
    loaded = load_source(source)
    study = loaded.study
    try:
        loaded.check_data()
        datasets = loaded.datasets()
        for chosen, dataset in datasets.items():
            name = dataset.name if len(datasets) == 1 else repr(chosen)
            console.print(f"Data: {name}, {len(dataset.classes)} classes, checked.", soft_wrap=True)
        return Shaped(study, loaded.classes_of, loaded.input_px, loaded.folder_name, loaded)
    except ContractError:
        raise
    except DataError as error:
        if data_is_given:
            raise
        console.print(f"Data not checked: {error}", soft_wrap=True)
        return Shaped(study, _classes_without_data, study.recipe.cost_px or FALLBACK_PX, loaded.folder_name)


def _classes_without_data(cell: Cell) -> int:
    """The number of classes that the class of a cell's data set names.

    Raises:
        DataError: if only the files of the data set tell its classes.
    """
    data = cell.recipe.data.cls
    if not (classes := getattr(data, "classes", ())):
        raise DataError(f"only the files of {data.name} tell its classes; give their folder: --data {data.name}=FOLDER")
    return len(classes)


def check(source: Source, *, data_is_given: bool, give: Give = keep_silent) -> bool:
    """Build every variant, print its counts and all undeclared differences, and a line for each that is faulty.

    Returns:
        ``True`` if every variant can be built and trained.
    """
    console = console_for_people()
    known = shaped(source, console, data_is_given=data_is_given)
    study, (height, width) = known.study, known.input_px
    results = list(check_cells(study, known.classes_of, height, width))
    rows = [result for result in results if isinstance(result, Checked)]
    faulty = [result for result in results if isinstance(result, Faulty)]
    console.print(_checked_table(rows))
    print_excluded(study, console)
    variants = f"{len(rows)} of {len(results)}" if faulty else len(results)
    px = f"1×3×{height}×{width}"
    console.print(f"{variants} variants at {px}; MACs of convolutions, linear layers and matrix products.")
    audited = facts(study, rows, height, width)
    differences = list(audit.summary(audited, study.baseline_name, study.against)) if audited.variants else []
    crops = list(unfilled_crops(known.loaded)) if known.loaded else []
    for line in (*differences, *crops):
        console.print(line, soft_wrap=True)
    for row in rows:
        for note in row.notes:
            console.print(f"{row.cell.name}: {note}", soft_wrap=True)
    print_faulty(faulty, console)
    give(
        CheckDocument(
            study=study.name,
            input_px=[height, width],
            variants=[_checked_variant(row) for row in rows],
            faulty=[LeftOut(variant=fault.cell.name, reason=plain(fault.reason)) for fault in faulty],
            excluded=[LeftOut(variant=left_out.name, reason=left_out.reason) for left_out in study.excluded()],
            audit=differences,
            crops=crops,
        )
    )
    return not faulty


def _checked_variant(row: Checked) -> CheckedVariant:
    return CheckedVariant(
        variant=row.cell.name,
        parameters=row.parameters,
        trainable=row.trainable,
        macs=row.macs,
        output_shape=list(row.output_shape),
        wasted=row.wasted,
        extrapolated=row.extrapolated,
        notes=list(row.notes),
    )


def cost(
    source: Source,
    variant: str,
    sizes: Sequence[str],
    results: Path,
    *,
    depth: int,
    forwards: int,
    gpus: float | None,
    data_is_given: bool,
    conditions: Mapping[str, Any],
    give: Give = keep_silent,
) -> None:
    """Print the cost of a variant's modules and its growth, and write both to ``attribution`` in the results folder.

    Raises:
        BenchError: if the study does not have the variant, or if a size cannot be measured.
    """
    console = console_for_people()
    known = shaped(source, console, data_is_given=data_is_given)
    chosen = [parse_px(size) for size in sizes] or smaller_sizes(known.input_px)
    cell = known.study.cell(variant)
    with console.status("") as status:
        breakdown = break_down(
            cell,
            known.classes_of(cell),
            chosen,
            here(gpus=gpus, measures=True).machine("cost"),
            depth=depth,
            forwards=forwards,
            tell=status.update,
            conditions=conditions,
        )
    heads, rows = breakdown.shown()
    table = table_of(*heads, numeric=heads[1:])
    for row in rows:
        table.add_row(*row)
    height, width = max(chosen, key=math.prod)
    console.print(table)
    console.print(f"{breakdown.cell.name} at 1×3×{height}×{width} on {breakdown.machine.hardware}.")
    if forwards:
        console.print(
            f"Each module is timed on its own, in {breakdown.precision} and {breakdown.memory_format}, so its time "
            "includes waits that the timing causes."
        )
    for quantity, by_size in breakdown.extrapolated().items():
        for size, how in by_size.items():
            what = {"macs": "The MACs", "saved_bytes": "The saved bytes"}[quantity]
            console.print(f"{EXTRAPOLATED} {what} at {size} are {how}.", soft_wrap=True)
    written = [str(path) for path in breakdown.write(results / known.folder_name / "attribution", Path(source.path))]
    for path in written:
        console.print(f"Written: {path}", soft_wrap=True)
    give(CostDocument(variant=breakdown.cell.name, hardware=breakdown.machine.hardware, written=written))


def convert(
    checkpoint: Path,
    source: Source,
    variant: str,
    out: Path,
    num_classes: int | None,
    layout: str | None,
    give: Give = keep_silent,
) -> None:
    """Write ``checkpoint`` as a state dict of a study's variant, and print the tensors that were dropped or filled in.

    Raises:
        BenchError: if the study does not have the variant, or if a key of the checkpoint is not understood.
    """
    study = load_study(source.path, source.size)
    cell = study.cell(variant)
    done = convert_file(checkpoint, cell.variant, num_classes or _classes_without_data(cell), out, layout)
    console = console_for_people()
    console.print(f"{len(done.state)} tensors written to {out}")
    for fate, names in (("dropped, never used in forward", done.dropped), ("filled with 0", done.filled)):
        if names:
            console.print(f"{fate}: {', '.join(names)}", soft_wrap=True)
    for note in done.notes:
        console.print(note, soft_wrap=True)
    give(
        ConvertDocument(
            variant=cell.name,
            path=str(out),
            tensors=len(done.state),
            dropped=list(done.dropped),
            filled=list(done.filled),
            notes=list(done.notes),
        )
    )


def _checked_table(rows: Sequence[Checked]) -> Table:
    table = table_of("variant", "parameters (M)", "MACs (G)", "output", numeric=("parameters (M)", "MACs (G)"))
    for row in rows:
        deployed = sum(count for slot, count in row.parameters.items() if slot != "auxiliary")
        shape = "×".join(map(str, row.output_shape))
        table.add_row(row.cell.name, f"{deployed / 1e6:.3f}", f"{sum(row.macs.values()) / 1e9:.3f}", shape)
    return table


def predict(
    folder: Path,
    variant: str,
    images: Path,
    out: Path,
    seed: int | None,
    device: str | None,
    give: Give = keep_silent,
) -> bool:
    """Predict images with the weights of a variant, and print what was done; ``True`` if all could be read.

    Raises:
        BenchError: if there are no images or no weights, if ``out`` holds anything, or if there is no such device.
    """
    found = images_in(images)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchError(f"{out} is not an empty folder; name a new one")
    trial = kept(folder, variant, seed)
    model = trial.network(_device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    trained = trial.record.trial
    say(f"{plural(len(found), 'image')}, by {trained.variant} with seed {trained.seed}")
    done: list[str] = []
    unread: list[UnreadImage] = []
    classes = list(trial.measured.classes)
    for path, problem in predicted(model, trial.cell.recipe, classes, found, out, published_colours(trial)):
        if problem:
            unread.append(UnreadImage(path=str(path), reason=problem))
            say(f"{path}: {problem}", error=True)
        else:
            done.append(str(path))
    say(f"{plural(len(done), 'image')} predicted: {out}")
    give(PredictDocument(variant=trained.variant, seed=trained.seed, folder=str(out), predicted=done, unread=unread))
    return not unread


def published_colours(trial: TrainedTrial) -> Sequence[Colour]:
    """The colours of a trial's classes where its data set is published; empty if it has none.

    A class whose ``colours`` are empty has them in its files, which are read if they are here.
    """
    colours: Sequence[Colour] | None = getattr(trial.cell.recipe.data.cls, "colours", None)
    if colours is not None and not colours:
        with suppress(BenchError):
            dataset = trial.loaded.dataset_of(trial.cell)
            if list(dataset.classes) == list(trial.measured.classes):
                return getattr(dataset, "colours", ())
    return colours or ()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BenchError(f"--device {name!r}: {plain(str(error).splitlines()[0])}; choose cpu or cuda") from error
    return device
