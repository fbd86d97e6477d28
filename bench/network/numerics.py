"""The numerics of a computation: the precision of its products and convolutions, and the choice of its kernels.

A network is computed inside :func:`numerics`, which sets torch's switches and restores them:

| precision | products and convolutions of float32 | autocast |
| --- | --- | --- |
| ``float32`` | IEEE float32 | off |
| ``tf32`` | rounded to TF32, 10 bits of mantissa; on CUDA alone | off |
| ``bfloat16``, ``float16`` | IEEE float32, for those that autocast leaves in float32 | on |

| kernels | cuDNN | other operators |
| --- | --- | --- |
| ``fastest`` | tries its algorithms at the first call of each shape, and keeps the fastest | as usual |
| ``default`` | chooses an algorithm by its own rules | as usual |
| ``deterministic`` | chooses a deterministic algorithm | deterministic, where torch has such a form of them |

An operator without a deterministic form runs as usual under ``deterministic``, and torch warns of it: the log of a
trial names it. Two such operators, the losses over maps and adaptive pooling, are in almost every training on CUDA.
Products on CUDA need :func:`reserve_workspace` too, which a trial calls first of all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import nn

from bench.protocol.recipe import Kernels, Precision, TimedPrecision, check_precision

CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""The environment variable, and its value, by which products of cuBLAS are deterministic, as torch demands it."""

PLAIN_LAYERS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
)  # fmt: skip
"""Layers whose weights autocast casts to half precision in every forward."""


@contextlib.contextmanager
def numerics(precision: Precision, kernels: Kernels, device: torch.device, *, cache: bool = True) -> Iterator[None]:
    """Inside the block, compute in a precision and by a choice of kernels: :func:`switches` and :func:`autocast`.

    For a forward. A backward pass belongs into :func:`switches` too, but not into autocast.

    Args:
        precision: the precision of products and convolutions.
        kernels: the choice of kernels.
        device: the device that computes.
        cache: ``False`` for a CUDA graph, which must not contain casts that autocast keeps and frees.

    Raises:
        ChoiceError: for ``tf32`` on a device other than CUDA.
    """
    with switches(precision, kernels, device), autocast(precision, device, cache=cache):
        yield


def autocast(precision: TimedPrecision, device: torch.device, *, cache: bool = True) -> torch.autocast:
    """Autocast to a half precision; a context without autocast for ``float32`` and ``tf32``."""
    enabled = operand_type(precision) != torch.float32
    return torch.autocast(
        device.type, dtype=operand_type(precision) if enabled else None, enabled=enabled, cache_enabled=cache
    )


def operand_type(precision: TimedPrecision) -> torch.dtype:
    """The type of the operands of products and convolutions: a half precision, or float32 where autocast is off."""
    return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision, torch.float32)


@contextlib.contextmanager
def switches(precision: TimedPrecision, kernels: Kernels, device: torch.device) -> Iterator[None]:
    """Inside the block, torch's switches of TF32, of cuDNN and of deterministic algorithms are as chosen.

    On a CPU, where TF32 and cuDNN mean nothing, ``deterministic`` alone changes a switch.

    Raises:
        ChoiceError: for ``tf32`` on a device other than CUDA.
    """
    check_precision(precision, device.type)
    on_gpu, alike = device.type == "cuda", kernels == "deterministic"
    with (
        _of_cuda(precision == "tf32", kernels) if on_gpu else contextlib.nullcontext(),
        _deterministic(alike) if on_gpu or alike else contextlib.nullcontext(),
    ):
        yield


def in_force(device: torch.device) -> dict[str, bool | None]:
    """The positions of torch's switches at this moment, as a record keeps them; ``None`` for those of other devices."""
    cuda, cudnn = device.type == "cuda", torch.backends.cudnn
    return {
        "tf32_products": torch.get_float32_matmul_precision() != "highest" if cuda else None,
        "tf32_convolutions": cudnn.allow_tf32 if cuda else None,
        "cudnn_benchmark": cudnn.benchmark if cuda else None,
        "cudnn_deterministic": cudnn.deterministic if cuda else None,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def outside_training(kernels: Kernels) -> Kernels:
    """The kernels of inference by a recipe: a search for the fastest ones pays off in training alone."""
    return "default" if kernels == "fastest" else kernels


def halved(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast the weights and biases of convolutions and linear layers in place, once, for forwards under autocast.

    Autocast would cast the same weights in every forward, so the outputs are the same bit for bit. It must stay on,
    for it still casts the inputs of layers and products. Weights stay as they are in layers with a forward of their
    own, such as those that standardise their weights, and those that another layer uses too.

    Args:
        model: the network, which will not be trained.
        dtype: the half precision of autocast; float32 casts nothing.
    """
    plain = [module for module in model.modules() if type(module).forward in FORWARDS]
    others = [module for module in model.modules() if type(module).forward not in FORWARDS]
    kept = {id(parameter) for module in others for parameter in module.parameters(recurse=False)}
    for module in plain:
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in kept and parameter.dtype == torch.float32:
                parameter.data = parameter.data.to(dtype)


FORWARDS = frozenset(layer.forward for layer in PLAIN_LAYERS)
"""The forwards of :data:`PLAIN_LAYERS`: a layer derived from one of them has the same, unless it computes otherwise."""


@contextlib.contextmanager
def _of_cuda(tf32: bool, kernels: Kernels) -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = tf32, kernels == "fastest", kernels == "deterministic"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        _, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


@contextlib.contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if (wanted, wanted) != before:
        torch.use_deterministic_algorithms(wanted, warn_only=wanted)
    try:
        yield
    finally:
        if (wanted, wanted) != before:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def reserve_workspace(kernels: Kernels) -> None:
    """Have cuBLAS compute products in a workspace of its own under ``deterministic``, as torch demands it.

    For a process that has used no GPU yet: cuBLAS reads the environment variable only once.
    """
    if kernels == "deterministic":
        os.environ.setdefault(*CUBLAS_WORKSPACE)
