"""Forwards and training steps of position attention on a GPU: the plain form, blocks of queries, and fused kernels.

    nox -s bench -- attention_cuda --minutes 10 --out attention.jsonl
    nox -s bench -- attention_cuda --tiny --out rehearsed.jsonl       # small sizes, on whatever device there is

The forms of a size, a precision and a pass are timed in turns, in blocks of A B C C B A, in which a drift of the
machine cancels. Each such group is one line of JSON, written when it is measured; the same command leaves out the
groups that the file already has of this device and this version of torch.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.network.heads.dual_attention import PositionAttention, added
from bench.network.heads.position_attention import attend_in_heads
from bench.network.numerics import autocast, halved, switches
from bench.protocol.recipe import Precision
from benchmarks.attention import CHANNELS, REDUCTION, Storages
from benchmarks.plain import PlainPositionAttention
from benchmarks.side_by_side import close, say

Pass = Literal["forward", "forward_backward"]
Size = tuple[int, int]
Group = dict[str, Any]

SIZES: tuple[Size, ...] = ((64, 128), (32, 32), (128, 128), (64, 64), (96, 96), (192, 192), (256, 256))
"""The heights and widths of the maps in tokens. The first one is a stride of 8 or 16 of Cityscapes' images."""
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")
HALF = ("bfloat16", "float16")
PASSES: tuple[Pass, ...] = ("forward_backward", "forward")
TINY_SIZES: tuple[Size, ...] = ((8, 10),)

LETTER_S = 0.02
"""The least seconds between two synchronisations, for as many calls as that takes."""
LEAST_BLOCKS, MOST_BLOCKS = 5, 50
GROUP_S = 4.0
"""The seconds after which no block of a group begins, once there are the least number of them."""


@dataclass(frozen=True)
class Form:
    """A form of position attention.

    Attributes:
        name: its name in the results.
        build: the function that builds its module.
    """

    name: str
    build: Callable[[], PositionAttention]


class InBlocks(PositionAttention):
    """Position attention in blocks of queries, as where no fused kernel takes the tensors."""

    def forward(self, x: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return super().forward(x)


class InHeads(PositionAttention):
    """Position attention by one of torch's kernels, with heads of a given width."""

    def __init__(self, kernel: SDPBackend, width: int) -> None:
        super().__init__(CHANNELS, REDUCTION, "trainable")
        self.kernel, self.width = kernel, width

    def forward(self, x: Tensor) -> Tensor:
        with sdpa_kernel(self.kernel):
            attended = attend_in_heads(
                self.query(x).flatten(2), self.key(x).flatten(2), self.value(x).flatten(2), self.width
            )
        return added(x, self.gamma * attended)


def forms(device: torch.device, precision: Precision) -> list[Form]:
    """The forms that a device has in a precision. The first one is that with which the others are compared."""
    plain, blocks, chosen = (
        Form(name, partial(module, CHANNELS, REDUCTION, "trainable"))
        for name, module in (("plain", PlainPositionAttention), ("blocks", InBlocks), ("chosen", PositionAttention))
    )
    if device.type != "cuda":
        return [plain, blocks, Form("heads_128", partial(InHeads, SDPBackend.MATH, 128))]
    efficient = [
        Form(f"efficient_{width}", partial(InHeads, SDPBackend.EFFICIENT_ATTENTION, width)) for width in (128, CHANNELS)
    ]
    if precision not in HALF:
        return [plain, blocks, chosen, *efficient]
    # cuDNN has a backward pass for heads of 256 channels on sm_90 alone; elsewhere this form has an error.
    cudnn = [Form(f"cudnn_{width}", partial(InHeads, SDPBackend.CUDNN_ATTENTION, width)) for width in (128, 256)]
    return [plain, blocks, chosen, *efficient, *cudnn]


def measure(
    device: torch.device,
    sizes: Sequence[Size],
    precisions: Sequence[Precision],
    minutes: float,
    out: Path,
    *,
    group_s: float = GROUP_S,
) -> int:
    """Measure the groups that a file does not have yet, and append each as a line of JSON when it is measured.

    Args:
        device: the device that computes.
        sizes: the heights and widths of the maps, in tokens; what matters most comes first.
        precisions: the precisions, as in a recipe.
        minutes: the time after which no group begins.
        out: the file of the groups; it and its folder are made if they are missing.
        group_s: the seconds for a group, of which it may take more: every form runs a least number of times.

    Returns:
        The number of groups that are still to be measured.
    """
    end = time.monotonic() + 60 * minutes
    groups = read(out)
    done = {identity(group) for group in groups}
    wanted = [
        conditions(device, size, precision, which)
        for precision, size, which in itertools.product(precisions, sizes, PASSES)
    ]
    left = [group for group in wanted if identity(group) not in done]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(json.dumps(group) + "\n" for group in groups), encoding="utf-8")
    for index, group in enumerate(left):
        if time.monotonic() >= end:
            return len(left) - index
        group["forms"] = timed(device, tuple(group["tokens"]), group["precision"], group["pass"], group_s)
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(group) + "\n")
        say(sentence(group))
    return 0


