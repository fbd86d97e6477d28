"""Parity with golden vectors of the originals: right numbers pass, and anything else is told from them."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.network.checkpoints.convert import convert, expected_tensors, layout_for
from bench.network.model import SegModel
from parity.__main__ import main, run_case, verdicts
from parity.compare import check_count, check_equal, check_values
from parity.counts import run_counts
from parity.golden import GoldenError, draw_weight, generator_of, read_folder
from parity.networks import network_of

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = read_folder(GOLDEN).cases


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder with one case of the golden set, its JSON changed."""

    def make(name: str, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
        facts = json.loads((GOLDEN / f"{name}.json").read_text())
        change(facts)
        (tmp_path / f"{name}.json").write_text(json.dumps(facts))
        shutil.copy(GOLDEN / f"{name}.npz", tmp_path)
        return tmp_path

    return make


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_golden_case_passes(case: Any) -> None:
    verdict = run_case(case)
    assert (verdict.status, [check for check in verdict.checks if not check.passed]) == ("pass", [])
    stored = set(case.facts.get("outputs", {}))
    assert stored | {f"{key} statistics" for key in stored} <= {check.what for check in verdict.checks}


def test_parameter_counts_are_those_of_the_originals() -> None:
    (verdict,) = run_counts(GOLDEN)
    assert verdict.status == "pass"
    totals = {check.what for check in verdict.checks}
    assert {"gscnn_19cls", "danet_resnet101_plainstem_19cls", "fastfcn_resnet50_encnet_jpux_19cls head"} <= totals


def test_a_gated_scnn_has_as_many_parameters_as_the_release_without_its_unused_side_output() -> None:
    network = network_of("GSCNN", {"num_classes": 19})
    with torch.device("meta"):
        model = SegModel(network.variant, network.num_classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == 137_278_125


@pytest.mark.parametrize("jpu", [None, True, "JPU", "JPU_X"])
@pytest.mark.parametrize("kind", ["FCN", "PSP", "DeepLabV3", "EncNet"])
def test_networks_of_other_depths_and_class_counts_convert_too(kind: str, jpu: Any) -> None:
    options = {"nclass": 7, "backbone": "resnet152", "aux": False, "se_loss": False, "jpu": jpu, "dilated": not jpu}
    network = network_of(kind, options)
    marks = {"FCN": "conv5.4", "PSP": "conv5.0.conv1.0", "DeepLabV3": "aspp.b0.0", "EncNet": "encmodule.fc.0"}
    layout = layout_for((f"head.{marks[kind]}.weight",), "fastfcn")
    expected = expected_tensors(network.variant, 7)
    source = {layout.source_name(name) or name: tensor for name, tensor in expected.items()}
    assert convert(source, network.variant, 7, "fastfcn").state.keys() == expected.keys()


def test_a_wrong_parameter_count_fails(tmp_path: Path) -> None:
    counts = json.loads((GOLDEN / "param_counts.json").read_text())["models"]
    wrong = {
        "gscnn_19cls": {**counts["gscnn_19cls"], "total": 137278191},
        "danet_resnet50_plainstem_19cls": {"total": 1},
    }
    (tmp_path / "param_counts.json").write_text(json.dumps({"models": {**wrong, "unheard_of": {"total": 1}}}))
    (verdict,) = run_counts(tmp_path)
    failed = [check.what for check in verdict.checks if not check.passed]
    assert verdict.status == "fail"
    assert failed == ["gscnn_19cls", "danet_resnet50_plainstem_19cls", "unheard_of"]


def test_the_command_prints_a_line_a_case_and_ends_with_zero(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder("A_fastfcn_metric")
    assert main([str(folder("A_gscnn_basicblock"))]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("pass  A_fastfcn_metric  max abs ")
    assert printed[1].startswith("pass  A_gscnn_basicblock  max abs ")
    assert "2 in " in printed[2]
    assert ": 2 pass (" in printed[2]


def test_cases_are_known_by_their_content_and_not_by_their_name(tmp_path: Path) -> None:
    copied = [case for case in CASES if "outputs" in case.facts and "net" not in case.name and not case.facts["grad"]]
    for index, case in enumerate(copied):
        facts = {**case.facts, "case": f"Z{index}"}
        (tmp_path / f"Z{index}.json").write_text(json.dumps(facts))
        shutil.copy(case.path.with_suffix(".npz"), tmp_path / f"Z{index}.npz")
    found = [(verdict.case, verdict.status) for verdict in verdicts(tmp_path)]
    assert sorted(found) == sorted((f"Z{index}", "pass") for index in range(len(copied)))
    assert len(copied) > 10


def failing(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says about a folder that must not pass."""
    assert main([str(path)]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("fail")
    return printed


def test_wrong_weights_fail_whether_or_not_their_sums_are_stated(folder: Any, capsys: Any) -> None:
    def salted(facts: dict[str, Any]) -> None:
        facts["salt"] = "x"

    def unsummed(facts: dict[str, Any]) -> None:
        salted(facts)
        facts["entries"] = [row[:3] for row in facts["entries"]]

    assert "random numbers are others" in failing(folder("A_fastfcn_psphead", salted), capsys)
    assert "\n    out__out: " in failing(folder("A_fastfcn_psphead", unsummed), capsys)


def test_one_wrong_weight_of_many_fails(folder: Any, capsys: Any) -> None:
    def change(facts: dict[str, Any]) -> None:
        row = next(row for row in facts["entries"] if row[0] == "sa.gamma")
        row[2:] = ["running_var"]

    assert "\n    out__sa: " in failing(folder("A_danet_head", change), capsys)


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("A_fastfcn_aspp_small_rates", "atrous_rates", [2, 3, 6], "\n    out__out: "),
        ("A_gscnn_edgeaspp_os8", "output_stride", 16, "\n    out__out: "),
        ("A_gscnn_wrnblock_bottleneck", "dilation", 2, "\n    out__out: "),
        ("A_fastfcn_encmodule", "se_loss", False, "presence.weight"),
        ("A_fastfcn_enchead_jpu", "jpu", False, "size mismatch"),
        ("A_net_danet_r50_plainstem_mg_damp", "dropout", 0.5, "DANet with dropout: known arguments are nclass"),
        ("A_net_danet_r50_plainstem_mg_damp", "no_deepstem", False, "such as backbone.conv1.0.weight (expected as "),
        ("A_gscnn_loss_std", "upper_bound", 0.5, "\n    seg_loss: "),
        ("A_gscnn_loss_std", "edge_weight", 2.0, "\n    edge_loss: "),
        ("A_gscnn_loss_std", "ignore_index", 0, "ignore_index 0"),
    ],
)
def test_a_wrong_configuration_fails(folder: Any, capsys: Any, name: str, option: str, value: Any, said: str) -> None:
    assert said in failing(folder(name, lambda facts: facts["ctor"].update({option: value})), capsys)


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("A_fastfcn_fcnhead", "cls", "UNetHead", "'UNetHead' is none of"),
        ("A_gscnn_canny", "thresholds", [10, 500], "canny_rgb_1: 2.55e+02 of 0.00e+00"),
        ("A_gscnn_loss_std", "tau", 1.0, "\n    dual_loss: "),
        ("A_fastfcn_segloss", "results", {"plain": {"value": 3.03}}, "\n    plain: "),
        ("A_fastfcn_fcnhead", "n_params", 9368, "\n    parameters: "),
        ("A_gscnn_metric", "num_classes", 18, "with 18 classes"),
        ("A_fastfcn_metric", "nclass", 5, "\n    ignore_m1 update 0 intersection: shape"),
        ("A_gscnn_fboundary", "thresholds", [0.00088, 0.001875, 0.00375, 0.005, 3, 5, 9, 11], "\n    bound_pix: "),
        ("A_gscnn_fboundary", "thresholds", [0.00088, 0.001875, 0.00375, 0.005, 3, 5, 9, 11], "\n    F: "),
        ("A_gscnn_fboundary", "ignore", 4, "\n    n_gt_boundary: "),
        ("A_gscnn_fboundary", "n_pairs", 29, "shape"),
    ],
)
def test_a_wrong_fact_fails(folder: Any, capsys: Any, name: str, key: str, value: Any, said: str) -> None:
    assert said in failing(folder(name, lambda facts: facts.update({key: value})), capsys)


def test_a_wrong_seed_text_is_told_from_a_wrong_network(folder: Any, capsys: Any) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["inputs"][0]["seed_text"] = "other"

    assert "x0 was drawn with the sum" in failing(folder("A_fastfcn_fcnhead", change), capsys)


def test_statistics_tell_what_the_stored_elements_do_not_show(folder: Any, capsys: Any) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["outputs"]["out__feat"]["stats"][4] += 1

    assert "out__feat max: 1.00e+00 of " in failing(folder("A_fastfcn_jpux", change), capsys)


def test_an_output_that_nothing_computes_fails(folder: Any, capsys: Any) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["outputs"]["out__edges"] = facts["outputs"]["out__out"]

    assert "out__edges: not computed here" in failing(folder("A_fastfcn_fcnhead", change), capsys)


@pytest.mark.parametrize("damage", ["cut", "gone", "no array", "another value"])
def test_a_damaged_archive_fails(folder: Any, capsys: Any, damage: str) -> None:
    path = folder("A_fastfcn_fcnhead")
    archive = path / "A_fastfcn_fcnhead.npz"
    if damage == "cut":
        archive.write_bytes(archive.read_bytes()[:-200])
    elif damage == "gone":
        archive.unlink()
    elif damage == "no array":
        np.savez(archive, other=np.zeros(3))
    else:
        with np.load(archive) as arrays:
            stored = arrays["out__out"].copy()
        stored[1, 2, 3, 4] += 0.01
        np.savez(archive, out__out=stored)
    said = {"no array": "has no array 'out__out'", "another value": "out__out: 1.00e-02 of "}
    assert said.get(damage, "cannot be read") in failing(path, capsys)


def test_a_case_that_the_index_lists_must_be_there(folder: Any, capsys: Any) -> None:
    path = folder("A_gscnn_basicblock")
    (path / "index.json").write_text(json.dumps({"cases": [{"case": "A_gscnn_basicblock"}, {"case": "A_lost"}]}))
    assert main([str(path)]) == 1
    assert "fail  A_lost" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["A_gscnn_gate8", "index", "param_counts"])
@pytest.mark.parametrize("content", ["{", "[]", '{"models": 1, "cases": 2}'])
def test_a_file_that_is_no_json_or_not_what_it_should_be_fails_by_itself(
    folder: Any, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    path = folder("A_gscnn_basicblock")
    (path / "index.json").write_text(json.dumps({"cases": [{"case": "A_gscnn_gate8"}]}))
    (path / f"{name}.json").write_text(content)
    assert main([str(path)]) == 1
    shown = capsys.readouterr().out
    assert "pass  A_gscnn_basicblock" in shown
    assert f"fail  {name}" in shown


@pytest.mark.parametrize("arguments", [["missing"], ["."], ["a", "b"], ["--help"]])
def test_a_folder_that_cannot_be_used_ends_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(("parity: ", "usage: "))


def test_keys_that_are_dropped_must_be_exactly_those_stated(folder: Any, capsys: Any) -> None:
    name = "A_net_fastfcn_r50_encnet_jpu_damp"
    printed = failing(folder(name, lambda facts: facts.update(unused_in_forward=["pretrained.fc.bias"])), capsys)
    assert "dropped keys: ['pretrained.fc.bias', 'pretrained.fc.weight'], stated as never used" in printed
    assert "dropped by the converter: pretrained.fc.weight, pretrained.fc.bias" in printed


def test_a_difference_at_the_limit_passes_and_one_beyond_it_fails() -> None:
    stored = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert check_values("x", stored + 0.125, stored, 0.125, 1.5).passed
    beyond = check_values("x", stored + torch.tensor([0.0, 0.25]), stored, 0.125, 2.0)
    assert not beyond.passed
    assert (beyond.error, beyond.relative, beyond.strain) == (0.25, 0.125, 2.0)


@pytest.mark.parametrize(
    ("ours", "stored", "passed"),
    [
        (math.nan, math.nan, True),
        (math.inf, math.inf, True),
        (math.nan, 0.0, False),
        (0.0, math.nan, False),
        (math.inf, -math.inf, False),
        (math.inf, 1e30, False),
    ],
)
def test_nan_and_infinity_equal_themselves_and_nothing_else(ours: float, stored: float, passed: bool) -> None:
    assert check_values("x", torch.tensor([ours]), torch.tensor([stored]), 1.0, 1.0).passed is passed


def test_maps_and_counts_must_be_equal_and_of_one_shape() -> None:
    assert check_equal("x", torch.tensor([True, False]), torch.tensor([1, 0])).passed
    assert not check_equal("x", torch.tensor([True, True]), torch.tensor([1, 0])).passed
    assert "shape" in check_equal("x", torch.zeros(2), torch.zeros(3)).problem
    assert check_count("n", 3, 3).passed
    assert not check_count("n", 3, 4).passed


def test_a_generator_is_seeded_by_the_first_four_bytes_of_sha_256() -> None:
    assert generator_of("abc").initial_seed() == 0xBA7816BF  # FIPS 180-2, appendix B.1


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("norm_weight", 0.5, 1.5),
        ("running_var", 0.5, 1.5),
        ("norm_weight_damped", 0.125, 0.375),
        ("enc_scale", -1.5 / 256, -0.5 / 256),
        ("enc_scale_init", -1.0, 0.0),
        ("attn_gamma", 0.5, 0.5),
        ("num_batches_tracked", 0, 0),
    ],
)
def test_uniform_and_constant_kinds_lie_in_their_ranges_and_fill_them(kind: str, low: float, high: float) -> None:
    drawn = draw_weight("w", [20000], kind).double()
    assert low <= drawn.min() <= low + 0.001 * (high - low)
    assert high - 0.001 * (high - low) <= drawn.max() <= high


@pytest.mark.parametrize(("kind", "std"), [("weight", math.sqrt(2 / 72)), ("bias", 0.1), ("running_mean", 0.1)])
def test_normal_kinds_have_their_standard_deviation(kind: str, std: float) -> None:
    drawn = draw_weight("w", [300, 8, 3, 3], kind)
    assert float(drawn.std()) == pytest.approx(std, rel=0.02)


def test_a_kind_without_a_rule_is_an_error() -> None:
    with pytest.raises(GoldenError, match="no rule for a tensor of the kind 'other'"):
        draw_weight("w", [1], "other")
