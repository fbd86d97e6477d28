"""The files that the publishers' own scripts make from a distributed data set, and that other tools expect.

**Sources**: Cityscapes: ``csCreateTrainIdLabelImgs`` of mcordts/cityscapesScripts. SBD with VOC2012, and PASCAL
Context: the layouts that mmsegmentation's ``tools/dataset_converters/voc_aug.py`` (3f8d34e) and ``pascal_context.py``
(2b6a1aa) write, each from its description.

**Departures**: train ids are made from the ``labelIds`` files rather than drawn from the polygons anew, and PASCAL
Context's files from the published MATLAB files; the pixels are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image
from torch import Tensor

from bench.data.base import DataError
from bench.data.files import files_inside, files_of, read_names, written
from bench.data.official.cityscapes import Cityscapes
from bench.data.official.matlab import read_matlab_label
from bench.data.official.pascal_context import CONVERTED, PUBLISHED, PascalContext, read_categories
from bench.data.official.voc2012 import AUG_LABELS, AUG_LISTS, LISTS, VOC2012
from bench.data.pixels import read_label

Name = Literal["cityscapes", "voc2012", "pascal_context"]

SBD_LABEL = "GTcls.Segmentation"
"""The label map in a file of SBD."""


@dataclass(frozen=True)
class Job:
    """A file that is to be made.

    Attributes:
        target: the path of the file.
        make: the function that gives its label map, ``H W`` uint8.
    """

    target: Path
    make: Callable[[], Tensor]


@dataclass(frozen=True)
class Preparation:
    """All files that are to be made for a data set.

    Attributes:
        jobs: the label files.
        lists: path of a list -> the names in it.
    """

    jobs: tuple[Job, ...]
    lists: dict[Path, tuple[str, ...]]

    def run(self, progress: Callable[[int, int], None]) -> int:
        """Make what is missing, and give the number of files that were made. A file that is there stays as it is.

        A run that is killed leaves no half file, and another run goes on where it was. The lists come last.

        Args:
            progress: a function that is called with (files done, files in all) after each label file.

        Raises:
            DataError: for the first file that cannot be used, or a folder that cannot be written to.
        """
        missing = [job for job in self.jobs if not job.target.exists()]
        for done, job in enumerate(missing, start=1):
            values = job.make().numpy()
            with written(job.target) as file:
                Image.fromarray(values).save(file, "PNG")
            progress(done, len(missing))
        lists = {path: names for path, names in self.lists.items() if not path.exists()}
        for path, names in lists.items():
            with written(path) as file:
                file.write("".join(f"{name}\n" for name in names).encode())
        return len(missing) + len(lists)


def prepared(name: Name, folder: Path, sbd: Path | None = None) -> Preparation:
    """The files that are to be made for a data set.

    Args:
        name: the data set.
        folder: its folder.
        sbd: the folder of SBD, for ``voc2012``.

    Raises:
        DataError: if the folder lacks something, or if SBD is given to another data set.
    """
    if name == "voc2012":
        return voc2012(folder, sbd)
    if sbd is not None:
        raise DataError(f"{name} has no part in SBD, which enlarges voc2012; leave --sbd out")
    return cityscapes(folder) if name == "cityscapes" else pascal_context(folder)


def cityscapes(folder: Path) -> Preparation:
    """``labelTrainIds`` files beside the ``labelIds`` files of Cityscapes: 0 to 18, and 255 for void.

    Raises:
        DataError: if there are no such files.
    """
    dataset = Cityscapes(folder)
    sources = [
        path
        for kind in ("gtFine", "gtCoarse")
        if (dataset.folder / kind).is_dir()
        for split in sorted((dataset.folder / kind).iterdir())
        if split.is_dir()
        for path in files_inside(split, (".png",), f"_{kind}_labelIds")
    ]
    if not sources:
        raise DataError(
            f"{dataset.folder} has no *_labelIds.png in gtFine or gtCoarse; unpack the labels' archive there"
        )

    target_of = {path: path.with_name(path.name.replace("_labelIds", "_labelTrainIds")) for path in sources}
    return Preparation(
        tuple(Job(target, partial(read_label, path, dataset.coding)) for path, target in target_of.items()), {}
    )


def voc2012(folder: Path, sbd: Path | None) -> Preparation:
    """SBD's label files as PNG in ``SegmentationClassAug`` of VOC2012, and the list ``trainaug.txt``.

    The list holds the images of both lists of SBD and of VOC2012's ``train.txt`` that are not in its ``val.txt``: 10582
    of the whole data sets.

    Args:
        folder: the folder of VOC2012.
        sbd: the folder of SBD, which holds ``cls``, ``train.txt`` and ``val.txt``, or has them in ``dataset``.

    Raises:
        DataError: if one of the folders lacks something.
    """
    dataset = VOC2012(folder)
    if sbd is None:
        raise DataError("voc2012 needs the folder of SBD, which is benchmark_RELEASE of its archive: --sbd /path")
    places = (sbd, sbd / "dataset", sbd / "benchmark_RELEASE/dataset")
    inside = next((place for place in places if (place / "cls").is_dir()), None)
    if inside is None:
        raise DataError(f"{sbd} has no folder cls with SBD's label files; give benchmark_RELEASE of its archive")
    both = read_names(inside / "train.txt", "train").names | read_names(inside / "val.txt", "val").names
    own = read_names(dataset.folder / LISTS / "train.txt", "train").names
    evaluated = read_names(dataset.folder / LISTS / "val.txt", "val").names
    indices = {index: index for index in range(len(dataset.classes))}
    read = partial(read_matlab_label, variable=SBD_LABEL, indices=indices, meaning=f"0 to {len(indices) - 1}")
    source_of = {path.stem: path for path in files_of(inside / "cls", (".mat",))}
    jobs = [
        Job(dataset.folder / AUG_LABELS / f"{name}.png", partial(read, source_of.get(name, inside / f"cls/{name}.mat")))
        for name in sorted(both - evaluated)
    ]
    return Preparation(tuple(jobs), {dataset.folder / AUG_LISTS[0]: tuple(sorted((both | own) - evaluated))})


def pascal_context(folder: Path) -> Preparation:
    """PASCAL Context's label files as PNG (0 for background, 1 to 59) with the lists of its splits.

    Raises:
        DataError: if the published files are not there.
    """
    dataset = PascalContext(folder)
    labels, lists = (dataset.folder / place for place in PUBLISHED)
    sources = files_of(labels, (".mat",))
    if not sources:
        raise DataError(f"{dataset.folder} has no trainval/*.mat; unpack trainval.tar.gz of PASCAL Context there")
    names_of = {split: read_names(lists / f"{split}.txt", split).names for split in ("train", "val")}
    jobs = [
        Job(dataset.folder / CONVERTED[0] / f"{path.stem}.png", partial(read_categories, path))
        for path in sources
        if path.stem in names_of["train"] | names_of["val"]
    ]
    new_lists = {
        dataset.folder / CONVERTED[1] / f"{split}.txt": tuple(sorted(names)) for split, names in names_of.items()
    }
    return Preparation(tuple(jobs), new_lists)
