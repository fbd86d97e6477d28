"""Execution modes: where each of them runs, in which precisions, and which package it needs. No torch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from bench.parts import ChoiceError
from bench.protocol.recipe import Mode, Recipe, TimedPrecision
from bench.protocol.setting import Setting
from bench.protocol.words import joined

Precisions = tuple[TimedPrecision, ...]
TORCH: Mapping[str, Precisions] = {
    "cpu": ("float32", "bfloat16", "float16"),
    "cuda": ("float32", "tf32", "bfloat16", "float16"),
}
"""Device -> the precisions of torch there."""


@dataclass(frozen=True)
class ModeFacts:
    """The conditions of an execution mode.

    Attributes:
        devices: device -> the precisions in which the mode runs there.
        packages: the names by which the packages that it needs are imported, besides torch.
        install: the command that installs them.
        within_torch: ``True`` if torch's tensors are computed, which have a memory format. Another runtime lays feature
            maps out as it likes.
    """

    devices: Mapping[str, Precisions]
    packages: tuple[str, ...] = ()
    install: str = ""
    within_torch: bool = True


ONNX, QUANTISER = ("onnx", "onnxscript"), "onnxruntime"
INSTALL_ONNX = "pip install 'segbench[onnx]'"
MODES: Mapping[Mode, ModeFacts] = {
    "eager": ModeFacts(TORCH),
    "compile": ModeFacts(TORCH),
    "compile_max_autotune": ModeFacts(TORCH),
    "cuda_graph": ModeFacts({"cuda": TORCH["cuda"]}),
    "aot_inductor": ModeFacts({"cpu": ("float32",), "cuda": ("float32", "tf32")}),
    "onnxruntime": ModeFacts(
        {"cpu": ("float32", "int8_static", "int8_dynamic"), "cuda": ("float32", "tf32", "float16")},
        (*ONNX, "onnxruntime"),
        INSTALL_ONNX,
        within_torch=False,
    ),
    "openvino": ModeFacts(
        {"cpu": ("float32", "bfloat16", "float16", "int8_static")},
        (*ONNX, "openvino"),
        "pip install 'segbench[openvino]'",
        within_torch=False,
    ),
    "tensorrt": ModeFacts(
        {"cuda": ("float32", "tf32", "bfloat16", "float16")},
        ("torch_tensorrt",),
        "pip install torch-tensorrt",
        within_torch=False,
    ),
}


def check_setting(setting: Setting, device_type: str) -> None:
    """Refuse a setting that this device or this environment cannot run, before anything is prepared.

    Raises:
        ChoiceError: for a mode or a precision that the device does not have, a memory format that the mode does not
            heed, or a package that is missing; the message names the remedy.
    """
    setting.check(device_type)
    mode, facts = setting.mode, MODES[setting.mode]
    if device_type not in facts.devices:
        wanted = joined([name.upper() for name in facts.devices], "or")
        raise ChoiceError(f"mode {mode!r} needs a {wanted} device, this is {device_type!r}; use eager or compile")
    precisions = facts.devices[device_type]
    if setting.precision not in precisions:
        having = [name for name, other in MODES.items() if setting.precision in other.devices.get(device_type, ())]
        remedy = f"use {joined(precisions, 'or')}" + (f", or mode {joined(having, 'or')}" if having else "")
        raise ChoiceError(f"mode {mode!r} has no precision {setting.precision!r} on {device_type!r}; {remedy}")
    if setting.memory_format != "contiguous" and not facts.within_torch:
        raise ChoiceError(
            f"mode {mode!r} lays out feature maps by itself, so it has no memory format {setting.memory_format!r}; "
            "leave it contiguous"
        )
    quantises = setting.precision.startswith("int8") and QUANTISER not in facts.packages
    for packages, install in ((facts.packages, facts.install), ((QUANTISER,) if quantises else (), INSTALL_ONNX)):
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            raise ChoiceError(f"mode {mode!r} needs {joined(missing)}, not installed here; {install}")


COMPILED: tuple[Mode, ...] = ("compile", "compile_max_autotune", "aot_inductor")
"""The modes of torch whose networks on a CPU are compiled from C++."""


def check_compiler(mode: Mode, device_type: str) -> None:
    """Refuse a mode that compiles C++ on a machine without the compiler that torch would call.

    Raises:
        ChoiceError: if there is none; the message names the remedy.
    """
    if mode not in COMPILED or device_type != "cpu":
        return
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if sys.platform != "win32" and shutil.which(compiler) is None:
        raise ChoiceError(
            f"mode {mode!r} needs a C++ compiler, and {compiler} is not on the PATH; install g++, or name another one "
            "by the environment variable CXX"
        )


def tested_precision(recipe: Recipe) -> TimedPrecision:
    """The precision in which a recipe tests a network."""
    return recipe.test_precision or ("tf32" if recipe.precision == "tf32" else "float32")


def is_tested_in_mode(recipe: Recipe) -> bool:
    """``True`` if a recipe tests networks in another way than by eager torch in the precision of its own."""
    return recipe.test_mode != "eager" or recipe.test_precision is not None


def check_test(recipe: Recipe, device_type: str) -> None:
    """Refuse a recipe that tests networks in a mode or a precision that this device or environment does not have.

    Raises:
        ChoiceError: as :func:`check_setting` does.
    """
    if is_tested_in_mode(recipe):
        height, width = recipe.crop_px  # of any size: the images' own are not known here, and change no answer
        check_setting(
            Setting(height=height, width=width, mode=recipe.test_mode, precision=tested_precision(recipe)), device_type
        )
