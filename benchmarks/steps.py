"""Training steps on a GPU: the host's time for one, and the loop against a bare loop on a batch that stays there."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch

from bench.data import CamVid
from bench.data.base import Dataset, Split
from bench.data.fed import FedSplit
from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.network.numerics import switches
from bench.parts import Part, part
from bench.protocol.recipe import Recipe
from bench.training import late, loop, plain
from bench.training.step import layout, prepare
from benchmarks.side_by_side import close, say, threads

DEPTHS = (18, 50)
ROUNDS = 4
HOST_STEPS = 12
CUDA_STEPS = 100
CUDA_WARM_UP = 10
EARLIER_FORM = part(torch.optim.SGD, momentum=0.9, foreach=True)
"""The optimiser of the earlier loop: one kernel for each operation of the update."""
RECIPE = Recipe(
    data=part(CamVid), crop_px=(352, 480), batch=8, iterations=HOST_STEPS, learning_rate=0.01, kernels="default"
)


def host_step() -> None:
    """The host's seconds for a training step: the loop against its plain form, which waits for each step, in turns.

    On the null CUDA device, which computes nothing, they are all that a step takes. Batches are 8 crops of CamVid (in
    BENCH_CAMVID, else of synthetic images of its size), on one thread of torch.
    """
    if not torch.cuda.is_available():
        say("host_step: neither a GPU nor the null CUDA device is here, so nothing was measured")
        return
    with threads(1), _values_that_mean_nothing():
        _, split = _data()
        for depth in DEPTHS:
            for workers in (0, 1):
                _host_line(depth, split, workers)


def _host_line(depth: int, split: Split, workers: int) -> None:
    variant, device = _network(depth), torch.device("cuda")

    def ours() -> None:
        loop.train(SegModel(variant, 11), FedSplit(split, workers), RECIPE, 0, device=device)

    def earlier() -> None:
        recipe = RECIPE.having(optimiser=EARLIER_FORM)
        plain.train_plainly(SegModel(variant, 11), split, recipe, 0, device=device)

    sides = _Clock(ours), _Clock(earlier)
    for side in sides:
        side.run()
    for side in sides:
        side.wall_s.clear()
        side.processor_s.clear()
    for _ in range(ROUNDS):
        for side in (*sides, *reversed(sides)):
            side.run()
    what = f"ResNet-{depth}, threads that make batches: {workers}; other: the plain form; wanted: ≤ 1/3, ms a step"
    for clock in ("wall_s", "processor_s"):
        times = [getattr(side, clock) for side in sides]
        mine, other = (1000 * statistics.median(side) / HOST_STEPS for side in times)
        ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
        close(f"host_step {clock.removesuffix('_s')}", f"{mine:.2f}", f"{other:.2f}", f"{ratio:.3f}", what)


@dataclass
class _Clock:
    """A training whose loop is timed, without the making of the network and the first batch's thread.

    Attributes:
        train: the training.
        wall_s: the wall time of each run.
        processor_s: the processor time of all threads of each run.
    """

    train: Callable[[], None]
    wall_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)

    def run(self) -> None:
        starts: list[tuple[float, float]] = []
        before = torch.manual_seed

        def seeded(seed: int) -> torch.Generator:  # both forms seed torch just before their first step
            starts.append((time.perf_counter(), time.process_time()))
            return before(seed)

        with patch.object(torch, "manual_seed", seeded):
            self.train()
        wall, processor = starts[-1]
        self.wall_s.append(time.perf_counter() - wall)
        self.processor_s.append(time.process_time() - processor)


@contextmanager
def _values_that_mean_nothing() -> Iterator[None]:
    """Inside the block, no training ends because of what a device says that computes nothing."""
    lenient = SimpleNamespace(isfinite=lambda value: True)
    with ExitStack() as stack:
        for module in (late, plain):
            stack.enter_context(patch.object(module, "math", lenient))
        for module in (loop, plain):
            stack.enter_context(patch.object(module, "not_finite", lambda model: set()))
        yield


def step_cuda() -> None:
    """Steps a second on a GPU: the loop against a bare loop on a batch that stays there, and the GPU's busy share."""
    if not torch.cuda.is_available():
        say("step_cuda: there is no GPU here, so nothing was measured")
        return
    device = torch.device("cuda")
    dataset, split = _data()
    for depth in DEPTHS:
        for precision in ("tf32", "bfloat16"):
            recipe = RECIPE.having(precision=precision, kernels="fastest", iterations=CUDA_STEPS)
            rates: tuple[list[float], list[float]] = ([], [])
            busy: list[float] = []
            for _ in range(ROUNDS):
                for side in (0, 1, 1, 0):
                    model = SegModel(_network(depth), len(dataset.classes))
                    if side == 1:
                        rates[1].append(_bare_rate(model, recipe, device))
                        continue
                    with _utilisation(busy):
                        rates[0].append(_loop_rate(model, split, recipe, device))
            mine, bare = (statistics.median(side) for side in rates)
            ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
            share = f"{statistics.mean(busy):.0%} busy by NVML" if busy else "busy share unknown without NVML"
            what = f"ResNet-{depth}, {precision}, {share}, wanted: ≥ 95 %; other: a bare loop; wanted: ≥ 0.97, steps/s"
            close("step_cuda", f"{mine:.2f}", f"{bare:.2f}", f"{ratio:.3f}", what)


