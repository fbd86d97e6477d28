"""The CPUs and GPUs of a machine, and the part of them that a trial takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.parts import BenchError
from bench.protocol.setting import Stage
from bench.run import environment
from bench.run.environment import Machine


class ResourceError(BenchError, ValueError):
    """A request for more CPUs or GPUs than there are."""


@dataclass(frozen=True)
class Resources:
    """The resources of this machine, and those that a quality trial takes.

    A cost or speed trial takes all CPUs of a node, and one GPU if there is one.

    Attributes:
        cpus: the CPU threads of a quality trial.
        gpus: the GPUs of a quality trial: a fraction lets trials share a GPU, and 0 trains on the CPU.
        node_cpus: the CPUs of this machine.
        node_gpus: the GPUs of this machine.
        address: the address of a running Ray cluster; ``None`` runs trials on this machine.
    """

    cpus: int
    gpus: float
    node_cpus: int
    node_gpus: int
    address: str | None = None

    def machine(self, stage: Stage) -> Machine:
        """The device and the number of threads of a trial on this machine."""
        return Machine("cuda" if self.gpus else "cpu", self.cpus if stage == "quality" else self.node_cpus)

    def at_a_time(self, stage: Stage) -> int:
        """The number of trials of a stage that this machine runs side by side."""
        if stage != "quality":
            return 1
        fit = self.node_cpus // self.cpus
        return max(1, min(fit, int(self.node_gpus / self.gpus + 1e-9)) if self.gpus else fit)


def here(cpus: int | None = None, gpus: float | None = None, address: str | None = None) -> Resources:
    """The resources of trials on this machine.

    Args:
        cpus: the CPU threads of a quality trial; by default a GPU's share of all threads, or one without a GPU.
        gpus: the GPUs of a quality trial; by default one if the machine has one, else none.
        address: the address of a Ray cluster, whose nodes need not be like this machine.

    Raises:
        ResourceError: if a trial asks for more than this machine has and no cluster is given, or for less than one CPU.
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
