"""The errors by which memory is not enough, and the sharing of it, which decides whether such an error is final.

CUDA and the libraries that compute with it have a dozen ways to say so. Only torch's own allocator raises an
:class:`~torch.OutOfMemoryError`; cuBLAS, cuDNN, cuSOLVER, cuSPARSE, cuFFT, cuRAND, NCCL, Triton and the driver end in a
``RuntimeError``, or in its subclass :class:`torch.AcceleratorError`, that is known by its text alone. The texts are
those of torch 2.13 and of the libraries that it is built with.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import torch

from bench.measure.timing.nvml import gpu

GPU_ERRORS = re.compile(
    r"\b(cuda|hip|nccl|triton|nvrtc)\b.*\bout of memory"  # also "CUDA driver error: …", "Triton Error [CUDA]: …"
    r"|\bcu\w+_(?<!host_)alloc(ation)?_failed\b"  # CUBLAS_STATUS_…, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_…, and so on
    r"|cusparse.*resource allocation failed|resource allocation failed.*cusparse"
    r"|unable to find an engine to execute this computation"  # of cuDNN's engines, none got its workspace
    r"|unable to find a valid cudnn algorithm",
    re.IGNORECASE,
)
"""The texts of a GPU's libraries for memory that is not enough, each within one line."""
GPU_FULL_ERRORS = re.compile(
    r"\b(cublas|cudnn|cusolver|cusparse)_status_(not_initialized|internal_error|execution_failed)\b", re.IGNORECASE
)
"""The texts that have several causes. They mean that memory was not enough if the GPU is nearly full, since then no
library can create its handle or load its kernels."""
NEARLY_FULL_BYTES = 2**29
"""The free memory below which a GPU is nearly full: the kernels of cuBLAS or cuDNN take some hundred MiB."""
HOST_ERRORS = re.compile(
    r"can't allocate memory|cannot allocate memory|std::bad_alloc|host_allocation_failed", re.IGNORECASE
)
"""The texts of torch's allocator of host memory, of the system, of C++ and of cuDNN."""
BESIDE_OTHERS = "other trials could run beside it on its machine"
"""How a trial shared the memory of its machine, in words."""


def ran_out(error: BaseException) -> bool:
    """True if an error, or one that it was raised from, says that there was not enough memory."""
    return any(_is_of_host(one) or _is_of_gpu(one) for one in _with_causes(error))


def ran_out_on_gpu(error: BaseException) -> bool:
    """True if an error, or one that it was raised from, says that a GPU did not have enough memory."""
    return any(_is_of_gpu(one) for one in _with_causes(error))


def in_one_line(error: BaseException, device: torch.device) -> str:
    """An error of memory in one line, of a process that was given a GPU of its own.

    If other processes were on the GPU all the same, the line begins with their number, since they may be the cause.

    Args:
        error: an error for which :func:`ran_out` is true.
        device: the device that computed.
    """
    shared = sharing(device) if ran_out_on_gpu(error) else None
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return line if shared is None else f"{shared}; {line}"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and the errors that it was raised from, as torch's compiler raises one from that of a kernel."""
    met: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in met:
        met.add(id(cause))
        yield cause
        cause = cause.__cause__


def _is_of_host(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(HOST_ERRORS.search(str(error))))


def _is_of_gpu(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error)
    return bool(GPU_ERRORS.search(text)) or (bool(GPU_FULL_ERRORS.search(text)) and _is_nearly_full())


def _is_nearly_full() -> bool:
    """True if this process's GPU has hardly any free memory; false where that cannot be known."""
    if not torch.cuda.is_initialized():
        return False
    try:
        free_bytes, _ = torch.cuda.mem_get_info()
    except RuntimeError:  # the device is lost after some errors
        return False
    return free_bytes < NEARLY_FULL_BYTES


def sharing(device: torch.device, gpu_share: float = 1.0) -> str | None:
    """How this process shares its GPU at this moment, in words; ``None`` if it has it to itself, as far as is known.

    Args:
        device: the device of the trial.
        gpu_share: the share of the GPU that the trial was given.
    """
    if device.type != "cuda":
        return None
    if gpu_share < 1:
        return f"it had {gpu_share:g} of the GPU"
    try:
        others = gpu(device).foreign_processes
    except RuntimeError:  # the device is lost after some errors
        return None
    return f"{others} other {'process was' if others == 1 else 'processes were'} on the GPU" if others else None
