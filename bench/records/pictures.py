"""Small pictures of a split and of predictions on it: what quality trials keep for the report's gallery.

Maps ``H W`` uint8 class indices with :data:`VOID` where nothing is known. Numpy and Pillow; no torch.

An archive is a zip file that any program opens: ``names.json`` with the names and strides of the images in the order of
the split and, numbered by place in it, ``prediction_<i>.png`` of a trial; or ``image_<i>.jpg`` and ``label_<i>.png`` of
a split. The grey of a map's pixel is its class. Of CamVid's frames of 480x360 a map takes 5.2 kB and 6 ms, an image
34 kB and 2 ms. Archives of an earlier bench are read, too: NPZ files of names, maps and images as arrays of bytes.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from pydantic import Field, ValidationError

from bench.records.files import RecordError, json_text, open_file, read_arrays, write_zip
from bench.records.forms import Form, parse, problem

Bytes = npt.NDArray[np.uint8]

VOID = 255
"""The same number as :data:`bench.data.base.IGNORE`, which cannot be imported without torch."""
LONGEST_PX = 512
"""No side of a picture is longer: two of them fill a page's width, and 500 frames of Cityscapes stay under 3 MB."""
JPEG_QUALITY = 80
SIZE = np.dtype("<u4")
KINDS = ("image", "label", "stride")
"""The kinds of array that a split's archive of an earlier bench holds for each image."""
INDEX = "names.json"
"""The file of an archive that lists its images."""


