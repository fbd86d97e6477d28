"""The CPUs and GPUs that a trial takes of a machine."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.parts import BenchError
from bench.protocol.setting import Stage
from bench.run import environment
from bench.run.environment import Machine


class ResourceError(BenchError, ValueError):
    """More CPUs or GPUs asked for than there are."""


@dataclass(frozen=True)
class Resources:
    """What a quality trial takes of a node, and the node; every other takes a whole node, one GPU at most.

    Attributes:
        cpus: CPU threads of a quality trial.
        gpus: GPUs of a quality trial, a fraction to let trials share one; 0 trains on the CPU.
        node_cpus: CPUs of this machine.
        node_gpus: GPUs of this machine.
        address: of a running Ray cluster; ``None`` runs on this machine.
    """

    cpus: int
    gpus: float
    node_cpus: int
    node_gpus: int
    address: str | None = None

    def machine(self, stage: Stage) -> Machine:
        """Device and threads of a trial on this machine."""
        return Machine("cuda" if self.gpus else "cpu", self.cpus if stage == "quality" else self.node_cpus)

    def at_a_time(self, stage: Stage) -> int:
        """How many trials of a stage this machine runs side by side."""
        if stage != "quality":
            return 1
        fit = self.node_cpus // self.cpus
        return max(1, min(fit, int(self.node_gpus / self.gpus + 1e-9)) if self.gpus else fit)


def here(cpus: int | None = None, gpus: float | None = None, address: str | None = None) -> Resources:
    """What trials take, with this machine's defaults.

    Args:
        cpus: CPU threads of a quality trial; by default a GPU's share of them, or one on a machine without a GPU.
        gpus: GPUs of a quality trial; by default one if there is one.
        address: of a Ray cluster, whose nodes need not be like this machine.

    Raises:
        ResourceError: for more than this machine has, unless a cluster is to run it.
    """
    node_cpus, node_gpus = environment.cpu_count(), torch.cuda.device_count()
    if gpus is None:
        gpus = float(min(1, node_gpus))
    if cpus is None:
        cpus = max(1, node_cpus // max(1, node_gpus)) if gpus else 1
    if gpus < 0 or cpus < 1:
        raise ResourceError(f"--cpus {cpus} --gpus {gpus:g}: a trial needs at least one CPU and no fewer than 0 GPUs")
    if address is None and (cpus > node_cpus or gpus > node_gpus):
        raise ResourceError(
            f"--cpus {cpus} --gpus {gpus:g}: this machine has {node_cpus} CPUs and {node_gpus} GPUs; ask for less"
        )
    return Resources(cpus, gpus, node_cpus, node_gpus, address)