def conditions(device: torch.device, size: Size, precision: Precision, which: Pass) -> Group:
    """The conditions of a group, by which a file is searched for it."""
    cuda = device.type == "cuda"
    return {
        "tokens": list(size),
        "precision": precision,
        "pass": which,
        "batch": 1,
        "channels": CHANNELS,
        "reduction": REDUCTION,
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
    }


def identity(group: Group) -> str:
    """The conditions of a group as a text, without its results."""
    return json.dumps({name: value for name, value in group.items() if name != "forms"}, sort_keys=True)


def read(path: Path) -> list[Group]:
    """The groups of a file; none if it is missing. A last line that was not written whole is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def timed(device: torch.device, size: Size, precision: Precision, which: Pass, seconds: float) -> Group:
    """The results of all forms under the same conditions: seconds a call in every turn, and bytes at the peak.

    A form that does not fit into memory, or that a kernel refuses, has an ``error`` instead.
    """
    results: Group = {}
    calls: dict[str, Callable[[], object]] = {}
    with switches(precision, "default", device):
        for form in forms(device, precision):
            try:
                call = step(form, device, size, precision, which)
                results[form.name] = {"peak_bytes": peak_bytes(call, device)}
                calls[form.name] = call
            except torch.AcceleratorError:  # the context of the device is lost, so nothing after it would be true
                raise
            except RuntimeError as error:
                results[form.name] = {"error": str(error).splitlines()[0][:200]}
                if device.type == "cuda":
                    torch.cuda.empty_cache()
        for name, (repeats, turns) in in_turns(calls, device, seconds).items():
            results[name] |= {"calls": repeats, "seconds": turns}
    return results


def step(form: Form, device: torch.device, size: Size, precision: Precision, which: Pass) -> Callable[[], object]:
    """A call of a forward as in use, or of a forward and a backward pass as in training, in channels-last memory."""
    torch.manual_seed(0)  # the same weights in every form
    module = form.build()
    nn.init.constant_(module.gamma, 0.5)
    module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks this overload
    half = getattr(torch, precision) if precision in HALF else None
    x = torch.randn(1, CHANNELS, *size).to(device, half, memory_format=torch.channels_last)
    if which == "forward":
        if half is not None:
            halved(module, half)

        def forward() -> Tensor:
            with torch.inference_mode(), autocast(precision, device):
                out: Tensor = module(x)
                return out

        return forward
    x.requires_grad_()
    upstream = torch.randn_like(x)
    parameters = list(module.parameters())

    def forward_backward() -> object:
        with autocast(precision, device):
            out = module(x)
        return torch.autograd.grad(out, [x, *parameters], upstream.to(out.dtype))

    return forward_backward


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """The bytes at the peak of the second call, beyond those before it; on a CPU without the results of the call."""
    call()
    if device.type != "cuda":
        storages = Storages()
        with storages:
            results = call()
        peak = storages.peak_bytes()
        del results
        return peak
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def in_turns(
    calls: dict[str, Callable[[], object]], device: torch.device, seconds: float
) -> dict[str, tuple[int, list[float]]]:
    """The calls in a turn, and the seconds a call of each turn, for every name; turns go forth and back by name."""
    repeats = {name: max(1, math.ceil(LETTER_S / turn(call, 3, device))) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for block in range(MOST_BLOCKS):
        if block >= LEAST_BLOCKS and time.perf_counter() - start >= seconds:
            break
        for name in (*calls, *reversed(calls)):
            times[name].append(turn(calls[name], repeats[name], device))
    return {name: (repeats[name], times[name]) for name in calls}


def turn(call: Callable[[], object], count: int, device: torch.device) -> float:
    """The seconds a call, of ``count`` calls between two synchronisations."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(count):
        call()
    synchronise(device)
    return max(time.perf_counter() - start, 1e-9) / count


