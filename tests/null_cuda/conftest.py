"""Every test of this folder runs on the null CUDA device, and nowhere else: ``nox -s null-cuda``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

EXPECTED = (
    "Attempting to run cuBLAS, but there was no current CUDA context",  # the null device has none
    ".* does not have a deterministic implementation",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.null_cuda)
            for message in EXPECTED:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


@pytest.fixture(autouse=True)
def without_graphs_of_cudnn() -> Iterator[None]:
    """Attention takes the memory-efficient kernel: the null device lacks the graphs that cuDNN's own is made of."""
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    yield
    torch.backends.cuda.enable_cudnn_sdp(before)
