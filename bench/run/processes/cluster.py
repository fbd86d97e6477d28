"""The Ray cluster of a run: one that is started on this machine for it, or one that is there already."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray

from bench.run.processes.descendants import adopt, none_left
from bench.run.processes.joining import joining
from bench.run.processes.scratch import scratch_folder
from bench.run.processes.stopping import deferred, listening
from bench.run.resources import Resources


@contextmanager
def cluster(resources: Resources) -> Iterator[Path]:
    """Connect to the cluster at ``resources.address``, or start one on this machine; yields a scratch folder."""
    os.environ.update(_QUIET)
    if resources.address is None:
        os.environ.update(_OF_OUR_OWN)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # records tell of a worker that died, without a traceback
    with scratch_folder() as scratch, none_left():
        local: dict[str, Any] = {
            "_temp_dir": str(scratch),
            "include_dashboard": False,
            "object_store_memory": 200 * 2**20,  # nothing large travels through it
            "num_cpus": resources.node_cpus,
            "num_gpus": resources.node_gpus,
        }
        try:
            entry = nullcontext() if resources.address is None else joining(resources.address)
            with entry, chdir(scratch), _modules_from_the_driver(), deferred():
                ray.init(
                    address=resources.address or "local",
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    **({} if resources.address else local),
                )
            ray._private.worker._worker_logs_enabled = False  # the raylet's advice about a worker that died
            adopt(False)  # a long run would gather every process that ended below a worker
            yield scratch
        finally:
            adopt(True)
            with listening():
                ray.shutdown()


@contextmanager
def _modules_from_the_driver() -> Iterator[None]:
    """Inside, processes that are started import what this one imports.

    Ray puts the folder of the shell in front of its workers' search path, where another clone or version may lie; so it
    is started from an empty folder, with this process's search path in the environment.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(search_path())
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def search_path() -> list[str]:
    """The folders that this process imports from, as absolute paths."""
    return [str(Path(entry).absolute()) for entry in sys.path]


_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",  # together with verbose=0, the only way to silence Tune
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # Tune's loggers write five files for each trial that nobody reads
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's handler makes fit() return as if the run had succeeded
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # Tune's own restore is not used, so its state of all trials need not be kept
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers keep the working folder, so that relative paths stay valid
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # a kill by Ray's monitor ends the whole run, a kill by the kernel one trial
}
_OF_OUR_OWN = {
    "RAY_AUTH_MODE": "disabled",  # otherwise Ray writes a token into the home folder
}
"""Switches of a cluster that this process starts. One that is there already has its own, which the shell names."""
