"""The outcome of a trial that an exception ended: a status, a reason in one sentence, the phase and the traceback."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.run.handling import Handling
from bench.run.outcomes.memory import BESIDE_OTHERS, ran_out, ran_out_on_gpu, sharing
from bench.run.outcomes.progress import Event, phase_of, place_of
from bench.training.late import DivergedError
from bench.training.step import CompileError


class TimedOutError(RuntimeError):
    """A trial that took longer than its time limit."""


class PrunedError(RuntimeError):
    """A training that a search ended early, because other settings were better at the same point.

    Attributes:
        looks: iteration -> mean IoU of the network after it, 0 to 1; the last is of the iteration that it ended after.
    """

    def __init__(self, reason: str, looks: Mapping[int, float]) -> None:
        super().__init__(reason)
        self.looks = looks


class LostProcessError(RuntimeError):
    """The death of another process of the trial, which did not say why.

    Attributes:
        ending: the outcome, as :meth:`bench.run.processes.children.child.TrialChild.ending` knows it.
    """

    def __init__(self, ending: Mapping[str, Any]) -> None:
        super().__init__(ending["reason"])
        self.ending = ending


WITH_TRACEBACK = ("failed", "out_of_memory")
"""The statuses whose place in the code is worth knowing."""


def outcome_of(
    error: BaseException, choices: Mapping[str, Any], reached: Event | None, device: torch.device, handling: Handling
) -> dict[str, Any]:
    """The outcome of a trial that ``error`` ended, as its record keeps it; for use while the error is handled.

    Args:
        error: the exception.
        choices: the resolved choices of the trial, as far as they are known.
        reached: the last progress of the trial; ``None`` if there was none.
        device: the device of the trial.
        handling: how the trial was handled: the share of a GPU that it was given, and whether others ran beside it.
    """
    if isinstance(error, LostProcessError):
        return {**error.ending, "phase": phase_of(reached)}
    if isinstance(error, PrunedError):
        looks = {"iteration": list(error.looks), "miou": list(error.looks.values())}
        return {
            "status": "pruned", "phase": phase_of(reached), "reason": str(error), "traceback": None, "looks": looks
        }  # fmt: skip
    status = _status_of(error)
    reason = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if isinstance(error, CompileError) and error.__context__ is not None:
        reason += f" ({_first_line(error.__context__)})"
    outcome: dict[str, Any] = {"status": status, "phase": phase_of(reached)}
    if status == "out_of_memory":
        on_gpu = ran_out_on_gpu(error)
        shared = sharing(device, handling.gpu_share) if on_gpu else BESIDE_OTHERS if handling.beside_others else None
        batch = (choices.get("setting") or choices.get("recipe") or {}).get("batch")
        trains = "setting" not in choices and (reached is None or reached.phase == "train")
        smaller = "take a smaller batch or image" + (", or run it with --accumulate" if trains else "")
        remedy = smaller if shared is None else f"{shared}, so it is to be run again alone"
        kind = "GPU" if on_gpu else "host"
        where = place_of(reached) if batch is None else f"at batch {batch}, {place_of(reached)}"
        reason = f"{kind} memory, {where}; {remedy}: {reason}"
        outcome |= {} if shared is None else {"shared": shared}
    text = "".join(traceback.format_exception(error)) if status in WITH_TRACEBACK else None
    return {**outcome, "reason": relative(reason), "traceback": text and relative(text)}


def _first_line(error: BaseException) -> str:
    """The first line of an error of torch's compiler, with the next one if it ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(error).__name__


def _status_of(error: BaseException) -> str:
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "interrupted"
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, TimedOutError):
        return "timed_out"
    return "out_of_memory" if ran_out(error) else "failed"


def relative(text: str) -> str:
    """The text with paths shortened, so that a message or traceback shows no folder that only this machine has.

    What cannot be written as UTF-8 becomes an escape.
    """
    text = text.encode(errors="backslashreplace").decode()
    for root in sorted({str(Path.cwd()), sys.prefix, str(Path(__file__).resolve().parents[3])}, key=len, reverse=True):
        text = text.replace(f"{root}/", "")
    return re.sub(r"/(?:[^\s/\"']+/)*(?=(?:site-packages|python3\.\d+)/)", "", text)
