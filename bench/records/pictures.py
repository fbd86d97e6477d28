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
from pydantic import Field

from bench.records.files import json_text, open_file, read_arrays, refusing_damage, write_zip
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
        RecordError: for a file that is no archive of pictures.
    """
    with refusing_damage(path), _opened(path) as archive:
        if archive is not None:
            return _index(archive).names
        names = read_arrays(path, ["names"])["names"]
        if names.ndim != 1:
            raise ValueError("it has no list of names")
        return [str(name) for name in names]


def read_predictions(path: Path, indices: Collection[int]) -> dict[int, Bytes]:
    """Some predictions of a trial's archive, ``H W`` each.

    Raises:
        RecordError: for a file that is no archive of pictures, or that lacks one of them.
    """
    with refusing_damage(path), _opened(path) as archive:
        if archive is not None:
            return {index: _map(archive.read(f"prediction_{index}.png")) for index in indices}
        arrays = read_arrays(path, [f"prediction_{index}" for index in indices])
        return {index: _unpacked(arrays[f"prediction_{index}"]) for index in indices}


def read_pictures(path: Path, indices: Collection[int]) -> dict[int, Picture]:
    """Some images of a split's archive, with their labels.

    Raises:
        RecordError: for a file that is no archive of pictures, or that lacks one of them.
    """
    with refusing_damage(path), _opened(path) as archive:
        if archive is not None:
            steps = dict(enumerate(_index(archive).strides))
            return {index: _picture_of(archive, index, steps) for index in indices}
        arrays = read_arrays(path, [f"{kind}_{index}" for index in indices for kind in KINDS])
        return {index: _picture({kind: arrays[f"{kind}_{index}"] for kind in KINDS}) for index in indices}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | None]:
    """A zip file of pictures to read from; ``None`` for one of an earlier bench, which holds arrays.

    Raises:
        ValueError: for a file in the archive that is too large to be a picture.
    """
    with open_file(path) as file, zipfile.ZipFile(file) as archive:
        if "names.npy" in archive.namelist():
            yield None
            return
        for entry in archive.infolist():
            if entry.file_size > LARGEST_PICTURE:
                raise ValueError(f"{entry.filename!r} has {entry.file_size:,} bytes, too many for a picture")
        yield archive


LARGEST_PICTURE = 2**24
"""The most bytes of a file in an archive: a picture of the largest size has 0.8 MB, the names of 500 images 15 kB."""


class Index(Form):
    """The images of an archive: their names, and the distances in pixels between two rows or columns that were kept."""

    names: list[str]
    strides: list[Annotated[int, Field(ge=1)]]


def _index(archive: zipfile.ZipFile) -> Index:
    try:
        index = parse(Index, archive.read(INDEX))
    except ValueError as error:
        raise ValueError(f"{INDEX}: {problem(error)}") from error
    if len(index.names) != len(index.strides):
        raise ValueError(f"{len(index.names)} names and {len(index.strides)} strides")
    return index


def _picture_of(archive: zipfile.ZipFile, index: int, steps: Mapping[int, int]) -> Picture:
    jpeg, label = archive.read(f"image_{index}.jpg"), _map(archive.read(f"label_{index}.png"))
    return _checked(Picture(jpeg, label, steps.get(index, 0)))


def _map(png: bytes) -> Bytes:
    """The classes in a PNG file, ``H W``."""
    with _image(png, "PNG") as image:
        if image.mode != "L" or max(image.size) > LONGEST_PX:
            raise ValueError(f"a map of mode {image.mode} and {image.width} x {image.height} pixels")
        return np.array(image, dtype=np.uint8)


def _image(content: bytes, kind: str) -> Image.Image:
    """The image in a file of a kind, such as ``PNG``, whose pixels are not read yet."""
    try:
        return Image.open(io.BytesIO(content), formats=[kind])
    except UnidentifiedImageError:  # its text is about an object in memory
        raise ValueError(f"one of its pictures is no {kind} file") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _picture(arrays: Mapping[str, Bytes]) -> Picture:
    step = arrays["stride"]
    steps = int(step) if step.ndim == 0 and step.dtype.kind in "iu" else 0
    return _checked(Picture(arrays["image"].tobytes(), _unpacked(arrays["label"]), steps))


def _checked(picture: Picture) -> Picture:
    """The picture, if its image is a JPEG file of its label's size."""
    with _image(picture.jpeg, "JPEG") as image:
        if image.size != picture.label.shape[::-1]:
            raise ValueError("one of its pictures has another size than its label")
    if picture.stride < 1:
        raise ValueError("one of its pictures has no stride")
    return picture


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


def _unpacked(content: Bytes) -> Bytes:
    """The map ``H W`` in an array of bytes: its height and width, then its compressed pixels."""
    data = content.tobytes()
    height, width = (int(side) for side in np.frombuffer(data[: 2 * SIZE.itemsize], dtype=SIZE))
    if max(height, width) > LONGEST_PX:
        raise ValueError(f"a map of {width} x {height} pixels")
    values = zlib.decompressobj().decompress(data[2 * SIZE.itemsize :], height * width + 1)
    return np.frombuffer(values, dtype=np.uint8).reshape(height, width)
