"""The process that runs trials for a worker, one after the other, and that ends once a trial has left traces in it.

It is a child of the worker: whatever a trial does to its process (a crash in C code, ``os._exit``, a patched layer, a
hang), the worker outlives it, knows the signal or the exit code, and starts another one.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import inspect
import os
import select
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.measure.cost.memory import give_back_gpu_memory
from bench.parts import BenchError
from bench.protocol.setting import Setting
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.outcomes.progress import Event
from bench.run.processes.own_state import own_state
from bench.run.store import StoreError
from bench.run.trial import Trial, run
from bench.study.explored import ChosenCells
from bench.study.source import Source, Tried, load


def main(connection_fd: int, crash_fd: int, parent: int) -> None:
    """Take orders until the worker hangs up.

    Args:
        connection_fd: file descriptor of the connection to the worker.
        crash_fd: file descriptor of the file that the interpreter's last words go to after a crash in C code.
        parent: process id of the worker, with which this process ends.
    """
    end_with(parent)
    faulthandler.enable(os.fdopen(crash_fd, "w"))
    connection = Connection(connection_fd)
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        trial, machine = trial_of(order["trial"]), Machine(**order["machine"])
        connection.send(("started", os.getpid(), machine.device_name))
        with contextlib.suppress(BenchError):  # the trial meets the same error, and records it
            load(trial.source)  # so that the state of the study's modules before the trial is known
        gc.freeze()  # modules, sources and code, millions of objects: each search for garbage would go through them
        before = traces()
        try:
            record = run(
                trial,
                Path(order["folder"]),
                machine,
                tell=lambda event: _tell(connection, event),
                handling=Handling.of(order["handling"]),
            )
        except StoreError as error:
            connection.send(("unstored", str(error)))
            return
        left = left_behind(before) if record.status in ("done", "pruned") else ["an outcome other than done"]
        connection.send(("record", record.file_name, left))


def _tell(connection: Connection, event: Event) -> None:
    """Tell the worker of the progress, unless it does not listen: a stop must not wait for it."""
    _, free, _ = select.select([], [connection], [], 0)
    if free:
        connection.send(("event", asdict(event)))


def left_behind(before: Mapping[str, Any]) -> list[str]:
    """The names of the states that a trial has left changed in this process, after the GPU got its free memory back.

    A trial beside this process may need that memory. An error of the GPU that shows only now is one of the states: most
    such errors are met by every later call too.
    """
    try:
        give_back_gpu_memory()
        return changed(before, traces())
    except RuntimeError as error:
        return [f"an error of the GPU: {error}"]


def trial_of(values: Mapping[str, Any]) -> Trial:
    """A trial from ``dataclasses.asdict`` of it."""
    values = dict(values)
    source, setting = dict(values.pop("source")), values.pop("setting")
    seeds, tried, explored = source.pop("seeds"), source.pop("tried"), source.pop("explored")
    rivals = tuple(tuple(map(tuple, rival)) for rival in values.pop("rivals"))
    if tried is not None:
        tried = {**tried, "settings": tuple(map(tuple, tried["settings"])), "looks": tuple(tried["looks"])}
    return Trial(
        source=Source(
            **source,
            seeds=None if seeds is None else tuple(seeds),
            tried=None if tried is None else Tried(**tried),
            explored=None if explored is None else ChosenCells(explored["path"], tuple(explored["names"])),
        ),
        setting=None if setting is None else Setting(**setting),
        rivals=rivals,
        **values,
    )


OF_TORCH = ("KMP_", "TORCHINDUCTOR_CACHE_DIR")
"""The beginnings of the names of environment variables that torch and its libraries set, with no effect later."""


def traces() -> dict[str, Any]:
    """The state of this process that a trial could change and a later trial would then compute with.

    The number of threads is not here, since every trial sets it; nor are random states, since every trial seeds them.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    modules = torch.nn.modules.module
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "precision of float32 products": (torch.get_float32_matmul_precision(), matmul.allow_tf32),
        "reduced precision in sums": (
            matmul.allow_fp16_reduced_precision_reduction,
            matmul.allow_bf16_reduced_precision_reduction,
        ),
        "cuDNN": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "oneDNN": (torch.backends.mkldnn.enabled,),
        "autocast": tuple(
            (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in ("cpu", "cuda")
        ),
        "subnormal numbers": bool(torch.tensor(1e-40) * 1 != 0),
        "hooks of every module": tuple(
            (name, tuple(hooks))
            for name, hooks in sorted(vars(modules).items())
            if name.startswith("_global_") and hooks
        ),
        "functions of torch": _functions(),
        "environment variables": {name: value for name, value in os.environ.items() if not name.startswith(OF_TORCH)},
        "warnings of numpy": tuple(sorted(np.geterr().items())),
        "the folder": os.getcwd(),
        "the limit of recursion": sys.getrecursionlimit(),
        **own_state(),
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of the states that differ, or that there was none of before."""
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _functions() -> dict[tuple[str, str], int]:
    """Identities of the methods of torch's layers and of the functions that they call: a patch changes one."""
    identities: dict[tuple[str, str], int] = {}
    layers = {layer for _, layer in inspect.getmembers(nn, inspect.isclass)} | {nn.Module, torch.Tensor}
    owners = {layer.__name__: layer for layer in layers} | {"functional": nn.functional, "init": nn.init}
    for owner, content in owners.items():
        for name, value in vars(content).items():
            if inspect.isroutine(value):
                identities[owner, name] = id(value)
    return identities


def end_with(parent: int) -> None:
    """Have the kernel kill this process when the worker's thread that started it ends."""
    if sys.platform == "linux":
        death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None, use_errno=True).prctl(death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that
            os._exit(1)
