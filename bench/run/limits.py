"""The search for the largest batch or input that fits into memory. Each attempt runs in a process of its own.

An attempt that runs out of memory is a valid answer, even if the kernel kills its process.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import torch

from bench.measure.timing.execution import switches_of, timed_call
from bench.network.model import SegModel
from bench.parts import BenchError
from bench.protocol.setting import Setting
from bench.run.environment import Machine
from bench.run.outcomes.memory import in_one_line, ran_out
from bench.study.source import Source, load

SIDE_PX = 64
"""The step, in pixels, in which the side of a square input is searched."""
LARGEST = 2**14
"""The size at which the search ends even if it still fits: images in a batch, or steps of :data:`SIDE_PX`."""


class LimitError(BenchError, RuntimeError):
    """An attempt that failed for a reason other than memory, or a search that cannot be run."""


@dataclass(frozen=True)
class Attempt:
    """The result of trying one size.

    Attributes:
        size: images in the batch, or steps of :data:`SIDE_PX` in the side of the input.
        fits: ``True`` if the memory was enough.
        peak_bytes: the peak of CUDA's allocator or, on the CPU, of the resident set; ``None`` if the size did not fit.
        reason: the error, if the size did not fit.
    """

    size: int
    fits: bool
    peak_bytes: int | None
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """The question that a search answers: which network, under which conditions, and which size is searched.

    Attributes:
        source: the source of the study.
        variant: the name of the cell.
        setting: the conditions (:data:`~bench.protocol.setting.CONDITIONS`), and the batch or the input size, whichever
            is not searched.
        searched: ``batch``, or ``input`` for the side of a square image in steps of :data:`SIDE_PX`.
        machine: the device and the number of threads.
        memory_limit_bytes: the limit for the data of the process, libraries included; required on the CPU.
    """

    source: Source
    variant: str
    setting: Setting
    searched: Literal["batch", "input"]
    machine: Machine
    memory_limit_bytes: int | None

    def __post_init__(self) -> None:
        if self.machine.device == "cpu" and self.memory_limit_bytes is None:
            raise LimitError(
                "on a CPU the kernel may stop other programs before this one runs out of memory; give --memory-limit"
            )

    @property
    def smallest(self) -> int:
        """The size at which the search begins; a batch of a training step needs two images."""
        return 2 if self.searched == "batch" and self.setting.phase == "training" else 1

    def at(self, size: int) -> Setting:
        """The setting of the attempt at one size."""
        if self.searched == "batch":
            return replace(self.setting, batch=size)
        return replace(self.setting, height=size * SIDE_PX, width=size * SIDE_PX)


def search(attempt: Callable[[int], Attempt], smallest: int = 1, largest: int = LARGEST) -> list[Attempt]:
    """Double the size from ``smallest`` until it does not fit, then bisect; returns all attempts in order.

    The largest size that fits is the largest fitting one among the attempts; there may be none.
    """
    attempts = [attempt(smallest)]
    while attempts[-1].fits and attempts[-1].size < largest:
        attempts.append(attempt(min(2 * attempts[-1].size, largest)))
    if attempts[-1].fits or len(attempts) == 1:
        return attempts
    fits, fails = attempts[-2].size, attempts[-1].size
    while fails - fits > 1:
        attempts.append(attempt((fits + fails) // 2))
        fits, fails = (attempts[-1].size, fails) if attempts[-1].fits else (fits, attempts[-1].size)
    return attempts


def in_child(question: Question, size: int) -> Attempt:
    """Run one attempt in a fresh process.

    Raises:
        LimitError: if the attempt fails for a reason other than memory.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_answer, args=(theirs, question, size))
    child.start()
    theirs.close()
    try:
        answer: Attempt | str | None = ours.recv()
    except EOFError:
        answer = None
    child.join()
    if answer is None and child.exitcode in (-signal.SIGKILL, -signal.SIGABRT):
        return Attempt(size, False, None, f"the process was ended by {signal.Signals(-child.exitcode).name}")
    if isinstance(answer, Attempt):
        return answer
    raise LimitError(f"the attempt at {size} ended with status {child.exitcode}:\n{answer or 'it said nothing'}")


def _answer(connection: Connection, question: Question, size: int) -> None:
    try:
        connection.send(_attempt(question, size))
    except BaseException:
        connection.send(traceback.format_exc())
        raise


def _attempt(question: Question, size: int) -> Attempt:
    torch.set_num_threads(question.machine.threads)
    loaded = load(question.source)
    cell, device = loaded.study.cell(question.variant), question.machine.torch_device
    setting = question.at(size)
    if question.memory_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (question.memory_limit_bytes, question.memory_limit_bytes))
    try:
        model = SegModel(cell.variant, loaded.classes_of(cell))
        with switches_of(setting, cell.recipe, device):
            call = timed_call(model, cell.recipe, setting, device)
            call()
            call()  # the optimiser's state exists only after the first step
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # inside, since an error of a kernel is raised at a later call
    except (RuntimeError, MemoryError, OSError) as error:
        if not ran_out(error):
            raise
        return Attempt(size, False, None, in_one_line(error, device))
    return Attempt(size, True, torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _peak_rss_bytes())


def _peak_rss_bytes() -> int:
    """The peak of the resident set since this program was loaded, from the kernel; getrusage includes the parent's."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
