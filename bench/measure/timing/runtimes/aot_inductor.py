"""AOTInductor: a network that torch exports and compiles to a shared library ahead of time.

**Source**: torch, ``torch._inductor.aoti_compile_and_package`` and ``aoti_load_package``. It needs a C++ compiler.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.runtime import Logits, preparing


def prepare(network: nn.Module, image: Tensor) -> Logits:
    """A package that is compiled in a temporary folder and loaded from there.

    Raises:
        PreparationError: for a network that ``torch.export`` cannot trace, or that does not compile.
    """
    import torch._inductor as inductor

    with preparing("AOTInductor"), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        program = torch.export.export(network, (image,))
        package = inductor.aoti_compile_and_package(program, package_path=str(Path(folder) / "network.pt2"))
        run = inductor.aoti_load_package(package)

    def logits(image: Tensor) -> Tensor:
        with torch.inference_mode():
            return cast(Tensor, run(image))

    return logits
