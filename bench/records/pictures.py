"""Small pictures of a split and of predictions on it: what quality trials keep for the report's gallery.

Maps ``H W`` uint8 class indices with :data:`VOID` where nothing is known. Numpy and Pillow; no torch.

An archive is an NPZ with ``names`` and, numbered by place in the split, ``prediction_<i>`` of a trial; or
``image_<i>``, ``label_<i>`` and ``stride_<i>`` of a split. Images are JPEG files; maps height and width, then the zlib
stream of their bytes. Of CamVid's frames of 480x360 a map takes 4.5 kB and 2.4 ms (as PNG 5.2 kB and 6 ms), an image
34 kB and 2 ms.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from bench.records.files import RecordError, read_arrays, write_arrays

Bytes = npt.NDArray[np.uint8]

VOID = 255
"""The same number as :data:`bench.data.base.IGNORE`, which cannot be imported without torch."""
LONGEST_PX = 512
"""No side of a picture is longer: two of them fill a page's width, and 500 frames of Cityscapes stay under 3 MB."""
JPEG_QUALITY = 80
SIZE = np.dtype("<u4")
KINDS = ("image", "label", "stride")
"""The kinds of array that a split's archive holds for each image."""


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
        self._names: list[str] = []
        self._predictions: dict[str, Bytes] = {}
        self._images: dict[str, Bytes] = {}

    def add(self, name: str, image: Bytes, label: Bytes, prediction: Bytes) -> None:
        """Keep one image ``3 H W``, its label and its prediction."""
        index = len(self._names)
        self._names.append(name)
        self._predictions[f"prediction_{index}"] = _packed(thinned(prediction))
        if self._first:
            self._images[f"image_{index}"] = _jpeg(image)
            self._images[f"label_{index}"] = _packed(thinned(label))
            self._images[f"stride_{index}"] = np.array(stride(*label.shape), dtype=np.uint8)

    def write(self) -> None:
        """Write what was gathered; a reader sees all of an archive or nothing."""
        predictions, images = self._paths
        names = np.array(self._names, dtype=str)
        if self._first:
            write_arrays({"names": names, **self._images}, images, compress=False)
        write_arrays({"names": names, **self._predictions}, predictions, compress=False)


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
    names = read_arrays(path, ["names"])["names"]
    if names.ndim != 1:
        raise RecordError(f"{path} has no list of names; delete it")
    return [str(name) for name in names]


def read_predictions(path: Path, indices: Collection[int]) -> dict[int, Bytes]:
    """Some predictions of a trial's archive, ``H W`` each.

    Raises:
        RecordError: for a file that is none, or that lacks one of them.
    """
    found = read_arrays(path, [f"prediction_{index}" for index in indices])
    return {index: _unpacked(found[f"prediction_{index}"], path) for index in indices}


def read_pictures(path: Path, indices: Collection[int]) -> dict[int, Picture]:
    """Some images of a split's archive, with their labels.

    Raises:
        RecordError: for a file that is none, or that lacks one of them.
    """
    found = read_arrays(path, [f"{kind}_{index}" for index in indices for kind in KINDS])
    return {index: _picture({kind: found[f"{kind}_{index}"] for kind in KINDS}, path) for index in indices}


def _picture(found: Mapping[str, Bytes], path: Path) -> Picture:
    step = found["stride"]
    steps = int(step) if step.ndim == 0 and step.dtype.kind in "iu" else 0
    made = Picture(found["image"].tobytes(), _unpacked(found["label"], path), steps)
    try:
        with Image.open(io.BytesIO(made.jpeg), formats=["JPEG"]) as opened:
            size = opened.size
    except UnidentifiedImageError:
        size = (0, 0)
    if size != made.label.shape[::-1] or steps < 1:
        raise RecordError(f"{path} holds a picture that is no JPEG of its label's size, or no stride of it; delete it")
    return made


def _packed(values: Bytes) -> Bytes:
    content = np.array(values.shape, dtype=SIZE).tobytes() + zlib.compress(values.tobytes())
    return np.frombuffer(content, dtype=np.uint8)


def _jpeg(image: Bytes) -> Bytes:
    """An image ``3 H W`` as a JPEG file of the size of its :func:`thinned` maps; blocks are averaged."""
    step = stride(*image.shape[1:])
    height, width = (side // step * step for side in image.shape[1:])
    file = io.BytesIO()
    pixels = np.ascontiguousarray(image[:, :height, :width].transpose(1, 2, 0))
    Image.fromarray(pixels).reduce(step).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def _unpacked(content: Bytes, path: Path) -> Bytes:
    data = content.tobytes()
    try:
        height, width = (int(side) for side in np.frombuffer(data[: 2 * SIZE.itemsize], dtype=SIZE))
        values = zlib.decompressobj().decompress(data[2 * SIZE.itemsize :], height * width + 1)
        return np.frombuffer(values, dtype=np.uint8).reshape(height, width)
    except (ValueError, zlib.error) as error:
        raise RecordError(f"{path} holds a map that cannot be read ({error}); delete it") from error
