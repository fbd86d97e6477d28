"""The library that pretends a CUDA device: compiled once for a test session, and loaded before torch is.

Torch asks for its accelerators when it is imported, so the library must be there before, in a process of its own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("device.cpp")


def compiler() -> str | None:
    """The path of a C++ compiler, if there is one."""
    return shutil.which("c++") or shutil.which("g++")


def compiled(folder: Path) -> Path:
    """The library, compiled into ``folder`` against the headers of the torch that is installed."""
    program = compiler()
    assert program is not None
    library = folder / "pretended_cuda.so"
    torch = _torch()
    sources = [str(SOURCE), f"-I{torch / 'include'}", f"-L{torch / 'lib'}", "-lc10", "-ltorch_cpu"]
    command = [program, "-std=c++20", "-O0", "-shared", "-fPIC", *sources, "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def load(library: Path) -> None:
    """Load torch's own libraries, so that the pretended device takes the place of theirs, and then this one."""
    libraries = _torch() / "lib"
    for path in (libraries / "libtorch_global_deps.so", libraries / "libtorch.so", library):
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _torch() -> Path:
    """The folder of torch, which is not imported."""
    found = importlib.util.find_spec("torch")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent
