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


LEAST_SHARE = 0.01
"""The least share of a GPU that a trial may have: a hundred trials on one GPU are more than any GPU has memory for."""
_UNIT = 10_000
"""The number of parts of one GPU in which Ray counts; it cuts off smaller ones."""


@dataclass(frozen=True)
class Resources:
    """The resources of this machine, and those that a quality trial takes.

    A cost or speed trial takes one whole GPU and that GPU's share of the CPUs, so that as many of them run side by side
    as there are GPUs. On CPUs alone it takes all of them.

    Attributes:
        cpus: the CPU threads of a quality trial.
        gpus: the GPUs of a quality trial: a fraction lets trials share a GPU, and 0 trains on the CPU.
        node_cpus: the CPUs of this machine.
        node_gpus: the GPUs of this machine.
        address: the address of a running Ray cluster; ``None`` runs trials on this machine.
        processes: the processes that train a network together: one on each of several GPUs, or several on CPUs.
    """

    cpus: int
    gpus: float
    node_cpus: int
    node_gpus: int
    address: str | None = None
    processes: int = 1

    def processes_of(self, stage: Stage) -> int:
        """The number of processes that compute a trial of a stage together: several train, one measures."""
        return self.processes if stage == "quality" else 1

    def machine(self, stage: Stage) -> Machine:
        """The device and the number of threads of a trial on this machine."""
        timed = share_of_cpus(self.node_cpus, self.node_gpus if self.gpus else 0)
        return Machine("cuda" if self.gpus else "cpu", self.cpus if stage == "quality" else timed)

    def at_a_time(self, stage: Stage) -> int:
        """The number of trials of a stage that this machine runs side by side."""
        if stage != "quality":
            return max(1, min(self.node_gpus, self.node_cpus)) if self.gpus else 1
        by_cpus = self.node_cpus // self.cpus
        return max(1, min(by_cpus, trials_on(self.node_gpus, self.gpus)) if self.gpus else by_cpus)


def share_of_cpus(cpus: int, gpus: int) -> int:
    """The CPUs of a node that a trial on one of its GPUs may take, so that as many go to each other GPU."""
    return max(1, cpus // max(1, gpus))


def trials_on_a_gpu(share: float) -> int:
    """The number of trials that fit on one GPU if each takes this share of it: two for 0.5, but two for 0.34 too."""
    return _UNIT // int(share * _UNIT + 1e-6)


def trials_on(node_gpus: int, gpus: float) -> int:
    """The number of trials that fit on the GPUs of a node if each takes so many of them, or a share of one."""
    return node_gpus // int(gpus) if gpus >= 1 else node_gpus * trials_on_a_gpu(gpus)


def here(
    cpus: int | None = None,
    gpus: float | None = None,
    address: str | None = None,
    processes: int | None = None,
    *,
    measures: bool = False,
) -> Resources:
    """The resources of trials on this machine.

    Args:
        cpus: the CPU threads of a quality trial; by default the share of all threads of each of its GPUs, or one for
            each process without a GPU.
        gpus: the GPUs of a quality trial; by default one if the machine has one, else none.
        address: the address of a Ray cluster, whose nodes need not be like this machine.
        processes: the processes that train a network together; by default one on each of a trial's GPUs.
        measures: ``True`` if nothing is trained, so that no trial uses several GPUs.

    Raises:
        ResourceError: if a trial asks for more than one GPU and a part of another, for more than this machine has and
            no cluster is given, for less than one CPU, or for other processes than one on each of its GPUs; or if a
            machine without a GPU is to say by itself what a cluster's trials take.
    """
    node_cpus, node_gpus = environment.cpu_count(), torch.cuda.device_count()
    if gpus is None and address is not None and not node_gpus:
        raise ResourceError(
            f"--address {address}: this machine has no GPU, so it does not know what a trial of the cluster takes; say "
            "--gpus 1 or, on CPUs alone, --gpus 0"
        )
    if gpus is None:
        gpus = float(min(1, node_gpus))
    if not (gpus == 0 or LEAST_SHARE <= gpus <= 1 or (gpus > 1 and gpus % 1 == 0)):
        raise ResourceError(
            f"--gpus {gpus:g}: a trial uses whole GPUs (1, 2, …), a share of one ({LEAST_SHARE:g} or more; with 0.5 "
            "two trials share each GPU) or none (0)"
        )
    if measures and gpus > 1:
        raise ResourceError(
            f"--gpus {gpus:g}: a measurement takes one GPU (1) or none (0); only trainings take several"
        )
    together = max(1, int(gpus)) if processes is None else processes
    if together < 1 or (gpus > 0 and together != max(1, int(gpus))):
        raise ResourceError(
            f"--processes {together} --gpus {gpus:g}: one process trains on each GPU of a trial, so say --gpus alone; "
            "--processes is for training on CPUs (--gpus 0)"
        )
    if cpus is None:
        cpus = share_of_cpus(node_cpus, node_gpus) * int(max(1, gpus)) if gpus else together
    if cpus < 1:
        raise ResourceError(f"--cpus {cpus}: a trial needs at least one CPU")
    if cpus < together:
        raise ResourceError(f"--cpus {cpus}: each of the {together} processes of a trial needs a CPU; give {together}")
    if address is None and (cpus > node_cpus or gpus > node_gpus):
        raise ResourceError(
            f"--cpus {cpus} --gpus {gpus:g}: this machine has {node_cpus} CPUs and {node_gpus} GPUs; ask for less"
        )
    return Resources(cpus, gpus, node_cpus, node_gpus, address, together)
