"""What the publishers' scripts make of a distributed data set: pixel by pixel, lists, a second run, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bench.data.base import DataError
from bench.data.official.cityscapes import Cityscapes
from bench.data.official.pascal_context import CATEGORIES, PascalContext
from bench.data.official.prepare import Name, Preparation, prepared
from bench.data.official.voc2012 import VOC2012
from tests.data.official import test_pascal_context, test_voc2012
from tests.data.official.drawn import Drawer, assert_equal, stored

Bench = Callable[..., tuple[int, str, str]]


def run(preparation: Preparation) -> int:
    seen: list[tuple[int, int]] = []
    made = preparation.run(lambda done, total: seen.append((done, total)))
    assert seen == [(index + 1, len(seen)) for index in range(len(seen))]
    return made


TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip
"""The trainId of each id in the table of cityscapesScripts; all others have 255."""


def test_train_ids_are_those_of_the_official_table(tmp_path: Path) -> None:
    for split, city in (("train", "aachen"), ("val", "lindau"), ("test", "bonn")):
        drawer = Drawer(seed=len(city))
        drawer.image(tmp_path / "leftImg8bit" / split / city / f"{city}_000000_000019_leftImg8bit.png")
        drawer.label(tmp_path / "gtFine" / split / city / f"{city}_000000_000019_gtFine_labelIds.png", range(34))
    assert run(prepared("cityscapes", tmp_path)) == 3
    for source in tmp_path.glob("gtFine/*/*/*_labelIds.png"):
        expected = np.vectorize(lambda value: TRAIN_IDS.get(value, 255))(stored(source))
        assert np.array_equal(stored(source.with_name(source.name.replace("labelIds", "labelTrainIds"))), expected)
    by_ids, by_train_ids = Cityscapes(tmp_path), Cityscapes(tmp_path, label_files="labelTrainIds")
    assert by_ids.split("val")[0].label.tolist() == by_train_ids.split("val")[0].label.tolist()
    assert run(prepared("cityscapes", tmp_path)) == 0


def sbd_of(folder: Path) -> Path:
    """A tiny SBD as it is distributed: structures in MATLAB files, with the lists of its own splits."""
    inside = folder / "benchmark_RELEASE" / "dataset"
    (inside / "cls").mkdir(parents=True)
    drawn = np.random.default_rng(3)
    for index, name in enumerate((*test_voc2012.ONLY_SBD, test_voc2012.VAL[0])):
        segmentation = drawn.integers(0, 21, (7, 9)).astype(np.uint8)
        boundaries = np.empty((20, 1), dtype=object)
        boundaries[:] = [[np.zeros((7, 9))]] * 20
        described = {"Boundaries": boundaries, "Segmentation": segmentation, "CategoriesPresent": np.array([[1], [7]])}
        suffix = (".mat", ".MAT", ".mat")[index]
        savemat(inside / "cls" / f"{name}{suffix}", {"GTcls": described}, do_compression=index % 2 == 0)
        np.save(folder / f"{name}.npy", segmentation)
    (inside / "train.txt").write_text(f"{test_voc2012.ONLY_SBD[0]}\n{test_voc2012.VAL[0]}\n")
    (inside / "val.txt").write_text(f"{test_voc2012.ONLY_SBD[1]}\n")
    return folder


def test_sbd_enlarges_the_training_split_and_never_the_evaluated_one(bench: Bench, tmp_path: Path) -> None:
    voc = test_voc2012.make(tmp_path / "VOC2012")
    for made_before in (voc / "SegmentationClassAug").iterdir():
        made_before.unlink()
    (voc / test_voc2012.LISTS / "trainaug.txt").unlink()
    sbd = sbd_of(tmp_path / "sbd")
    code, out, err = bench("data", "prepare", "voc2012", voc, "--sbd", sbd)
    assert code == 0, err
    assert "3 files made, 0 were there" in out
    listed = (voc / test_voc2012.LISTS / "trainaug.txt").read_text().split()
    assert listed == sorted({*test_voc2012.TRAIN, *test_voc2012.ONLY_SBD})
    data = VOC2012(voc, training="trainaug")
    expected = [
        (voc / "JPEGImages" / f"{name}.jpg", np.load(sbd / f"{name}.npy"))
        if name in test_voc2012.ONLY_SBD
        else (voc / "JPEGImages" / f"{name}.jpg", stored(voc / "SegmentationClass" / f"{name}.png"))
        for name in listed
    ]
    assert_equal(data.split("train"), expected)
    assert "0 files made, 3 were there" in bench("data", "prepare", "voc2012", voc, "--sbd", sbd)[1]


def test_matlab_files_of_pascal_context_become_bytes_and_lists(tmp_path: Path) -> None:
    drawer, drawn = Drawer(size=(9, 11)), np.random.default_rng(1)
    names = {"train": test_pascal_context.TRAIN, "val": test_pascal_context.VAL}
    (tmp_path / "trainval").mkdir()
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    for split, chosen in names.items():
        (tmp_path / f"ImageSets/Main/{split}.txt").write_text("\n".join(chosen))
        for name in chosen:
            drawer.image(tmp_path / "JPEGImages" / f"{name}.jpg")
            numbers = drawn.choice([*test_pascal_context.IDS, 1, 459], (9, 11)).astype(np.uint16)
            savemat(tmp_path / "trainval" / f"{name}.mat", {"LabelMap": numbers})
    before = [PascalContext(tmp_path).split(split)[0].label.tolist() for split in ("train", "val")]
    assert run(prepared("pascal_context", tmp_path)) == 6
    data = PascalContext(tmp_path)
    assert (tmp_path / "ImageSets/SegmentationContext/val.txt").read_text().split() == sorted(names["val"])
    assert [data.split(split)[0].label.tolist() for split in ("train", "val")] == before
    assert max(stored(path).max() for path in (tmp_path / "SegmentationClassContext").iterdir()) <= len(CATEGORIES)


def test_a_run_that_is_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    voc, sbd = test_voc2012.make(tmp_path / "VOC2012"), sbd_of(tmp_path / "sbd")
    for made_before in (voc / "SegmentationClassAug").iterdir():
        made_before.unlink()
    (voc / test_voc2012.LISTS / "trainaug.txt").unlink()

    def cut_off(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared("voc2012", voc, sbd).run(cut_off)
    assert len(list((voc / "SegmentationClassAug").iterdir())) == 1
    assert not (voc / test_voc2012.LISTS / "trainaug.txt").exists()
    assert run(prepared("voc2012", voc, sbd)) == 2


@pytest.mark.parametrize(
    ("name", "sbd", "message"),
    [
        ("voc2012", None, "needs the folder of SBD.*--sbd /path"),
        ("voc2012", "empty", "has no folder cls with SBD's label files"),
        ("voc2012", "damaged", r"2008_000002\.mat cannot be read as a MATLAB file"),
        ("cityscapes", "empty", "has no part in SBD.*leave --sbd out"),
        ("cityscapes", None, "has no folder leftImg8bit"),
        ("pascal_context", None, r"has no trainval/\*\.mat"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(
    bench: Bench, tmp_path: Path, name: Name, sbd: str | None, message: str
) -> None:
    make = test_pascal_context.make if name == "pascal_context" else test_voc2012.make
    folder = make(tmp_path / name)
    sbd_folder = None if sbd is None else tmp_path / sbd
    (tmp_path / "empty").mkdir()
    sbd_of(tmp_path / "damaged")
    (tmp_path / "damaged/benchmark_RELEASE/dataset/cls/2008_000002.mat").write_bytes(b"no MATLAB")
    for made_before in (folder / "SegmentationClassAug").glob("*"):
        made_before.unlink()
    code, _, err = bench("data", "prepare", name, folder, *(["--sbd", sbd_folder] if sbd_folder else []))
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    with pytest.raises(DataError, match=message):
        prepared(name, folder, sbd_folder).run(lambda done, total: None)