def _loop_rate(model: SegModel, split: Split, recipe: Recipe, device: torch.device) -> float:
    """Steps a second of the training loop after the first ones, in which kernels are chosen and threads start."""
    told: list[float] = []
    recipe = recipe.having(iterations=CUDA_STEPS + CUDA_WARM_UP)
    workers = min(4, len(os.sched_getaffinity(0)))
    loop.train(
        model, FedSplit(split, workers), recipe, 0, device=device,
        progress=lambda done, total, loss: told.append(time.perf_counter()), read_every=CUDA_WARM_UP,
    )  # fmt: skip
    return CUDA_STEPS / (told[-1] - told[CUDA_WARM_UP - 1])


def _bare_rate(model: SegModel, recipe: Recipe, device: torch.device) -> float:
    """Steps a second of forward, backward and update of one batch on the device."""
    with switches(recipe.precision, recipe.kernels, device):
        step = prepare(model, recipe, device)
        image = torch.randn(recipe.batch, 3, *recipe.crop_px, device=device).contiguous(memory_format=layout(device))
        label = torch.randint(model.num_classes, (recipe.batch, *recipe.crop_px), device=device)
        start = 0.0
        for number in range(CUDA_STEPS + CUDA_WARM_UP):
            if number == CUDA_WARM_UP:
                torch.cuda.synchronize(device)
                start = time.perf_counter()
            step.backward(step.forward(image, label))
            step.update()
        torch.cuda.synchronize(device)
        return CUDA_STEPS / (time.perf_counter() - start)


@contextmanager
def _utilisation(shares: list[float]) -> Iterator[None]:
    """Inside the block, NVML's utilisation of the first GPU is added to ``shares`` ten times a second."""
    try:
        torch.cuda.utilization(0)
    except (ImportError, RuntimeError):
        yield
        return
    over = threading.Event()

    def watch() -> None:
        over.wait(1.0)  # the first steps, in which kernels are chosen
        while not over.wait(0.1):
            shares.append(torch.cuda.utilization(0) / 100)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _network(depth: int) -> Variant:
    losses: Sequence[Part[SegmentationLoss]] = (part(SegmentationLoss),)
    return Variant(part(ResNet, depth=depth, output_stride=8), part(FCNHead), losses=tuple(losses))


def _data() -> tuple[Dataset, Split]:
    """CamVid, or images of its size that are made up, and its decoded train split in memory."""
    folder = os.environ.get("BENCH_CAMVID")
    dataset: Dataset = CamVid(Path(folder)) if folder else Synthetic(None, height_px=360, width_px=480, train_images=32)
    kept = dataset.split("train")
    samples = [kept[index] for index in range(min(len(kept), 64))]
    return dataset, samples
