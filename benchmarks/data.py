"""Feeding: decoded images against decoding them, one copy for many processes, the loop against its own best rate."""

from __future__ import annotations

import ctypes
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bench.data import CamVid
from bench.data.base import Split
from bench.data.cache import Remembered
from bench.data.decoded.build import fill
from bench.data.decoded.dataset import DecodedSplit, decoded
from bench.data.decoded.shelf import Shelf
from bench.data.fed import FedSplit
from bench.data.paired import used_pairs
from bench.network.backbones.shallow import ShallowBackbone
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training import loop
from bench.training.optimiser import parameter_groups
from benchmarks.side_by_side import close, say, seconds, threads
from studies.quickstart import STUDY

CPU = torch.device("cpu")
LARGE_PX = (1024, 2048)
LARGE_IMAGES = 24
ROUNDS = 6
PROCESSES = 4
TINY = Variant(part(ShallowBackbone), part(FCNHead, width=16, dropout=0.0), losses=(part(SegmentationLoss),))
TINY_RECIPE = Recipe(data=part(CamVid), crop_px=(256, 256), batch=2, iterations=2, learning_rate=0.01)
STEPS = 60
"""Steps of the quickstart's network in one turn."""


def data() -> None:
    """Second epoch over CamVid (in BENCH_CAMVID), memory of four processes, and steps a second of the training loop."""
    with threads(1):
        if camvid := os.environ.get("BENCH_CAMVID"):
            with tempfile.TemporaryDirectory() as name:
                _second_epoch(Path(camvid), Path(name))
                _one_copy(Path(camvid), Path(name))
        else:
            say("left out, since BENCH_CAMVID names no folder: the second epoch, the memory")
        with tempfile.TemporaryDirectory() as name:
            _large_images(Path(name))
        _bare_loop()


def _line(name: str, ours: float, other: float, ratio: float, what: str) -> None:
    close(f"data {name}", f"{ours:.4g}", f"{other:.4g}", f"{ratio:.4g}", what)


def _kept(folder: Path, cache: Path) -> DecodedSplit:
    """The train split of a folder like CamVid's, all of it decoded."""
    shelf = Shelf(cache)
    dataset = decoded(CamVid(folder), shelf)
    assert dataset is not None
    split = dataset.decoded_split("train")
    assert split is not None
    fill([split], shelf, len(os.sched_getaffinity(0)))
    return split


# Decoding


def _second_epoch(folder: Path, cache: Path) -> None:
    """An epoch over decoded samples, of which every byte is copied, against one in which Pillow decodes every file."""
    split, pairs = _kept(folder, cache), used_pairs(CamVid(folder), "train")
    buffer = torch.empty(split[0].image.shape, dtype=torch.uint8)

    def hand_out() -> None:
        for index in range(len(split)):
            split[index]

    def copy() -> None:
        for index in range(len(split)):
            buffer.copy_(split[index].image)

    def pillow() -> None:
        for pair in pairs:
            np.array(Image.open(pair.image).convert("RGB"))
            np.array(Image.open(pair.label))

    copy()
    for epoch, what in ((hand_out, "handed out"), (copy, "every byte of the images copied")):
        times = [(seconds(epoch), seconds(pillow)) for _ in range(ROUNDS)]
        mine, other = (statistics.median(side) for side in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        _line("epoch", mine, other, ratio, f"{len(split)} images of CamVid, {what}; other: Pillow; wanted: ≤ 0.05, s")


# Memory

READER = """
import sys
from pathlib import Path
from bench.data import CamVid
from bench.data.decoded.dataset import decoded
from bench.data.decoded.shelf import Shelf

def memory():
    lines = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return [int(lines[name].split()[0]) for name in ("Pss", "Rss")]

dataset = CamVid(Path(sys.argv[1]))
split = (decoded(dataset, Shelf(Path(sys.argv[2]))) if sys.argv[2] else dataset).split("train")
split[0].image.sum()
before = memory()
kept = [split[index] for index in range(len(split))]
for sample in kept:
    sample.image.sum(), sample.label.sum()
print("ready", flush=True)
sys.stdin.readline()
print(*[after - first for after, first in zip(memory(), before)], flush=True)
sys.stdin.readline()
"""


def _one_copy(folder: Path, cache: Path) -> None:
    """The memory of processes that have read all samples, at the same time: decoded once, and each for itself."""
    split = _kept(folder, cache)
    size = sum(sample.image.nbytes + sample.label.nbytes for sample in map(split.__getitem__, range(len(split))))
    for place, what in ((str(cache), "decoded once"), ("", "decoded by each process, as without a cache")):
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READER, str(folder), place],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]
        pipes = [(reader.stdin, reader.stdout) for reader in readers if reader.stdin and reader.stdout]
        for _, output in pipes:
            assert output.readline() == "ready\n"
        memory = []
        for given, output in pipes:
            given.write("\n")
            given.flush()
            memory.append([int(word) for word in output.readline().split()])
        for reader in readers:
            reader.communicate("\n")
        pss, rss = (sum(side) * 1024 for side in zip(*memory, strict=True))
        text = (
            f"proportional set size of {PROCESSES} processes, {what}; resident {rss / 1e6:.0f}; other: the pixels, MB"
        )
        _line("memory", pss / 1e6, size / 1e6, pss / size, text)


