"""Mapillary Vistas 1.2 (66 labels) and 2.0 (124 labels): 18000 training and 2000 validation street images.

**Source**: Neuhold et al., "The Mapillary Vistas Dataset for Semantic Understanding of Street Scenes", ICCV 2017. The
classes and their colours are not written down here: they are read from ``config_v1.2.json`` or ``config_v2.0.json``
of the distribution, in whose ``labels`` the place of an entry is the position in the palette of label files. Labels
that it does not evaluate are void.

**Cross-checked** (folders, file names, places as values): openvinotoolkit/datumaro,
data_formats/mapillary_vistas: base.py at 04e482b, format.py at 50c8128, and open-mmlab/mmsegmentation,
tools/dataset_converters/mapillary.py at cd08dbf.

**Departures**: none. The published numbers of images and of classes are not enforced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from bench.data.base import IGNORE, DataError, SplitName
from bench.data.official.foldered import FolderedFiles
from bench.data.official.layout import beginning, coding_of
from bench.data.pixels import Colour
from bench.parts import Count

FOLDERS = {"train": "training", "val": "validation"}

Version = Literal["v1.2", "v2.0"]


Byte = Annotated[int, Field(ge=0, le=255)]


class _Label(BaseModel):
    name: str = Field(min_length=1)
    evaluate: bool
    color: tuple[Byte, Byte, Byte] | None = None


class _Config(BaseModel):
    labels: list[_Label] = Field(min_length=1, max_length=IGNORE)


class MapillaryVistas(FolderedFiles):
    """Mapillary Vistas: ``training/images`` with ``training/<version>/labels``, likewise ``validation``.

    Args:
        folder: the folder that holds ``training``, ``validation`` and the file of the labels.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
        version: the version of the annotations.

    Raises:
        DataError: if the file of the labels cannot be used.
    """

    name = "mapillary_vistas"
    title = "Mapillary Vistas"
    classes: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()

    def __init__(self, folder: Path | None, *, train_images: Count | None = None, version: Version = "v1.2") -> None:
        super().__init__(folder, train_images)
        self.folder = beginning(self.folder, (), ("training", "validation"), self.name)
        self._version = version
        self._labels = _read_labels(self.folder / f"config_{version}.json")
        evaluated = [label for label in self._labels if label.evaluate]
        self.classes = tuple(label.name for label in evaluated)
        self.colours = tuple(label.color for label in evaluated if label.color is not None)
        indices = {
            place: self.classes.index(label.name) if label.evaluate else IGNORE
            for place, label in enumerate(self._labels)
        }
        self.coding = coding_of(indices, f"0 to {len(indices) - 1} (config_{version}.json)")

    def meaning(self) -> str:
        return json.dumps([[label.name, label.evaluate] for label in self._labels])

    def folders(self, name: SplitName) -> tuple[Path, Path] | None:
        if name not in FOLDERS:
            return None
        return self.folder / FOLDERS[name] / "images", self.folder / FOLDERS[name] / self._version / "labels"


def _read_labels(path: Path) -> list[_Label]:
    """The labels of a version, in the order of their values."""
    if not path.is_file():
        raise DataError(f"{path} is missing: it says what the labels mean; get it from the distributed archive")
    try:
        labels = _Config.model_validate_json(path.read_bytes()).labels
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} cannot be read ({place}: {first['msg']}); get the file again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); get the file again") from error
    names = [label.name for label in labels]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path} has two labels called {twice!r}; get the file again")
    if not any(label.evaluate for label in labels):
        raise DataError(f"{path} evaluates no label; get the file again")
    return labels
