"""Memory that is not enough: every way in which torch and a GPU's libraries say so, and whether the GPU was shared."""

from __future__ import annotations

import errno

import pytest
import torch

from bench.measure.timing.nvml import Gpu
from bench.run.outcomes import memory
from bench.run.outcomes.memory import in_one_line, ran_out, ran_out_on_gpu, sharing

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://…"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA driver error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError("CUDA error: resource allocation failed when calling `cusparseCreate(handle)`"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        RuntimeError("NCCL error: unhandled cuda error\nLast error:\nCuda failure 2 'out of memory'"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("backend='inductor' raised:\nOutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_each_library_of_a_gpu_is_understood(error: Exception) -> None:
    assert ran_out(error)
    assert ran_out_on_gpu(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_memory_of_the_host_is_told_apart(error: Exception) -> None:
    assert ran_out(error)
    assert not ran_out_on_gpu(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm`"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        OSError(errno.ENOENT, "No such file"),
        ValueError("CUDA out of memory"),
    ],
)
def test_another_error_is_none_of_memory(error: Exception) -> None:
    assert not ran_out(error)


def test_an_error_that_was_raised_from_one_of_memory_is_one() -> None:
    error = ValueError("the head failed")
    error.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert ran_out_on_gpu(error)


@pytest.mark.parametrize(("free_bytes", "runs_out"), [(2**28, True), (2**34, False)])
@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasGemmEx`",
    ],
)
def test_a_library_that_cannot_start_lacks_memory_if_the_gpu_is_full(
    monkeypatch: pytest.MonkeyPatch, text: str, free_bytes: int, runs_out: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free_bytes, 2**35))
    assert ran_out(RuntimeError(text)) is runs_out


def test_a_lost_gpu_is_no_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> tuple[int, int]:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert not ran_out(RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED"))


@pytest.mark.parametrize(
    ("device", "share", "others", "words"),
    [
        (CUDA, 0.5, 0, "it had 0.5 of the GPU"),
        (CUDA, 1.0, 1, "1 other process was on the GPU"),
        (CUDA, 1.0, 2, "2 other processes were on the GPU"),
        (CUDA, 1.0, 0, None),
        (CUDA, 1.0, None, None),
        (CPU, 0.5, None, None),
    ],
)
def test_the_sharing_of_a_gpu_is_told(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, share: float, others: int | None, words: str | None
) -> None:
    monkeypatch.setattr(memory, "gpu", lambda device: Gpu(foreign_processes=others))
    assert sharing(device, share) == words


@pytest.mark.parametrize(
    ("error", "others", "line"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 0, "OutOfMemoryError: CUDA out of memory"),
        (
            torch.OutOfMemoryError("CUDA out of memory\nmore"),
            1,
            "1 other process was on the GPU; OutOfMemoryError: CUDA out of memory",
        ),
        (MemoryError("of the host"), 1, "MemoryError: of the host"),
    ],
)
def test_an_error_of_memory_is_one_line_that_names_the_other_processes_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch, error: Exception, others: int, line: str
) -> None:
    monkeypatch.setattr(memory, "gpu", lambda device: Gpu(foreign_processes=others))
    assert in_one_line(error, CUDA) == line