# The loop on large images


def _large_images(folder: Path) -> None:
    """Steps a second in the second epoch against a constant batch, in turns: decoded once, and by the loader before."""
    _write_large(folder / "data")
    epoch = len(_kept(folder / "data", folder / "cache")) // TINY_RECIPE.batch
    dataset = CamVid(folder / "data")
    pairs = used_pairs(dataset, "train")
    before = Remembered(len(pairs), lambda index: dataset.read(pairs[index]), keep_bytes=0)
    rates: dict[str, list[float]] = {"constant": [], "warm": [], "cold": [], "before": []}
    stayed = 0.0
    for _ in range(ROUNDS):
        stayed = max(stayed, _drop(folder / "cache"))
        split = FedSplit(_kept(folder / "data", folder / "cache"), 1)  # mapped anew: mapped pages are not dropped
        rates["cold"].append(_rate(split, epoch, first_epoch=True))
        for name in ("constant", "warm", "warm", "constant"):
            rates[name].append(_rate(split, epoch, constant=name == "constant"))
        rates["before"].append(_rate(before, epoch))
        del split
    constant = statistics.median(rates["constant"])
    what = f"steps/s, {len(pairs)} PNGs of 1024×2048, crop 256×256, batch 2; other: a constant batch"
    for name, told in (
        ("warm", "second epoch; wanted: ≥ 0.95"),
        ("cold", f"first epoch after the page cache was dropped, of which {stayed:.0%} stayed"),
        ("before", "the loader before: decoded in the loop, in every epoch where the images exceed 1 GB"),
    ):
        mine = statistics.median(rates[name])
        _line(f"loop {name}", mine, constant, mine / constant, f"{what}; {told}")