def synchronise(device: torch.device) -> None:
    """Wait for the work of a GPU; a CPU has none left."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def sentence(group: Group) -> str:
    """A group in a line: milliseconds and memory of every form, as shares of the plain form's."""
    height, width = group["tokens"]
    told = ", ".join(f"{name} {of_form(group, name)}" for name in group["forms"])
    return f"{height}x{width} tokens, {group['precision']}, {group['pass'].replace('_', ' and ')}: {told}"


def of_form(group: Group, name: str) -> str:
    """The result of one form in words."""
    result, plain = group["forms"][name], group["forms"]["plain"]
    if "error" in result:
        return f"({result['error']})"
    told = f"{1e3 * statistics.median(result['seconds']):.3f} ms, {result['peak_bytes'] / 2**20:.1f} MiB"
    if name == "plain" or "error" in plain:
        return told
    return f"{told} (x{time_ratio(group, name):.2f}, x{result['peak_bytes'] / max(1, plain['peak_bytes']):.3f})"


def time_ratio(group: Group, name: str) -> float:
    """The median, over turns of the same place, of the time of a form as a share of the plain form's."""
    pairs = zip(group["forms"][name]["seconds"], group["forms"]["plain"]["seconds"], strict=True)
    return float(statistics.median(ours / plain for ours, plain in pairs))


def targets(groups: Sequence[Group]) -> Iterator[Group]:
    """Yield the groups that the target is about: bfloat16, forward and backward, with times of both forms."""
    for group in groups:
        if (group["precision"], group["pass"]) == ("bfloat16", "forward_backward"):
            both = [group["forms"].get(name, {}) for name in ("plain", "chosen")]
            if all("seconds" in result for result in both):
                yield group


def main(arguments: Sequence[str]) -> int:
    """Measure, and tell the result; returns 0 if everything is measured, 1 if groups are left, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- attention_cuda")
    parser.add_argument("--minutes", type=float, default=10.0, help="no group begins after so many (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("results/attention_steps.jsonl"), help="the file of results")
    parser.add_argument("--tiny", action="store_true", help="a small size, on whatever device there is, as a rehearsal")
    chosen = parser.parse_args(arguments)
    if not chosen.tiny and not torch.cuda.is_available():
        sys.stderr.write("attention_cuda: there is no GPU here; --tiny runs a small size on a CPU\n")
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes, group_s = (TINY_SIZES, 0.1) if chosen.tiny else (SIZES, GROUP_S)
    left = measure(device, sizes, PRECISIONS, chosen.minutes, chosen.out, group_s=group_s)
    for group in targets(read(chosen.out)):
        plain, ours = (1e3 * statistics.median(group["forms"][name]["seconds"]) for name in ("plain", "chosen"))
        size = "x".join(map(str, group["tokens"]))
        what = f"forward and backward, bfloat16, {size} tokens, {group['device']}, ms"
        close("attention_cuda", f"{ours:.3f}", f"{plain:.3f}", f"{plain / ours:.2f}", what)
    if left:
        say(f"attention_cuda: {left} groups are left; the same command goes on")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
