"""Benchmarks: the plain form is the same function, storages are counted, the line that is printed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.evidence.evidence import evidence_of
from bench.network.heads.dual_attention import PositionAttention
from bench.network.model import SegModel
from bench.study.source import load_study
from bench.training import loop
from benchmarks import __main__ as command
from benchmarks import (
    attention,
    attention_steps,
    augmentation,
    counting,
    headline,
    headline_section,
    quality,
)
from benchmarks.attention import Storages
from benchmarks.data import STUDY, bare_loop
from benchmarks.plain import PlainPositionAttention
from benchmarks.report_calls import CALLS_OF_BB4439A, calls, report_calls
from benchmarks.street import street

LINE = r"bench {}: ours=[\d.]+ other=[\d.]+ ratio=([\d.]+) \(.+, (MiB|s)\)"


def test_both_sides_compute_the_same_output_and_the_same_gradients() -> None:
    results = []
    for cls in (PositionAttention, PlainPositionAttention):
        torch.manual_seed(0)
        module = cls(16, 4, "trainable").double()
        torch.nn.init.constant_(module.gamma, 0.5)
        x = torch.randn(2, 16, 7, 9, dtype=torch.float64, requires_grad=True)
        out = module(x)
        results.append([out, *torch.autograd.grad((out * out.detach().cos()).sum(), [x, *module.parameters()])])
    assert all(torch.allclose(ours, plain, rtol=1e-9, atol=1e-9) for ours, plain in zip(*results, strict=True))


def test_the_peak_is_what_is_alive_at_once_without_what_is_kept() -> None:
    storages = Storages()
    with storages:
        kept = torch.zeros(1000)  # 4000 bytes, alive at the end
        first = torch.zeros(25)
        del first
        second, third = torch.zeros(50), torch.zeros(75)
        view = third[:10]
        del second, third
        assert view is not None
        del view
    assert kept is not None
    assert storages.peak_bytes() == 4 * (50 + 75)


def test_ours_needs_a_twelfth_of_the_memory_of_the_plain_form_and_little_at_a_large_size() -> None:
    """Counted on the meta device, so at full size in no time."""
    ours, plain = (attention.peak_bytes(side, attention.TOKENS, "meta") for side in ("ours", "plain"))
    assert plain / ours >= 12
    ours, plain = (attention.peak_bytes(side, attention.LARGE_TOKENS, "meta") for side in ("ours", "plain"))
    assert plain > 8e9
    assert ours < 1e9


def test_bytes_counted_on_the_meta_device_are_those_on_the_cpu() -> None:
    for side in ("ours", "plain"):
        assert attention.peak_bytes(side, (6, 7), "meta") == attention.peak_bytes(side, (6, 7), "cpu")


def test_every_choice_of_the_augmentation_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(augmentation, "IMAGE_PX", (128, 128))
    monkeypatch.setattr(augmentation, "RECIPE", augmentation.RECIPE.having(crop_px=(32, 48)))
    monkeypatch.setattr(augmentation, "CHOICES", {**augmentation.CHOICES, "short_side": {"short_side_px": 64}})
    monkeypatch.setattr(augmentation, "BLOCKS", 1)
    assert command.main(["augmentation"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(augmentation.CHOICES)
    assert all(
        re.fullmatch(LINE.format(f"augmentation {name}"), line)
        for name, line in zip(augmentation.CHOICES, lines, strict=True)
    )


@pytest.mark.parametrize(("name", "unit"), [("attention_time", "s"), ("attention_memory", "MiB")])
def test_a_measurement_ends_with_its_line(
    name: str, unit: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attention, "TOKENS", (8, 10))
    monkeypatch.setattr(attention, "LARGE_TOKENS", (12, 16))
    monkeypatch.setattr(attention, "_process_bytes", lambda: 1)
    threads = torch.get_num_threads()
    assert command.main([name]) == 0
    assert torch.get_num_threads() == threads
    found = re.fullmatch(LINE.format(name), capsys.readouterr().out.splitlines()[-1])
    assert found
    assert found[2] == unit
    assert float(found[1]) > 0


@pytest.mark.parametrize("name", ["boundary", "confusion"])
def test_quality_measurements_compare_equal_counts_and_end_with_their_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = np.random.default_rng(0).integers(0, quality.CLASSES, (2, 12, 16), dtype=np.uint8)
    monkeypatch.setattr(quality, "street", lambda: tuple(maps))
    assert command.main([name]) == 0
    found = re.fullmatch(LINE.format(name), capsys.readouterr().out.splitlines()[-1])
    assert found
    assert found[2] == "s"


def test_the_street_has_every_class_and_void_and_a_prediction_that_is_mostly_right() -> None:
    prediction, label = street()
    assert prediction.shape == label.shape == (1024, 2048)
    assert set(np.unique(label)) == {*range(quality.CLASSES), IGNORE}
    assert prediction.max() < quality.CLASSES
    wrong = (prediction != label)[label != IGNORE].mean()
    assert 0.03 < wrong < 0.15


def test_counting_is_compared_with_a_full_count_that_gives_the_same_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(counting, "SIZE_PX", (64, 96))
    assert command.main(["counting"]) == 0
    assert re.fullmatch(LINE.format("counting"), capsys.readouterr().out.splitlines()[-1])


def test_without_a_name_the_measurements_are_listed_and_an_unknown_one_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name}: " in listed for name in ("attention_memory", "attention_time"))
    assert command.main(["attention_speed"]) == 2
    assert (
        "no measurement attention_speed; there are attention_cuda, attention_memory, attention_time"
        in capsys.readouterr().err
    )


def test_only_calls_straight_from_one_module_of_the_package_into_another_are_counted() -> None:
    sources = {
        "bench.low": "def low():\n    return inner()\n\ndef inner():\n    return 1\n",
        "bench.high": "def high():\n    return [low() for _ in range(3)] + sorted([2, 1], key=lambda value: -value)\n",
        "elsewhere": "def elsewhere():\n    return low() + len(high())\n",
    }
    names: dict[str, Any] = {}
    for module, source in sources.items():
        space: dict[str, Any] = {"__name__": module, **names}
        exec(source, space)
        names |= {name: value for name, value in space.items() if callable(value)}
    assert calls(names["elsewhere"]) == {("bench.high", "bench.low"): 3}


def test_a_report_calls_across_modules_at_most_half_as_often_as_before_the_rooms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = []
    for _ in range(2):
        report_calls()
        counts.append(re.search(r"bench report_calls: ours=(\d+) other=(\d+)", capsys.readouterr().out))
    first, second = (int(match[1]) for match in counts if match)
    assert first == second
    assert 0 < first <= CALLS_OF_BB4439A / 2


def test_the_bare_loop_trains_as_the_training_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = STUDY.recipe.having(iterations=4)
    split = recipe.data.build(None).split("train")
    classes = len(recipe.data.cls.classes)
    batch = next(loop.stream_of(split, recipe, 0, torch.device("cpu"), 0))
    _, losses = bare_loop(SegModel(STUDY.base, classes, seed=0), batch, recipe)
    monkeypatch.setattr(loop, "stream_of", lambda *_: (pair for pair in [batch] * 4))
    history = loop.train(SegModel(STUDY.base, classes, seed=0), split, recipe, 0, device=torch.device("cpu"))
    assert losses == history.loss
    assert losses[-1] < losses[0]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_steps, "CHANNELS", 128)
    monkeypatch.setattr(attention_steps, "TINY_SIZES", ((2, 3),))
    monkeypatch.setattr(attention_steps, "LETTER_S", 0.0)
    monkeypatch.setattr(attention_steps, "LEAST_BLOCKS", 1)


@pytest.mark.usefixtures("small_steps")
def test_steps_of_attention_are_written_group_by_group_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kept" / "steps.jsonl"
    command_line = ["attention_cuda", "--tiny", "--out", str(out)]
    assert command.main([*command_line, "--minutes", "0"]) == 1
    assert "4 groups are left; the same command goes on" in capsys.readouterr().out
    assert command.main(command_line) == 0
    whole = out.read_text()
    groups = attention_steps.read(out)
    assert {(group["precision"], group["pass"]) for group in groups} == {
        (precision, which) for precision in attention_steps.PRECISIONS for which in attention_steps.PASSES
    }
    for group in groups:
        assert list(group["forms"]) == ["plain", "blocks", "heads_128"]
        for result in group["forms"].values():
            assert len(result["seconds"]) % 2 == 0
            assert min(result["seconds"]) > 0
            assert result["peak_bytes"] > 0
    out.write_text(whole[:-20])  # the last line was being written
    capsys.readouterr()
    assert command.main(command_line) == 0
    assert capsys.readouterr().out.startswith("2x3 tokens, float32, forward: plain ")
    assert out.read_text().splitlines()[:3] == whole.splitlines()[:3]
    assert len(attention_steps.read(out)) == 4


@pytest.mark.usefixtures("small_steps")
def test_a_form_that_does_not_fit_or_is_refused_has_its_error_and_the_others_their_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB.\nmore")

    monkeypatch.setattr(attention_steps.InBlocks, "forward", refuse)
    results = attention_steps.timed(torch.device("cpu"), (2, 3), "float32", "forward", 0.0)
    assert results["blocks"] == {"error": "CUDA out of memory. Tried to allocate 8 GiB."}
    assert results["plain"]["seconds"]
    group = {"tokens": [2, 3], "precision": "float32", "pass": "forward", "forms": results}
    assert "blocks (CUDA out of memory. Tried to allocate 8 GiB.)" in attention_steps.sentence(group)


def test_all_forms_of_the_steps_compute_the_same() -> None:
    outputs = []
    for precision in ("float32", "bfloat16"):
        for form in attention_steps.forms(torch.device("cpu"), precision):
            results = attention_steps.step(form, torch.device("cpu"), (3, 4), "float32", "forward_backward")()
            outputs.append(results)
    for other in outputs[1:]:
        for one, two in zip(outputs[0], other, strict=True):
            assert torch.allclose(one, two, rtol=1e-4, atol=1e-4)


def test_a_gpu_has_forms_of_both_kernels_and_cudnn_only_in_half_precision() -> None:
    names = {p: [form.name for form in attention_steps.forms(torch.device("cuda"), p)] for p in ("bfloat16", "float32")}
    assert names["float32"] == ["plain", "blocks", "chosen", "efficient_128", "efficient_512"]
    assert names["bfloat16"] == [*names["float32"], "cudnn_128", "cudnn_256"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_steps_of_attention_say_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["attention_cuda", "--out", str(tmp_path / "steps.jsonl")]) == 2
    assert capsys.readouterr().err == "attention_cuda: there is no GPU here; --tiny runs a small size on a CPU\n"
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_the_headline_is_asked_to_stop_when_its_time_is_over() -> None:
    obeys = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); time.sleep(60)"
    step = headline.Step("long", "a command that takes a minute", ("-c", obeys), 1.0)
    start = time.monotonic()
    assert headline.run(step, 0.5) == "not finished: its time was over; the same command goes on"
    assert time.monotonic() - start < 30
    assert headline.run(replace(step, arguments=("-c", "")), 30) == "finished"
    assert headline.run(replace(step, arguments=("-c", "raise SystemExit(3)")), 30) == "ended with status 3; see above"


def test_every_variant_and_setting_that_the_headline_begins_with_is_in_the_study() -> None:
    study = load_study(Path(__file__).parents[1] / "studies" / "jpu_speed.py", "gpu")
    pairs = {(cell.name, setting.name) for cell, _, setting in study.pairs()}
    assert set(product(headline.FIRST_VARIANTS, headline.FIRST_SETTINGS)) <= pairs


def test_a_headline_without_a_gpu_or_with_an_unknown_step_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert headline.main(["--rehearse", "--only", "sped"]) == 2
    assert "no step sped; there are speed, attention, widened" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert headline.main([]) == 2
        assert "there is no GPU here; --rehearse" in capsys.readouterr().err


def test_the_section_of_the_headline_has_the_numbers_of_its_records_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = Path(__file__).parent / "golden" / "reports" / "jpu_speed-cpu"
    shutil.copytree(golden, tmp_path / "jpu_speed-cpu")
    forms = {
        "plain": {"seconds": [0.002, 0.004], "peak_bytes": 100 * 2**20},
        "chosen": {"seconds": [0.001, 0.002], "peak_bytes": 10 * 2**20},
        "cudnn_256": {"error": "no such kernel"},
    }
    group = {
        "tokens": [64, 128],
        "precision": "bfloat16",
        "pass": "forward_backward",
        "device": "a GPU",
        "forms": forms,
    }
    (tmp_path / "attention").mkdir()
    (tmp_path / headline_section.ATTENTION).write_text(json.dumps(group) + "\n")
    monkeypatch.setattr(headline_section, "write_figures", lambda figures, folder, form: [])
    text = headline_section.section(tmp_path)
    ratios = [row["ratio"] for row in evidence_of(golden).speedups.to_dict("records")]
    assert "11 of 11 trials are done" in text
    assert "holds in 0 of 11 comparisons (their 95 % intervals are above it), and in 11 it does not" in text
    assert f"The largest is {max(ratios):.2f} [" in text
    assert "| 64×128 | bfloat16 | forward and backward | 3.000 ms, 100 MiB | 0.50 × time, 0.100 × memory | – |" in text


def test_the_committed_findings_are_what_the_committed_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    monkeypatch.setattr(headline_section, "write_figures", lambda figures, folder, form: [])
    kept = Path("results", "findings.md").read_text(encoding="utf-8").splitlines()
    sentences = [line for line in kept if line and not line.startswith("![")]
    assert sentences == [line for line in headline_section.section(Path("results")).splitlines() if line]


def test_a_headline_with_weights_trains_the_components_from_them(tmp_path: Path) -> None:
    weights = tmp_path / "resnet50.pth"
    weights.write_bytes(b"weights")
    study = load_study(headline.pretrained_study(tmp_path / "out", weights, "plain"))
    backbone = study.base.backbone
    assert backbone is not None
    assert dict(backbone.choices)["weights"] == str(weights)
    assert dict(backbone.choices)["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert (study.name, study.recipe.iterations, len(study.cells())) == ("components-pretrained", 2_000, 11)
    names = [step.name for step in headline.steps(tmp_path, tmp_path, tmp_path / "study.py")]
    assert names == ["speed", "attention", "quality", "pretrained", "widened", "danet", "fastfcn", "gscnn"]