def _write_large(folder: Path) -> None:
    """Images like photographs of a street to PNG's compression: smooth, with noise in the lowest bits."""
    generator = np.random.default_rng(0)
    height, width = LARGE_PX
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for index in range(LARGE_IMAGES):
        coarse = generator.integers(0, 256, (16, 32, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = smooth + generator.integers(-4, 5, smooth.shape, dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"images/train/{index:02}.png")
        classes = generator.integers(0, 12, (32, 64), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
        Image.fromarray(classes).save(folder / f"labels/train/{index:02}.png")


def _rate(split: Split, epoch: int, *, constant: bool = False, first_epoch: bool = False) -> float:
    """The steps a second of the tiny network over the second epoch of a training, or over its first.

    Args:
        split: the images.
        epoch: the steps of an epoch.
        constant: ``True`` to train on the first batch at every step.
        first_epoch: ``True`` to measure the first epoch, after the step that starts the threads.
    """
    marks: list[float] = []
    recipe = replace(TINY_RECIPE, iterations=epoch * (1 if first_epoch else 2))
    model = SegModel(TINY, len(CamVid.classes), seed=0)

    def listen(done: int, total: int, loss: float) -> None:
        marks.append(time.perf_counter())

    with _one_batch() if constant else patch.object(loop, "READ_EVERY", loop.READ_EVERY):
        loop.train(model, split, recipe, 0, device=CPU, progress=listen)
    first = 1 if first_epoch else epoch
    return (len(marks) - first) / (marks[-1] - marks[first - 1])


def _one_batch() -> Any:
    """Inside, the training loop gets its first batch at every step."""
    stream = loop.stream_of

    def constant(*arguments: Any) -> Iterator[tuple[Tensor, Tensor]]:
        batches = stream(*arguments)
        batch = next(batches)
        batches.close()
        yield from repeat(batch)

    return patch.object(loop, "stream_of", constant)


def _drop(folder: Path) -> float:
    """Drop the files of a folder from the page cache; returns the share of their pages that stayed there."""
    stayed = pages = 0
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                here = _resident(file.fileno(), path.stat().st_size)
                stayed, pages = stayed + sum(here), pages + len(here)
    return stayed / pages


def _resident(file: int, size: int) -> list[int]:
    """1 for each page of a file that is in the page cache, 0 for the others."""
    count = -(-size // mmap.PAGESIZE)
    flags = (ctypes.c_ubyte * count)()
    with mmap.mmap(file, size, access=mmap.ACCESS_COPY) as content:
        start = (ctypes.c_char * size).from_buffer(content)
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.byref(start), ctypes.c_size_t(size), flags)
        del start
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return [flag & 1 for flag in flags]


# The loop itself


def _bare_loop() -> None:
    """Steps a second of the quickstart's network in the training loop and in a bare loop, on one batch, in turns."""
    recipe = STUDY.recipe.having(iterations=STEPS)
    dataset = recipe.data.build(None)
    split = dataset.split("train")
    stream = loop.stream_of(split, recipe, 0, CPU, 0)
    batch = next(stream)
    stream.close()
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(2 * ROUNDS):
        for side in ("ours", "bare", "bare", "ours"):
            model = SegModel(STUDY.base, len(dataset.classes), seed=0)
            if side == "ours":
                with patch.object(loop, "stream_of", lambda *_: (pair for pair in repeat(batch))):
                    train_s = loop.train(model, split, recipe, 0, device=CPU).train_s
            else:
                train_s, _ = bare_loop(model, batch, recipe)
            times[side].append(train_s)
    mine, bare = (STEPS / statistics.median(side) for side in times.values())
    ratio = statistics.median(b / a for a, b in zip(times["ours"], times["bare"], strict=True))
    _line("step", mine, bare, ratio, "steps/s of the quickstart's network; other: a bare loop of torch; wanted: ≥ 0.97")


def bare_loop(model: SegModel, batch: tuple[Tensor, Tensor], recipe: Recipe) -> tuple[float, list[float]]:
    """The seconds and the losses of a training loop as one writes it by hand, with the same optimiser and schedule."""
    image, label = batch
    model.train()
    losses = nn.ModuleList(loss.build(model.num_classes) for loss in model.variant.losses)
    optimiser = torch.optim.SGD(
        parameter_groups(model, recipe), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, recipe.iterations, recipe.poly_power)
    history: list[float] = []
    start = time.perf_counter()
    for _ in range(recipe.iterations):
        output = model(image, with_aux=True)
        loss = sum(term(output, label) for term in losses)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        history.append(loss.item())
    return time.perf_counter() - start, history
