"""A data set of Hugging Face's ``datasets`` with a column of images and one of masks, as a folder of one's own.

The bytes of each image and mask are written as they are, so that everything that is true of a folder holds for them:
its checks, its description in ``classes.toml``, its cache of decoded images.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from bench.data.base import DataError, SplitName
from bench.data.files import written
from bench.data.own.arrangement import SPLIT_FOLDERS

SPLIT_NAMES: Mapping[str, SplitName] = {
    "dev": "val",
    **{name: split for split, names in SPLIT_FOLDERS.items() for name in names},
}
"""Name of a split there -> its name here. Other splits are left out."""

MASK_NAMES = ("mask", "label", "annotation", "segmentation", "semantic_mask", "semantic", "labels", "masks")
"""The names by which a column of masks is told from one of images, the likeliest first."""

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "GIF": ".gif", "PPM": ".ppm"}


def unpack(
    source: str,
    folder: Path,
    *,
    image: str | None = None,
    mask: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[SplitName, int]:
    """Write the images and masks of a data set into ``images/<split>`` and ``labels/<split>`` of a folder.

    Files that are there stay as they are, so that a run which was cut off can be repeated.

    Args:
        source: the name of a data set on the hub, or a folder that ``save_to_disk`` wrote or that holds Parquet files.
        folder: the folder to write into.
        image: the name of the column of images; ``None`` for the only other column of images than that of masks.
        mask: the name of the column of masks; ``None`` for the likeliest name.
        progress: a function that is called with (pairs done, pairs in all) after each pair.

    Returns:
        Split -> the number of its images.

    Raises:
        DataError: if ``datasets`` is not installed, if the data set cannot be loaded or has no such columns, or if a
            file cannot be written.
    """
    library = _library()
    splits = _splits(library, source)
    pairs = sum(len(rows) for rows in splits.values())
    done = 0
    for name, rows in splits.items():
        columns = _columns(library, rows, source, image, mask)
        encoded = rows
        for column in columns:
            encoded = encoded.cast_column(column, library.Image(decode=False))
        for index, row in enumerate(encoded):
            for column, kind in zip(columns, ("images", "labels"), strict=True):
                _write(row[column], folder / kind / name / f"{index:06d}", f"row {index} of {name}, {column}")
            done += 1
            progress(done, pairs)
    return {name: len(rows) for name, rows in splits.items()}


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "a data set of Hugging Face needs their package datasets, which is not installed: "
            "pip install 'segbench[huggingface]'"
        ) from error


def _splits(library: Any, source: str) -> dict[SplitName, Any]:
    """The splits of a data set by their names here."""
    on_disk = any((Path(source) / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        loaded = library.load_from_disk(source) if on_disk else library.load_dataset(source)
    except (OSError, ValueError, RuntimeError, library.exceptions.DatasetsError) as error:
        raise DataError(f"{source} cannot be loaded by datasets: {' '.join(str(error).split())}") from error
    named: Mapping[str, Any] = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    splits = {SPLIT_NAMES[name]: rows for name, rows in named.items() if name in SPLIT_NAMES}
    if "train" not in splits:
        raise DataError(f"{source} has no train split; it has {', '.join(named) or 'none'}")
    return splits


def _columns(library: Any, rows: Any, source: str, image: str | None, mask: str | None) -> tuple[str, str]:
    """The names of the columns of images and of masks."""
    pictures = [name for name, feature in rows.features.items() if isinstance(feature, library.Image)]
    for option, chosen in (("--image", image), ("--mask", mask)):
        if chosen is not None and chosen not in pictures:
            raise DataError(f"{source}: {option} {chosen} is no column of images; these are {_listed(pictures)}")
    masks = [mask] if mask else [name for name in MASK_NAMES if name in pictures and name != image]
    images = [image] if image else [name for name in pictures if name not in masks[:1]]
    if not masks or len(images) != 1:
        raise DataError(
            f"{source} has the columns of images {_listed(pictures)}; say which is which: --image NAME --mask NAME"
        )
    return images[0], masks[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _write(value: Any, stem: Path, where: str) -> None:
    """Write the bytes of an image into a file with the suffix of their format, unless it is there."""
    if not isinstance(value, Mapping) or (value.get("bytes") is None and value.get("path") is None):
        raise DataError(f"{where} is empty; take the row out of the data set")
    try:
        content = value["bytes"] if value.get("bytes") is not None else Path(value["path"]).read_bytes()
        with Image.open(io.BytesIO(content)) as picture:
            suffix = SUFFIXES.get(picture.format or "")
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error}); take the row out of the data set") from error
    if suffix is None:
        raise DataError(f"{where} is an image of a format that is not read here; known are {', '.join(SUFFIXES)}")
    path = stem.with_name(stem.name + suffix)
    if not path.exists():
        with written(path) as file:
            file.write(content)
    elif path.read_bytes() != content:
        raise DataError(f"{path} is another image than {where}; choose a folder that is empty")