def stride(height: int, width: int) -> int:
    """The distance between two kept rows or columns, in pixels: the smallest that :data:`LONGEST_PX` allows."""
    return -(-max(height, width) // LONGEST_PX)


def thinned(values: Bytes) -> Bytes:
    """The middle pixel of every block of :func:`stride` squared, ``H W``; no class is ever mixed from two."""
    step = stride(*values.shape)
    height, width = (side // step * step for side in values.shape)
    return values[step // 2 : height : step, step // 2 : width : step]


class Album:
    """Gathers pictures while a network is evaluated.

    Images and labels are the same for every trial of a study: they are left to the trial that comes first. Two that
    start at once both write them, each in one step, and the same.
    """

    def __init__(self, predictions: Path, images: Path) -> None:
        """
        Args:
            predictions: the archive of this trial.
            images: the archive of the split.
        """
        self._paths = predictions, images
        self._first = not images.exists()
        self._index: dict[str, list[Any]] = {"names": [], "strides": []}
        self._predictions: dict[str, bytes] = {}
        self._images: dict[str, bytes] = {}

    def add(self, name: str, image: Bytes, label: Bytes, prediction: Bytes) -> None:
        """Keep one image ``3 H W``, its label and its prediction."""
        index = len(self._index["names"])
        self._index["names"].append(name)
        self._index["strides"].append(stride(*label.shape))
        self._predictions[f"prediction_{index}.png"] = _png(thinned(prediction))
        if self._first:
            self._images[f"image_{index}.jpg"] = _jpeg(image)
            self._images[f"label_{index}.png"] = _png(thinned(label))

    def write(self) -> None:
        """Write what was gathered; a reader sees all of an archive or nothing."""
        predictions, images = self._paths
        listed = json_text(self._index).encode()
        if self._first:
            write_zip({INDEX: listed, **self._images}, images)
        write_zip({INDEX: listed, **self._predictions}, predictions)


class Picture(NamedTuple):
    """An image of a split.

    Attributes:
        jpeg: a JPEG file.
        label: the label map ``H W``, of the same size as the image.
        stride: the distance between two rows or columns that were kept, in pixels of the data set's image.
    """

    jpeg: bytes
    label: Bytes
    stride: int


def read_names(path: Path) -> list[str]:
    """The names in an archive, in its order.

    Raises:
        RecordError: for a file that is none.
    """
    with _archive(path) as archive:
        if archive is not None:
            return _index(archive).names
    names = read_arrays(path, ["names"])["names"]
    if names.ndim != 1:
        raise RecordError(f"{path} has no list of names; delete it")
    return [str(name) for name in names]


def read_predictions(path: Path, indices: Collection[int]) -> dict[int, Bytes]:
    """Some predictions of a trial's archive, ``H W`` each.

    Raises:
        RecordError: for a file that is none, or that lacks one of them.
    """
    with _archive(path) as archive:
        if archive is not None:
            return {index: _map(archive.read(f"prediction_{index}.png")) for index in indices}
    arrays = read_arrays(path, [f"prediction_{index}" for index in indices])
    return {index: _unpacked(arrays[f"prediction_{index}"], path) for index in indices}


def read_pictures(path: Path, indices: Collection[int]) -> dict[int, Picture]:
    """Some images of a split's archive, with their labels.

    Raises:
        RecordError: for a file that is none, or that lacks one of them.
    """
    with _archive(path) as archive:
        if archive is not None:
            strides = _index(archive).strides
            return {index: _picture_of(archive, index, strides[index], path) for index in indices}
    arrays = read_arrays(path, [f"{kind}_{index}" for index in indices for kind in KINDS])
    return {index: _picture({kind: arrays[f"{kind}_{index}"] for kind in KINDS}, path) for index in indices}


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile | None]:
    """A zip file of pictures to read from; ``None`` for one of an earlier bench, which holds arrays.

    Raises:
        RecordError: for a file that is no zip file, and for whatever is wrong with the pictures that are read from it.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if "names.npy" not in names:
                for entry in archive.infolist():
                    if entry.file_size > LARGEST_PICTURE:
                        raise ValueError(f"{entry.filename!r} has {entry.file_size:,} bytes, too many for a picture")
                yield archive
                return
    except RecordError:
        raise
    except (*DAMAGE, MemoryError) as error:
        why = _why(error)
        raise RecordError(f"{path} cannot be read ({why}); delete it, and reports go without it") from error
    yield None


def _why(error: Exception) -> str:
    """An error in one line that says nothing of objects in memory."""
    if isinstance(error, ValidationError):
        return f"{INDEX}: {problem(error)}"
    if isinstance(error, UnidentifiedImageError):
        return "one of its pictures is no image"
    return str(error) or "it needs more memory than there is"


DAMAGE = (OSError, ValueError, KeyError, IndexError, EOFError, SyntaxError, NotImplementedError, RuntimeError,
          zipfile.BadZipFile, zlib.error, Image.DecompressionBombError)  # fmt: skip
"""The errors that zip files, images and JSON raise which are damaged or no such files."""
LARGEST_PICTURE = 2**24
"""The most bytes of a file in an archive; a picture of the largest size has 0.8 MB, and a name of 10 MB is none."""


class Index(Form):
    """The images of an archive: their names, and the distances in pixels between two rows or columns that were kept."""

    names: list[str]
    strides: list[Annotated[int, Field(ge=1)]]


def _index(archive: zipfile.ZipFile) -> Index:
    index = parse(Index, archive.read(INDEX))
    if len(index.names) != len(index.strides):
        raise ValueError(f"{len(index.names)} names and {len(index.strides)} strides")
    return index


def _picture_of(archive: zipfile.ZipFile, index: int, step: int, path: Path) -> Picture:
    made = Picture(archive.read(f"image_{index}.jpg"), _map(archive.read(f"label_{index}.png")), step)
    return _checked(made, path)


def _map(png: bytes) -> Bytes:
    """The classes in a PNG file, ``H W``."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        if opened.mode != "L" or max(opened.size) > LONGEST_PX:
            raise ValueError(f"a map of mode {opened.mode} and {opened.width} x {opened.height} pixels")
        return np.array(opened, dtype=np.uint8)


def _picture(found: Mapping[str, Bytes], path: Path) -> Picture:
    step = found["stride"]
    steps = int(step) if step.ndim == 0 and step.dtype.kind in "iu" else 0
    return _checked(Picture(found["image"].tobytes(), _unpacked(found["label"], path), steps), path)


def _checked(made: Picture, path: Path) -> Picture:
    """The picture, if its image is a JPEG file of its label's size."""
    try:
        with Image.open(io.BytesIO(made.jpeg), formats=["JPEG"]) as opened:
            size = opened.size
    except UnidentifiedImageError:
        size = (0, 0)
    if size != made.label.shape[::-1] or made.stride < 1:
        raise RecordError(f"{path} holds a picture that is no JPEG of its label's size, or no stride of it; delete it")
    return made


def _png(values: Bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def _jpeg(image: Bytes) -> bytes:
    """An image ``3 H W`` as a JPEG file of the size of its :func:`thinned` maps; blocks are averaged."""
    step = stride(*image.shape[1:])
    height, width = (side // step * step for side in image.shape[1:])
    file = io.BytesIO()
    pixels = np.ascontiguousarray(image[:, :height, :width].transpose(1, 2, 0))
    Image.fromarray(pixels).reduce(step).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _unpacked(content: Bytes, path: Path) -> Bytes:
    data = content.tobytes()
    try:
        height, width = (int(side) for side in np.frombuffer(data[: 2 * SIZE.itemsize], dtype=SIZE))
        values = zlib.decompressobj().decompress(data[2 * SIZE.itemsize :], height * width + 1)
        return np.frombuffer(values, dtype=np.uint8).reshape(height, width)
    except (ValueError, zlib.error) as error:
        raise RecordError(f"{path} holds a map that cannot be read ({error}); delete it") from error
