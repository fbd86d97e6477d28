"""The commands of ``bench data``: folders of one's own, checks, official scripts, and the cache of decoded images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from bench.cli.console import console_for_people, say
from bench.cli.documents.data import (
    CacheDocument,
    DataDocument,
    DescriptionDocument,
    EvictDocument,
    PrepareDocument,
    ReadSplit,
    UnpackDocument,
)
from bench.cli.documents.document import AsJson, only_document
from bench.cli.options import CacheFolder
from bench.protocol.words import bytes_in_words, plural

if TYPE_CHECKING:
    from bench.data.base import Dataset, SplitName
    from bench.data.decoded.shelf import Shelf

app = typer.Typer(help="Describe a folder of your own images, and check what a data set holds.", no_args_is_help=True)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A folder with images and label files.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write a first classes.toml into a folder of images and labels, and say what was guessed.

    The description says where images and labels lie, which images train and which are evaluated, and what the values of
    labels mean. Look it through and edit it, above all the names of the classes.
    """
    with only_document(as_json) as give:
        give(_init(folder))


def _init(folder: Path) -> DescriptionDocument:
    """Write the first description of a folder, print what was guessed, and return that as a document."""
    from bench.data.own.description import DESCRIPTION
    from bench.data.own.first import first_description

    first = first_description(folder)
    first.write(folder)
    say(f"Wrote {', '.join(str(folder / name) for name in first.files)}. What was guessed:")
    for guess in first.guesses:
        say(f"- {guess}.")
    say(f"Look {folder / DESCRIPTION} through, then: bench data check folder={folder}")
    written = [str(folder / name) for name in first.files]
    return DescriptionDocument(folder=str(folder), written=written, guesses=list(first.guesses))


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A folder, NAME=FOLDER, or the name of a data set.", show_default=False)],
    final: Annotated[
        bool, typer.Option("--final", help="Read the test split too, and fail if it is not there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every image and label of a data set, and print sizes and the share of each class.

    Without --final, a test split that is not there is left out.
    """
    with only_document(as_json) as give:
        give(_check(data, final=final))


def _check(data: str, *, final: bool) -> DataDocument:
    """Read a data set, print what it holds, and return that as a document."""
    from bench.data.base import SPLITS

    dataset = _dataset(data)
    splits = [split for split in SPLITS if split != "test" or final or _is_there(dataset, split)]
    pixels = {split: _pixels(dataset, split) for split in splits}
    say(f"Data: {dataset.name}, {len(dataset.classes)} classes, checked.")
    say("")
    names = [*dataset.classes, "void"]
    width = max(map(len, ["class", *names]))
    say("  ".join(["class".ljust(width), *(f"{split} (%)".rjust(9) for split in splits)]))
    for index, name in enumerate(names):
        shares = [100 * counts[index] / max(1, counts.sum()) for counts in pixels.values()]
        say("  ".join([name.ljust(width), *(f"{share:9.3f}" for share in shares)]))
    for split, counts in pixels.items():
        if missing := [name for name, count in zip(dataset.classes, counts, strict=False) if count == 0]:
            say(f"No pixel of the {split} split is {', '.join(missing)}.")
    return DataDocument(
        name=dataset.name,
        classes=list(dataset.classes),
        splits=[
            ReadSplit(
                split=split,
                images=len(dataset.split(split)),
                pixels=dict(zip(dataset.classes, map(int, counts), strict=False)),
                void=int(counts[-1]),
            )
            for split, counts in pixels.items()
        ],
    )


@app.command()
def unpack(
    source: Annotated[
        str, typer.Argument(help="A data set on Hugging Face's hub, or a folder with one.", show_default=False)
    ],
    folder: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    image: Annotated[str | None, typer.Option(help="The name of the column of images.", show_default=False)] = None,
    mask: Annotated[str | None, typer.Option(help="The name of the column of masks.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Write a data set of Hugging Face as a folder of images and masks, with a first classes.toml.

    The bytes of images and masks stay as they are. It needs the package datasets: pip install 'segbench[huggingface]'.
    """
    from bench.cli.display import progress_of
    from bench.data.own.description import DESCRIPTION
    from bench.data.own.hugging_face import unpack as unpack_rows

    with only_document(as_json) as give:
        with progress_of(console_for_people(), "unpacked") as progress:
            counts = unpack_rows(source, folder, image=image, mask=mask, progress=progress)
        numbers = [f"{plural(count, 'image')} for {split}" for split, count in counts.items()]
        say(f"{folder}: {', '.join(numbers)}.")
        first = None if (folder / DESCRIPTION).exists() else _init(folder)
        give(
            UnpackDocument(
                folder=str(folder), images={str(split): count for split, count in counts.items()}, description=first
            )
        )


@app.command()
def prepare(
    data: Annotated[
        Literal["cityscapes", "voc2012", "pascal_context"],
        typer.Argument(help="The data set: cityscapes, voc2012 or pascal_context.", show_default=False),
    ],
    folder: Annotated[Path, typer.Argument(help="Its folder.", show_default=False)],
    sbd: Annotated[
        Path | None,
        typer.Option(help="The folder of SBD, whose labels enlarge the training split of voc2012.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the files that the publishers' own scripts make: train ids, enlarged splits, PNG from MATLAB files.

    cityscapes gets *_labelTrainIds.png; voc2012 gets SegmentationClassAug and trainaug.txt from SBD; pascal_context
    gets SegmentationClassContext with its lists. All other data sets are read as they are distributed. Files that are
    there stay as they are, so a second run goes on where the first one was.
    """
    from bench.cli.display import progress_of
    from bench.data.official.prepare import prepared

    with only_document(as_json) as give:
        preparation = prepared(data, folder, sbd)
        with progress_of(console_for_people(), "made") as progress:
            made = preparation.run(progress)
        there = len(preparation.jobs) + len(preparation.lists) - made
        check_them = f"Check them with: bench data check {data}={folder}"
        say(f"{folder}: {plural(made, 'file')} made, {there} were there. {check_them}")
        give(PrepareDocument(folder=str(folder), made=made, there=there))


@app.command()
def cache(cache: CacheFolder = None, as_json: AsJson = False) -> None:
    """Say where decoded images are kept on this machine, how many, and how much room they take."""
    with only_document(as_json) as give:
        document = CacheDocument(folder=None, samples=0, size_bytes=0)
        if shelf := _shelf(cache):
            stock = shelf.stock()
            say(f"{shelf.folder}: {plural(stock.samples, 'decoded image')}, {bytes_in_words(stock.bytes)}.")
            document = CacheDocument(folder=str(shelf.folder), samples=stock.samples, size_bytes=stock.bytes)
        give(document)


@app.command()
def evict(
    data: Annotated[
        str | None,
        typer.Argument(help="FOLDER or NAME=FOLDER of a data set; by default, all that is kept.", show_default=False),
    ] = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Remove decoded images from the cache. They are decoded anew when a trial needs them.

    Trials that are running keep what they have read. Decoded images of files that have changed since are removed only
    if no data set is named.
    """
    with only_document(as_json) as give:
        document = EvictDocument(folder=None, samples=0, size_bytes=0)
        if shelf := _shelf(cache):
            stock = shelf.evict(None if data is None else _keys_of(data, shelf))
            images = plural(stock.samples, "decoded image")
            say(f"Removed {images}, {bytes_in_words(stock.bytes)}, from {shelf.folder}.")
            document = EvictDocument(folder=str(shelf.folder), samples=stock.samples, size_bytes=stock.bytes)
        give(document)


def _shelf(option: Path | None) -> Shelf | None:
    """The shelf that the option ``--cache`` names; without one, ``None`` after a line that says so."""
    from bench.cli.decoding import shelf_in

    shelf = shelf_in(option, no_cache=False)
    if shelf is None:
        say("No decoded images are kept: BENCH_CACHE says off, or the usual folder for them is another user's.")
    return shelf


def _keys_of(data: str, shelf: Shelf) -> list[str]:
    """The keys of the decoded samples of a data set, of every split that is there."""
    from bench.data.base import SPLITS
    from bench.data.decoded.dataset import decoded

    dataset = _dataset(data)
    kept = decoded(dataset, shelf)
    if kept is None:
        return []
    splits = [kept.decoded_split(name) for name in SPLITS if _is_there(dataset, name)]
    return [key for split in splits if split is not None for key in split.keys]


def _dataset(data: str) -> Dataset:
    """The data set that an argument names."""
    from bench.data.choose import parse_data
    from bench.data.own.folder import Folder
    from bench.parts import part

    chosen, folder = parse_data(data, part(Folder))
    return chosen.build(folder)


def _is_there(dataset: Dataset, split: SplitName) -> bool:
    from bench.data.base import DataError

    try:
        return len(dataset.split(split)) > 0
    except DataError:
        return False


def _pixels(dataset: Dataset, name: SplitName) -> np.ndarray:
    """The number of pixels of each class of a split, void last; its images are counted in a line of output."""
    from bench.data.base import IGNORE

    split = dataset.split(name)
    counts = np.zeros(len(dataset.classes) + 1, dtype=np.int64)
    sizes: dict[tuple[int, ...], int] = {}
    for index in range(len(split)):
        image, label, _ = split[index]
        values = np.bincount(label.numpy().ravel(), minlength=IGNORE + 1)
        counts += [*values[: len(dataset.classes)], values[IGNORE]]
        size = tuple(image.shape[-2:])
        sizes[size] = sizes.get(size, 0) + 1
    say(f"{name}: {len(split)} images of {_spelled(sizes)} pixels")
    return counts


def _spelled(sizes: dict[tuple[int, ...], int]) -> str:
    common: Sequence[tuple[int, ...]] = sorted(sizes, key=lambda size: -sizes[size])
    shown = ", ".join(f"{width}×{height}" for height, width in common[:3])
    return shown + (f" and {len(common) - 3} other sizes" if len(common) > 3 else "")
