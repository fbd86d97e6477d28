"""The commands about what lasts of trials besides their records: ``bench predict`` and ``bench clean``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import say
from bench.cli.options import EXIT_OPEN
from bench.parts import BenchError
from bench.protocol.text import plain
from bench.protocol.words import plural

if TYPE_CHECKING:
    import torch

Results = Annotated[Path, typer.Argument(help="A results folder, such as results/quickstart.", show_default=False)]


def predict(
    folder: Results,
    variant: Annotated[str, typer.Argument(help="The variant whose weights are taken.", show_default=False)],
    images: Annotated[Path, typer.Argument(help="An image, or a folder of images.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A new or empty folder for the predictions.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option(help="The seed of the trial; by default the first with weights.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default cuda where there is one.", show_default=False)
    ] = None,
) -> None:
    """Segment your own images with the trained weights of a variant.

    OUT gets masks/ (PNG files whose values are class indices), overlays/ to look at, and classes.json with the names
    and colours. Images are tested as the study's recipe says. The exit status is 1 if an image cannot be read.
    """
    import torch

    from bench.run.keeping.predict import images_in
    from bench.run.keeping.predict import predict as predicted
    from bench.run.keeping.weights import kept

    found = images_in(images)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchError(f"{out} is not an empty folder; name a new one")
    trial = kept(folder, variant, seed)
    model = trial.network(_device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    trained = trial.record.trial
    say(f"{plural(len(found), 'image')}, by {trained.variant} with seed {trained.seed}")
    wrong = 0
    for path, problem in predicted(model, trial.cell.recipe, list(trial.measured.classes), found, out):
        if problem:
            wrong += 1
            say(f"{path}: {problem}", error=True)
    say(f"{plural(len(found) - wrong, 'image')} predicted: {out}")
    if wrong:
        raise typer.Exit(EXIT_OPEN)


def _device(name: str) -> torch.device:
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BenchError(f"--device {name!r}: {plain(str(error).splitlines()[0])}; choose cpu or cuda") from error
    return device


def clean(
    folder: Results,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
) -> None:
    """Remove what no report reads: kept states of trainings, records of no planned trial, files of no record.

    What would be removed, and how large it is, is printed first; nothing is removed before you agree.
    """
    from bench.cli.studies import only_run
    from bench.run.keeping.cleaning import removable

    with only_run(folder):
        kinds = removable(folder)
        if not kinds:
            say(f"{folder} holds nothing that may be removed.")
            return
        for kind in kinds:
            size_mb = kind.size_bytes / 1e6
            say(f"{kind.what}: {plural(len(kind.files), 'file')}, {size_mb:,.1f} MB. {kind.why}:")
            for path in kind.files[:MOST_LISTED]:
                say(f"  {path}")
            if len(kind.files) > MOST_LISTED:
                say(f"  and {len(kind.files) - MOST_LISTED} more")
        if not yes and not typer.confirm("Remove them?"):
            raise typer.Exit(EXIT_OPEN)
        for kind in kinds:
            kind.remove()
    say("Removed.")


MOST_LISTED = 5
"""Files of one kind that are listed before they are removed."""
