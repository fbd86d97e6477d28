"""A process that trains the network of a trial together with the trial's own process, on a device of its own."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import torch

from bench.network.model import SegModel
from bench.network.numerics import reserve_workspace
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.processes.process import end_with, trial_of
from bench.run.processes.stopping import SIGNALS
from bench.run.stages import help_training
from bench.run.trial import read_ahead, seed_other_generators
from bench.study.source import load
from bench.training.parallel.group import joined, known_meeting_point


def main(connection_fd: int, crash_fd: int, parent: int) -> None:
    """Take an order, help with the training and wait for the end of the trial.

    Signals that stop a run are left to the trial's process: it keeps the state of the training, for which it needs this
    one until the iteration is over, and ends this one then.

    Args:
        connection_fd: file descriptor of the connection to the trial's process.
        crash_fd: file descriptor of the file that the interpreter's last words go to after a crash in C code.
        parent: id of the trial's process, with which this process ends.
    """
    end_with(parent)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable(os.fdopen(crash_fd, "w"))
    connection = Connection(connection_fd)
    try:
        _help(connection.recv(), connection)
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything; it is raised again in the other process
        _fail(error, connection)


def _help(order: Mapping[str, Any], connection: Connection) -> None:
    trial, machine, handling = trial_of(order["trial"]), Machine(**order["machine"]), Handling.of(order["handling"])
    assert trial.seed is not None
    torch.set_num_threads(machine.threads)
    seed_other_generators(trial.seed)
    loaded, device = load(trial.source), machine.torch_device
    cell = loaded.study.cell(trial.variant)
    reserve_workspace(cell.recipe.kernels)
    dataset = read_ahead(loaded.dataset_of(cell), Path(order["folder"]), machine, handling.cache)
    connection.send(("ready",))
    size, rank = order["size"], order["rank"]
    with joined(known_meeting_point(order["port"], size), rank, size, device) as group:
        try:
            model = SegModel(cell.variant, len(dataset.classes), seed=trial.seed)
            help_training(model, dataset.split("train"), trial.recipe_of(cell), trial.seed, device, group)
        except Exception as error:  # noqa: BLE001 - as above, and before the others notice that this process leaves them
            _fail(error, connection)
        with suppress(EOFError, OSError):
            connection.recv()  # the trial's process hangs up when it needs no process of the group any more
        os._exit(0)


def _fail(error: Exception, connection: Connection) -> NoReturn:
    """Tell the trial's process of an error, and end at once, by which those that wait for this process notice."""
    text = f"{type(error).__name__}: {error}"
    content: bytes | None
    try:
        content = pickle.dumps(error)
    except Exception:  # noqa: BLE001 - an error of a user's class may hold anything; its text is told
        content = None
    with suppress(OSError):  # the trial's process is gone
        connection.send(("failed", time.monotonic(), content, text, "".join(traceback.format_exception(error))))
    os._exit(1)
