"""Position attention compared with its plain form: C = 512, float32, 2 threads, forward and backward of the module."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.network.heads.dual_attention import PositionAttention
from benchmarks.plain import PlainPositionAttention
from benchmarks.side_by_side import alternate, close, say, threads

CHANNELS, REDUCTION, THREADS = 512, 8, 2
TOKENS = (96, 96)
LARGE_TOKENS = (128, 256)
BLOCKS = 4

Side = Literal["ours", "plain"]


def attention_memory() -> None:
    """Bytes held at the peak of a step of position attention, without inputs, outputs and their gradients."""
    peaks = {side: peak_bytes(side, TOKENS, "cpu") for side in ("ours", "plain")}
    # The meta device counts bytes without allocating them, because the plain form might not fit.
    large = {side: peak_bytes(side, LARGE_TOKENS, "meta") for side in ("ours", "plain")}
    say(f"at {_size(LARGE_TOKENS)} tokens, MiB: ours {_mib(large['ours'])}, plain {_mib(large['plain'])} (counted)")
    say(f"at {_size(LARGE_TOKENS)} tokens, MiB: {_mib(_process_bytes())} resident in a process that runs ours")
    what = f"storages alive at the peak beyond inputs, outputs and gradients, {_size(TOKENS)} tokens, MiB"
    ratio = peaks["plain"] / peaks["ours"]
    close("attention_memory", _mib(peaks["ours"]), _mib(peaks["plain"]), f"{ratio:.2f}", what)


def attention_time() -> None:
    """Seconds of a step of position attention, timed in turns; the fastest round counts, being the least disturbed."""
    with threads(THREADS):
        ours, other = map(min, alternate(_step("ours", TOKENS, "cpu"), _step("plain", TOKENS, "cpu"), BLOCKS))
    what = f"forward and backward, {_size(TOKENS)} tokens, {THREADS} threads, fastest of {2 * BLOCKS}, s"
    close("attention_time", f"{ours:.3f}", f"{other:.3f}", f"{other / ours:.2f}", what)


class Storages(TorchDispatchMode):
    """A mode that records when each storage is created by an operation inside, and when it is freed.

    Scratch memory within an operation is not recorded.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.events: list[tuple[int, int]] = []
        self.alive: dict[int, int] = {}
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address in self.alive:
            return
        self.count += 1
        identity, size = self.count, storage.nbytes()
        self.alive[address] = identity
        self.events.append((identity, size))

        def gone() -> None:
            self.events.append((identity, -size))
            del self.alive[address]

        weakref.finalize(storage, gone)

    def peak_bytes(self) -> int:
        """The largest number of bytes alive at once, without those that are still alive, which are the results."""
        kept = set(self.alive.values())
        held = peak = 0
        for identity, size in self.events:
            held += size if identity not in kept else 0
            peak = max(peak, held)
        return peak


def _step(side: Side, tokens: tuple[int, int], device: str) -> Callable[[], None]:
    """A function that runs a forward and a backward pass, and keeps the output and the gradients alive."""
    torch.manual_seed(0)
    with torch.device(device):
        module = (PositionAttention if side == "ours" else PlainPositionAttention)(CHANNELS, REDUCTION, "trainable")
        nn.init.constant_(module.gamma, 0.5)
        x = torch.randn(1, CHANNELS, *tokens).requires_grad_()
        upstream = torch.randn(1, CHANNELS, *tokens)

    def step() -> None:
        x.grad = None
        module.zero_grad()
        out = module(x)
        out.backward(upstream)
        module.results = out.detach()

    return step


def peak_bytes(side: Side, tokens: tuple[int, int], device: str) -> int:
    """The bytes of all storages that are alive at once in one step, beyond inputs, outputs and gradients."""
    storages = Storages()
    with storages:
        step = _step(side, tokens, device)
        step()
    return storages.peak_bytes()  # while the results are still held


def _process_bytes() -> int:
    """The peak resident bytes of a fresh process that runs our form once at the large size."""
    code = "from benchmarks import attention; print(attention.large_step())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def large_step() -> int:
    """The peak resident bytes of this process after a step of our form at the large size."""
    torch.set_num_threads(THREADS)
    _step("ours", LARGE_TOKENS, "cpu")()
    # On Linux this is the peak of this process alone; that of getrusage includes the parent's.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f}"


def _size(tokens: tuple[int, int]) -> str:
    return "x".join(map(str, tokens))
