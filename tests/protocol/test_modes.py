"""Execution modes: each says in one line what it does not have, and names the remedy."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, get_args

import pytest

from bench.parts import ChoiceError
from bench.protocol.modes import COMPILED, MODES, check_compiler, check_setting
from bench.protocol.recipe import Mode
from bench.protocol.setting import Setting


def setting(**choices: Any) -> Setting:
    return Setting(**{"height": 64, "width": 64, **choices})


def test_every_mode_has_its_facts() -> None:
    assert set(MODES) == set(get_args(Mode))


@pytest.fixture
def every_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.usefixtures("every_package")
@pytest.mark.parametrize(
    ("choices", "device", "message"),
    [
        ({"mode": "tensorrt"}, "cpu", "'tensorrt' needs a CUDA device"),
        ({"mode": "openvino"}, "cuda", "'openvino' needs a CPU device"),
        ({"mode": "onnxruntime", "precision": "bfloat16"}, "cpu", "no precision 'bfloat16' on 'cpu'; use float32"),
        ({"precision": "int8_static"}, "cpu", "or mode onnxruntime or openvino$"),
        ({"mode": "compile", "precision": "int8_static"}, "cuda", "use float32, tf32, bfloat16 or float16$"),
        ({"mode": "onnxruntime", "memory_format": "channels_last"}, "cpu", "leave it contiguous"),
    ],
)
def test_what_a_mode_does_not_have_is_refused_in_one_line(choices: dict[str, Any], device: str, message: str) -> None:
    with pytest.raises(ChoiceError, match=message) as raised:
        check_setting(setting(**choices), device)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("every_package")
def test_what_a_mode_has_is_not_refused() -> None:
    for mode, facts in MODES.items():
        for device, precisions in facts.devices.items():
            for precision in precisions:
                check_setting(setting(mode=mode, precision=precision), device)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else name)
    with pytest.raises(ChoiceError, match=r"needs openvino, not installed here; pip install 'segbench\[openvino\]'"):
        check_setting(setting(mode="openvino"), "cpu")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else name)
    check_setting(setting(mode="openvino"), "cpu")
    with pytest.raises(ChoiceError, match=r"needs onnxruntime, not installed here; pip install 'segbench\[onnx\]'"):
        check_setting(setting(mode="openvino", precision="int8_static"), "cpu")


@pytest.mark.parametrize("mode", [mode for mode in get_args(Mode) if mode not in ("eager", "compile")])
def test_a_training_step_is_eager_or_compiled(mode: Mode) -> None:
    with pytest.raises(ChoiceError, match="it runs forwards alone"):
        setting(mode=mode, phase="training", batch=2)


@pytest.mark.parametrize("mode", COMPILED)
def test_a_mode_that_compiles_needs_a_compiler_on_the_path(
    mode: Mode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ChoiceError, match="needs a C\\+\\+ compiler, and .* is not on the PATH; install g"):
        check_compiler(mode, "cpu")
    check_compiler("eager", "cpu")
    compiler = tmp_path / "c++-of-mine"
    compiler.write_text("")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", compiler.name)
    check_compiler(mode, "cpu")
