"""A Ray cluster of three nodes on this machine, in a process of its own, which takes commands from its standard input.

    python nodes.py FOLDER [HIDDEN]

It prints its address. ``lose`` ends the node that was added last as a power cut would; the end of the input ends all.
The nodes that are added do not see the folder HIDDEN: they run in a mount namespace with an empty folder there.
"""

from __future__ import annotations

import ctypes
import os
import sys

from ray.cluster_utils import Cluster

NEW_NAMESPACE = 0x00020000  # CLONE_NEWNS of <sched.h>
PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE of <sys/mount.h>
LOSS_IS_SEEN = {"health_check_period_ms": 500, "health_check_timeout_ms": 500, "health_check_failure_threshold": 4}


def main(folder: str, hidden: str | None) -> None:
    """Start the nodes, and obey until the end of the input."""
    os.environ["RAY_TMPDIR"] = folder  # its address is written below, not where another cluster's may be
    folder = os.path.join(folder, "ray")
    os.makedirs(folder)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "temp_dir": folder, "_system_config": LOSS_IS_SEEN, "include_dashboard": False},
    )
    if hidden is not None:
        hide(hidden)
    nodes = [cluster.add_node(num_cpus=1, temp_dir=folder) for _ in range(2)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "lose":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            sys.stdout.write("lost\n")
            sys.stdout.flush()
    cluster.shutdown()


def hide(folder: str) -> None:
    """Put an empty folder over a folder, for the processes that this thread starts from now on.

    Raises:
        OSError: if this process may not do so.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    steps = (
        lambda: libc.unshare(NEW_NAMESPACE),
        lambda: libc.mount(b"none", b"/", None, ctypes.c_ulong(PRIVATE), None),
        lambda: libc.mount(b"none", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), None),
    )
    for step in steps:
        if step() != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
