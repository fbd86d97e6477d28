"""What figures of effects, classes, costs, training and outcomes draw, against numbers known beforehand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.evidence import evidence_of
from bench.protocol.setting import Setting
from bench.records.files import RecordError
from bench.records.record import read, write
from bench.report.figures import cost, curves
from bench.report.figures.all import all_figures
from bench.report.figures.classes import confusion, differences
from bench.report.figures.cost import attribution, growth
from bench.report.figures.curves import boundary_by_tolerance, learning_curves
from bench.report.figures.interactions import interactions
from bench.report.figures.outcomes import outcome_grid
from bench.report.figures.speed import figures
from bench.report.tables import speed
from tests.planted_speed import measured, measured_ratios, plant_speed, planted

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)


def test_an_interaction_has_the_mean_of_every_pair_of_levels(tmp_path: Path, planted_results: Plant) -> None:
    (figure,) = interactions(evidence_of(planted_results(tmp_path)))
    table = figure.table.set_index(["attention", "upsampling"])
    assert table["mIoU (%) ↑"].to_dict() == pytest.approx(
        {("off", "dilated"): 61.0, ("on", "dilated"): 66.0, ("off", "jpu"): 61.1667, ("on", "jpu"): 65.5667}, abs=1e-3
    )
    assert table.loc[("off", "dilated"), "high"] == pytest.approx(61 + 2.48414, abs=1e-3)
    assert set(table["n"]) == {3}
    assert [look.label for look in figure.key] == ["upsampling=dilated", "upsampling=jpu"]


def test_an_interaction_is_over_the_settings_of_the_other_factors(tmp_path: Path, planted_results: Plant) -> None:
    factors = {name: ["off", "on"] for name in "abc"}
    scores = {
        f"a={a}, b={b}, c={c}": [0.4 + 0.1 * (a == "on") + 0.2 * (b == "on") + 0.02 * (c == "on")]
        for a in ("off", "on") for b in ("off", "on") for c in ("off", "on")
    }  # fmt: skip
    figures = interactions(evidence_of(planted_results(tmp_path, factors=factors, scores=scores)))
    assert [figure.title for figure in figures] == ["a × b", "a × c", "b × c"]
    first = figures[0].table
    assert first["mIoU (%) ↑"].tolist() == pytest.approx([41, 51, 61, 71], abs=1e-3), "half with c, half without"


def test_an_incomplete_design_has_no_interaction_to_draw(tmp_path: Path, planted_results: Plant) -> None:
    assert interactions(evidence_of(planted_results(tmp_path, excluded={D: "does not fit"}))) == []


def test_differences_by_class_are_paired_over_seeds(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    record = read(folder / "records" / "q2s0.aaaa1111.json")
    matrix = record.measured.confusion
    without_sky = [[*matrix[0][:2], 0], [matrix[1][0], matrix[1][1] + matrix[1][2], 0], [0, 0, 0]]
    write(
        record.having(measured={**record.measured.as_json(), "confusion": without_sky, "split": "a part"}),
        folder / "records",
    )
    table = evidence_of(folder).class_effects.set_index(["variant", "class"])
    road = table.loc[(B, "road")]
    # 0.5, −0.8 and 0.8 points: mean 0.1667, sd 0.8505; Student-t: 4.302653 · sd / √3.
    assert (road["delta"], road["low"], road["high"]) == pytest.approx((0.001667, -0.01946, 0.02279), abs=1e-5)
    assert table.loc[(C, "sky"), "n"] == 2, "in one seed that class is neither there nor found"
    assert table.loc[(B, "sky"), "n"] == 3
    assert A not in set(table.index.get_level_values("variant"))
    drawn = differences(evidence_of(folder))
    assert drawn.table[drawn.table["Variant"] == "upsampling=jpu"]["Δ IoU (points)"].iloc[0] == pytest.approx(
        0.1667, abs=1e-3
    )


def test_the_matrix_is_summed_over_seeds_and_normalised_by_label(tmp_path: Path, planted_results: Plant) -> None:
    figure = confusion(evidence_of(planted_results(tmp_path)))[0]
    assert figure.title == "Confusion: baseline"
    table = figure.table.set_index(["Label", "Prediction"])
    hits = 750_000 + 765_432 + 757_764  # h of IoU = h / (2·10⁶ − h) at 60, 62 and 61 %
    assert table.loc[("road", "road"), "Pixels"] == hits
    assert table.loc[("road", "pole"), "Share of the label (%)"] == pytest.approx(100 - hits / 3e4)
    assert figure.figure.data[0].z[0][0] == pytest.approx(hits / 3e4, abs=1e-3)


def test_a_class_without_a_pixel_has_no_cells(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, scores={A: [0.6], B: [None], C: [None], D: [None]})
    record = read(folder / "records" / "q0s0.aaaa1111.json")
    write(
        record.having(measured={**record.measured.as_json(), "confusion": [[5, 1, 0], [0, 3, 1], [0, 0, 0]]}),
        folder / "records",
    )
    (figure,) = confusion(evidence_of(folder))
    assert figure.figure.layout.meta["marks"] == len(figure.table) == 6


def test_the_notable_variants_are_the_baseline_the_resolved_and_the_best(
    tmp_path: Path, planted_results: Plant
) -> None:
    scores = {A: [0.60, 0.62, 0.61], B: [0.75, 0.60, 0.63], C: [0.650, 0.671, 0.659], D: [0.62, 0.60, 0.61]}
    assert evidence_of(planted_results(tmp_path, scores=scores)).most_telling[:3] == [A, C, B]


def test_boundary_f_is_drawn_for_each_tolerance_in_both_conventions(tmp_path: Path, planted_results: Plant) -> None:
    both = boundary_by_tolerance(evidence_of(planted_results(tmp_path, boundary_px=(9, 3))))
    all_images, present = (figure.table for figure in both)
    assert all_images["Tolerance (px)"].tolist() == [3, 9] * 4
    assert set(all_images["Boundary F (%) ↑"]) == {90.0}
    assert present["Boundary F, present (%) ↑"].tolist() == pytest.approx([80.0] * 8)


def test_parts_add_up_to_the_column_and_what_is_not_deployed_is_left_out(
    tmp_path: Path, planted_results: Plant
) -> None:
    state = {f"{what}_bytes": 1 for what in ("weight", "buffer", "gradient", "optimiser", "input", "peak")}
    memory = {**state, "saved_bytes": {"backbone": 3 * 2**20, "outside": 2**20}}
    evidence = evidence_of(planted_results(tmp_path, costs={D: {"training_memory": memory}}))
    parameters, macs, saved = attribution(evidence)
    assert parameters.table.groupby("Variant")["Parameters (M) ↓"].sum()["attention=on"] == 5.0
    assert set(parameters.table["Part"]) == {"backbone", "head"}, "not the auxiliary head"
    assert macs.table.groupby("Variant")["MACs (G) ↓"].sum()["baseline"] == 1.0
    assert saved.table.to_numpy().tolist() == [
        ["attention=on + upsampling=jpu", "backbone", 3.0], ["attention=on + upsampling=jpu", "outside", 1.0],
    ]  # fmt: skip


def write_attribution(folder: Path, variant: str, exponent: float | None = 2.0) -> Path:
    """A file as ``bench cost`` writes it: a head that grows with the square of the pixels, and something inside it."""
    sides = (32, 64)
    rows = [
        {"module": name, "kind": "Module", "depth": depth, "input_px": [side, side], "parameters": 9,
         "macs": 1000 * side**4, "output_bytes": 8, "saved_bytes": 0, "time_s": None}
        for side in sides for name, depth in (("network", 0), ("head", 1), ("head.conv", 2))
    ]  # fmt: skip
    grown = [
        {"module": name, "quantity": "macs", "exponent": exponent, "last_exponent": 2.0} for name in ("network", "head")
    ]
    path = folder / "attribution" / "variant.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"variant": variant, "modules": rows, "growth": grown}))
    return path


def test_growth_is_drawn_for_slots_with_its_exponent(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    hidden = write_attribution(folder, A).with_name("._variant.json")
    hidden.write_bytes(b"\0")  # as macOS leaves it on foreign disks
    (figure,) = growth(evidence_of(folder))
    assert figure.figure.layout.meta["marks"] == len(figure.table) == 2 * 2, "what was not timed has no figure"
    assert [look.label for look in figure.key] == ["network ∝ px^2.00", "head ∝ px^2.00"]
    assert figure.table["MACs (G)"].tolist() == pytest.approx([1.048576, 16.777216] * 2)
    assert "extrapolated" not in figure.caption
    path = write_attribution(folder, A)
    how = "extrapolated from 64x64, 96x96, 128x128, quadratic in pixels; 0.02% off at 160x160"
    followed = {"macs": {"512x512": how, "1024x1024": how}, "saved_bytes": {"512x512": "otherwise"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "extrapolated": followed}))
    (figure,) = growth(evidence_of(folder))
    assert f" at 512x512 and 1024x1024: {how}." in figure.caption
    assert "otherwise" not in figure.caption
    write_attribution(folder, A, exponent=None)
    assert [look.label for look in growth(evidence_of(folder))[0].key] == ["network", "head"]


def test_growth_is_of_one_machine_and_of_the_networks_that_the_records_are_of(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)

    def add(variant: str, file: str, hardware: str, choices: dict[str, Any] | None = None) -> None:
        path = write_attribution(folder, variant)
        document = json.loads(path.read_text())
        for row in document["modules"]:
            row["time_s"] = 1e-9 * row["macs"]
        path.unlink()
        document |= {"environment": {"hardware": hardware}, "choices": {"variant": choices or {}}}
        (path.parent / file).write_text(json.dumps(document))

    add(A, "a.json", "H200")
    times = next(figure for figure in growth(evidence_of(folder)) if figure.name == "growth-time-s")
    assert "medians of the timed forwards, on H200." in times.caption
    add(B, "b.json", "AMD EPYC, 2 threads")
    with pytest.raises(RecordError, match="attribution has times of different hardware: AMD EPYC, 2 threads; H200"):
        growth(evidence_of(folder))
    add(A, "b.json", "H200")
    with pytest.raises(RecordError, match=rf"b\.json is a second file of {re.escape(A)}; keep one"):
        growth(evidence_of(folder))
    (folder / "attribution" / "b.json").unlink()
    for path in (folder / "records").glob("*.json"):
        record = read(path)
        write(record.having(choices={**record.choices.as_json(), "variant": {"head": "other"}}), folder / "records")
    assert growth(evidence_of(folder)) == []
    add(B, "b.json", "H200", {"head": "other"})
    (figure, *_) = growth(evidence_of(folder))
    assert "Left out: 1 variant measured with other choices than the records have." in figure.caption
    assert set(figure.table["Variant"]) == {"upsampling=jpu"}


def test_growth_of_what_the_plan_does_not_have_is_not_drawn(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    assert growth(evidence_of(folder)) == []
    write_attribution(folder, "attention=gone")
    assert growth(evidence_of(folder)) == []


@pytest.mark.parametrize("content", ["{", '{"variant": "x"}', '{"variant": "x", "modules": [1], "growth": []}'])
def test_a_damaged_file_of_bench_cost_is_refused(tmp_path: Path, planted_results: Plant, content: str) -> None:
    folder = planted_results(tmp_path)
    write_attribution(folder, A).write_text(content)
    with pytest.raises(RecordError, match=r"variant\.json is no file of bench cost"):
        growth(evidence_of(folder))


def test_a_long_curve_is_thinned_and_its_last_point_kept(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, scores={A: [0.6], B: [None], C: [None], D: [None]})
    record = read(folder / "records" / "q0s0.aaaa1111.json")
    steps = list(range(1, 501))
    history = {"iteration": steps, "loss": [1 / step for step in steps], "lr": [0.1] * 500}
    write(
        record.having(measured={**record.measured.as_json(), "history": history, "iterations": 500}), folder / "records"
    )
    figure = learning_curves(evidence_of(folder))
    (line,) = figure.figure.data
    assert len(line.x) == 167  # every third of 500
    assert (line.x[-1], line.y[-1]) == (500, 0.002)
    assert figure.data is not None
    assert len(figure.data) == 500


def test_more_trials_than_can_be_told_apart_are_drawn_as_means(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "MOST_LINES", 11)
    figure = learning_curves(evidence_of(planted_results(tmp_path)))
    assert figure.figure.layout.meta["marks"] == len(figure.table) == 4
    assert figure.table["Seed"].tolist() == ["mean of 3"] * 4
    assert figure.figure.data[0].y[0] == pytest.approx(2 - 0.61 - 0.1)
    assert "12 trials" in figure.caption
    assert figure.data is not None
    assert figure.data.columns.tolist() == ["variant", "seed", "iteration", "loss"]
    assert len(figure.data) == 4 * 10


def test_the_grid_has_a_letter_for_every_outcome(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, "failed", None], B: ["diverged", "timed_out", "interrupted"], C: [0.6] * 3}
    folder = planted_results(tmp_path, scores=scores, costs={B: "out_of_memory"}, excluded={D: "does not fit"})
    figure = outcome_grid(evidence_of(folder))
    letters = next(trace for trace in figure.figure.data if trace.type == "scatter")
    rows = {name: "".join(t for t, y in zip(letters.text, letters.y, strict=True) if y == name) for name in letters.y}
    assert list(rows.values()) == ["✓F–✓", "VTIM", "✓✓✓✓", "EEEE"]
    assert len(figure.table) == figure.figure.layout.meta["marks"] == 16
    assert {look.label for look in figure.key} >= {"✓ done", "E excluded", "M out of memory"}


def test_of_many_variants_the_grid_shows_those_with_most_to_see(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.figures.outcomes.MOST_VARIANTS", 2)
    scores = {A: [0.6, 0.6], B: [0.6, "failed"], C: [0.6, 0.6], D: ["failed", "failed"]}
    figure = outcome_grid(evidence_of(planted_results(tmp_path, scores=scores)))
    assert list(dict.fromkeys(figure.table["Variant"])) == ["upsampling=jpu", "attention=on + upsampling=jpu"]
    assert figure.data is not None
    assert len(figure.data) == 12
    assert "2 of 4 variants" in figure.caption


def test_only_the_first_variants_have_their_parts_drawn(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "MOST_VARIANTS", 2)
    figure = attribution(evidence_of(planted_results(tmp_path)))[0]
    assert list(dict.fromkeys(figure.table["Variant"])) == ["baseline", "upsampling=jpu"]
    assert "first 2 of 4" in figure.caption


def timed(folder: Path, sides: dict[int, float]) -> None:
    """Comparisons of B with A, one a side of a square input, in whose blocks the ratio is the given one ± 1 %."""
    comparisons = {
        Setting(height=side, width=side, least_s=1.0): measured_ratios([ratio * 0.99, ratio, ratio * 1.01] * 4, 0.01)
        for side, ratio in sides.items()
    }
    plant_speed(folder, comparisons, variant=B, against=A)


def test_the_size_at_which_a_ratio_crosses_1_is_marked(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    timed(folder, {256: 0.5, 1024: 2.0})
    (figure,) = figures(evidence_of(folder))
    assert figure.figure.layout.meta["marks"] == len(figure.table) == 2, "a crossing is no mark"
    (line,) = [shape for shape in figure.figure.layout.shapes if shape.x0 == shape.x1]
    assert line.x0 == pytest.approx(512**2, rel=0.01), "half way on logarithmic axes"
    down, up = [trace for trace in figure.figure.data if trace.mode == "lines"]
    assert down.x[0] == up.x[0] == pytest.approx(line.x0, rel=1e-4)
    assert down.x[1] < line.x0 < up.x[1]
    assert (down.line.dash, up.line.dash) == ("solid", "solid")
    assert "512²" in {note.text for note in figure.figure.layout.annotations}


def test_an_interval_of_a_crossing_that_goes_on_beyond_the_sizes_is_drawn_to_the_edge_and_dotted(
    tmp_path: Path,
) -> None:
    # At 64² from 1/2 to 1.1: the upper end is above 1 everywhere, so where it crosses is not known.
    unclear = measured([1.0] * 20, [0.5] * 8 + [1.1] * 12)
    (figure,) = figures(evidence_of(planted(tmp_path, {64: unclear, 256: measured([1.0] * 20, [2.0] * 20)})))
    (line,) = [shape for shape in figure.figure.layout.shapes if shape.x0 == shape.x1]
    down, up = [trace for trace in figure.figure.data if trace.mode == "lines"]
    assert (down.x[1], down.line.dash) == (64 * 64, "dot")
    assert (up.x[1] > line.x0, up.line.dash) == (True, "solid")
    assert speed.crossings(evidence_of(tmp_path)).printed()["Crosses 1"][0].count("(beyond the range to") == 1


def test_kinds_of_setting_are_drawn_apart_and_told_apart_in_the_table(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{"batch": 2}, {"precision": "bfloat16"}]
    comparisons = {
        Setting(height=side, width=side, **kind): measured_ratios([ratio] * 10)
        for kind in kinds
        for side, ratio in ((64, 2.0), (128, 3.0))
    }
    evidence = evidence_of(plant_speed(tmp_path, comparisons))
    first, second = figures(evidence)
    assert (first.title, second.title) == (
        "Speed-up by input size: batch 2", "Speed-up by input size: batch 1, bfloat16",
    )  # fmt: skip
    assert first.name != second.name
    assert [len(figure.table) for figure in (first, second)] == [2, 2]
    assert speed.crossings(evidence).printed()["Timed at"].tolist() == ["batch 2", "batch 1, bfloat16"]
    assert len([figure for figure in all_figures(evidence) if figure.section == "speed"]) == 2


def test_speed_ups_have_a_column_a_setting_in_the_grid_of_outcomes(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    timed(folder, {256: 0.5, 1024: 2.0})
    table = outcome_grid(evidence_of(folder)).table
    assert set(table[table["Variant"] == "upsampling=jpu"]["Trial"]) >= {"speed 256x256", "speed 1024x1024"}
