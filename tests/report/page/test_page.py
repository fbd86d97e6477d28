"""The page and its files, read as text; :mod:`test_page_in_browser` opens it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.evidence import evidence_of
from bench.records.files import RecordError, with_digest
from bench.records.record import read, read_all, write
from bench.report.figures.speed import figures
from bench.report.page.page import script_json, write_report
from bench.report.tables import speed
from tests.report.hostile import facts

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)
HOSTILE = "<script>alert('x')</script>"
WITHOUT_TORCH = """
import sys
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "ray", "optuna", "fvcore"):
            raise ImportError("the report imported " + name)

sys.meta_path.insert(0, Refuse())
from bench.report.page.page import write_report
write_report(Path(sys.argv[1]))
"""


def without_plotly(page: Path) -> str:
    """The page less the one long script that is not ours."""
    scripts = re.compile(r"<script>.*?</script>", re.DOTALL)
    return scripts.sub(lambda match: "" if len(match[0]) > 10**6 else match[0], page.read_text())


def test_a_report_is_a_page_and_its_tables(tmp_path: Path, planted_results: Plant) -> None:
    page = write_report(planted_results(tmp_path))
    assert page == tmp_path / "report" / "index.html"
    files = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*") if path.is_file()}
    assert {
        "index.html",
        "tables/ablation.md",
        "tables/ablation.tex",
        "data/variants.csv",
        "tables/classes.csv",
        "methods.md",
    } < files
    rows = list(csv.DictReader((page.parent / "data" / "variants.csv").read_text().splitlines()))
    assert [row["variant"] for row in rows] == [A, B, C, D]
    assert float(rows[2]["miou_delta"]) == pytest.approx(0.05, abs=1e-6)
    assert len((page.parent / "data" / "learning-curves.csv").read_text().splitlines()) == 1 + 12 * 10


def test_a_report_needs_neither_torch_nor_ray(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "report" / "index.html").stat().st_size > 10**6


def test_text_from_a_study_is_shown_not_run(tmp_path: Path, planted_results: Plant) -> None:
    factors = {HOSTILE: ["off", HOSTILE]}
    scores = {f"{HOSTILE}=off": [0.6, "failed"], f"{HOSTILE}={HOSTILE}": [0.7, 0.7]}
    folder = planted_results(
        tmp_path, factors=factors, scores=scores, classes=[HOSTILE, "</script>"],
        plan={"name": HOSTILE.replace("/", ""), "question": HOSTILE, "command": HOSTILE, "size": HOSTILE},
    )  # fmt: skip
    page = without_plotly(write_report(folder))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    data = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(data) == 13
    assert all("data" in json.loads(content) for content in data), "nothing in it ends the element early"


def test_no_escape_sequence_of_a_study_or_a_record_is_in_the_files_of_a_report(
    tmp_path: Path, planted_results: Plant
) -> None:
    escape = "\x1b]0;title\x07\x9b2J\u202e"
    factors = {f"f{escape}": ["off", f"on{escape}"]}
    scores = {f"f{escape}=off": [0.6, "failed"], f"f{escape}=on{escape}": [0.7, 0.7]}
    folder = planted_results(
        tmp_path, factors=factors, scores=scores, classes=[f"sky{escape}", "road"],
        plan={"question": escape, "command": f"bench {escape}"},
    )  # fmt: skip
    for path in (folder / "records").iterdir():
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["outcome"]["status"] == "failed":
            content["outcome"] |= {"reason": f"RuntimeError: {escape}", "traceback": f"one\n{escape}"}
            path.write_text(with_digest(content), encoding="utf-8")
    page = without_plotly(write_report(folder))
    assert "\\x1b]0;title\\x07" in page
    files = [path for path in (folder / "report").rglob("*") if path.suffix in (".html", ".md", ".tex")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files} | {"index.html": page}
    assert len(texts) > 5
    for name, text in texts.items():
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text), name


def test_a_traceback_is_folded_and_escaped(tmp_path: Path, planted_results: Plant) -> None:
    page = without_plotly(write_report(planted_results(tmp_path, scores={A: ["failed"], B: [0.6], C: [0.6], D: [0.6]})))
    assert '<details id="traceback-1"><summary>Traceback of q0s0.aaaa1111.json</summary>' in page
    assert "a line of &lt;code&gt;" in page


def test_script_json_cannot_leave_its_element() -> None:
    text = json.dumps({"a": "</script><!-- & \u2028"}, ensure_ascii=False)
    escaped = script_json(text)
    assert not set("<>&\u2028") & set(escaped)
    assert json.loads(str(escaped)) == json.loads(text)


def test_the_findings_say_what_brackets_and_verdicts_are_where_there_are_some(
    tmp_path: Path, planted_results: Plant
) -> None:
    sentence = "after Holm’s correction over"
    assert sentence in write_report(planted_results(tmp_path / "whole")).read_text(encoding="utf-8")
    costs = planted_results(tmp_path / "costs", stages=["cost"])
    assert sentence not in write_report(costs).read_text(encoding="utf-8")


def test_a_half_finished_study_shows_its_holes(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, None, 0.61], B: ["out_of_memory", None, None], C: [0.65, 0.67, None], D: [None] * 3}
    page = without_plotly(write_report(planted_results(tmp_path, scores=scores)))
    for text in ("2/3", "0/3", "1 out of memory", "(1 pair)", "7 missing", "8 of 16 done"):
        assert text in page, text


def test_a_study_without_records_says_so(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None] for name in (A, B, C)}
    folder = planted_results(
        tmp_path, scores=nothing, costs=dict.fromkeys(nothing), excluded={D: "JPU needs stride 32"}
    )
    page = without_plotly(write_report(folder))
    assert "Nothing has been measured yet." in page
    assert "attention=on + upsampling=jpu was left out: JPU needs stride 32" in page
    assert 'type="application/json"' not in page
    assert (folder / "report" / "index.html").stat().st_size < 10**5, "plotly is left out where nothing is drawn"


def test_a_study_of_costs_alone_shows_where_they_are(tmp_path: Path, planted_results: Plant) -> None:
    page = without_plotly(write_report(planted_results(tmp_path, stages=["cost"])))
    assert 'id="cost-section"' in page
    assert 'id="macs-by-part"' in page
    assert 'id="classes-section"' not in page


def test_a_stale_record_is_named_and_left_out(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    write(read(folder / "records" / "q0s0.aaaa1111.json").having(key="gone"), folder / "records")
    page = without_plotly(write_report(folder))
    assert "1 stale record was left out" in page
    assert "gone.aaaa1111.json" in page


def test_the_page_says_where_the_numbers_come_from(tmp_path: Path, planted_results: Plant) -> None:
    page = without_plotly(write_report(planted_results(tmp_path / "renamed", plan={"size": "small"})))
    for text in (
        "c0ffee0c0ffe (with uncommitted changes)", "Run at size “small”", "bench run studies/planted.py",
        "bench report results/planted-small", "the last iteration", "Planted CPU", "Multiply-accumulates",
    ):  # fmt: skip
        assert text in page, text


def network(level: str, kernel: int, macs: int) -> dict[str, Any]:
    return facts({"attention": level}, "heads.<b>Head", kernel, macs)


def audit(about: str, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The facts of a study whose factor changes the head."""
    named = {"about": {"attention": [about]}, "touched": {"attention": ["head"]}, "input_px": [64, 64]}
    return {"audit": {**named, "variants": {A: one, C: other}}}


@pytest.mark.parametrize("about", ["neck", "head"])
def test_a_difference_is_shown_and_flagged_only_where_no_factor_is_about_it(
    tmp_path: Path, planted_results: Plant, about: str
) -> None:
    plan = audit(about, network("off", 3, 5 * 10**9), network("on", 1, 10**9))
    page = without_plotly(write_report(planted_results(tmp_path, plan=plan)))
    flagged = about == "neck"
    assert ("in more than the factors are about" in page) == flagged
    assert ("4 of 4 GMACs saved (100%) are undeclared" in page) == flagged
    assert ("Differences that no factor declares" in page) == flagged
    assert "&lt;b&gt;Head: kernel 3 → 1" in page
    assert "<b>Head" not in page


def test_trials_in_another_environment_than_the_baselines_are_flagged(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, plan=audit("head", network("off", 3, 5), network("on", 1, 5)))
    for record in read_all(folder / "records"):
        if record.trial.variant == C and record.trial.stage == "quality":
            write(record.having(environment={**record.environment.as_json(), "torch": "2.6.0"}), folder / "records")
    table = evidence_of(folder).confounds
    rows = table[table["Kind"] == "environment"]
    assert dict(zip(rows["Compared"], rows["Difference"], strict=True)) == {
        "attention=on": "2.13.0 → 2.6.0",
        "attention=on, on average": "differs in 1 of 2 pairs",
        "upsampling=jpu, on average": "differs in 1 of 2 pairs",
    }
    assert set(rows["Where"]) == {"torch of quality trials"}
    assert evidence_of(folder).confounded == list(rows["Compared"])


def test_a_report_of_a_damaged_record_is_refused(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    (folder / "records" / "q0s0.aaaa1111.json").write_text("{")
    with pytest.raises(RecordError, match="is not a record"):
        write_report(folder)
    assert not (folder / "report").exists()


def test_speed_ups_have_a_mark_a_setting_and_one_that_was_not_alone_has_none(
    tmp_path: Path, planted_results: Plant, plant_speed: Callable[..., None]
) -> None:
    folder = planted_results(tmp_path, stages=("quality", "cost"))
    plant_speed(folder, B, A, {256: True, 512: True, 1024: False}, "<b>neighbour</b>")
    page = without_plotly(write_report(folder))
    (drawn,) = figures(evidence_of(folder))
    assert drawn.figure.layout.meta["marks"] == len(drawn.table) == 2
    assert "left out: &lt;b&gt;neighbour" in page
    assert "<b>neighbour" not in page
    assert "Published speeds" not in page, "the study names none"
    table = speed.comparisons(evidence_of(folder)).printed()
    assert table["Times as fast"].tolist()[:2] == ["2.000", "2.000"]
    assert (folder / "report" / "data" / "speed.csv").read_text().count("\n") == 4


def test_a_study_of_speed_alone_is_called_one_and_shows_no_table_without_rows(
    tmp_path: Path, planted_results: Plant, plant_speed: Callable[..., None]
) -> None:
    folder = planted_results(tmp_path)
    plant_speed(folder, B, A, {256: True})
    plan = json.loads((folder / "study.json").read_text())
    plan |= {"stages": ["speed"], "trials": [cell for cell in plan["trials"] if cell["stage"] == "speed"]}
    (folder / "study.json").write_text(json.dumps(plan))
    page = without_plotly(write_report(folder))
    assert '<p class="kicker">Comparison of speed</p>' in page
    assert "Every timed comparison." in page
    assert "<tbody>\n</tbody>" not in page


def test_tables_that_an_earlier_report_had_are_gone(tmp_path: Path, planted_results: Callable[..., Path]) -> None:
    folder = planted_results(tmp_path)
    report = write_report(folder).parent
    whole = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    (report / "notes.txt").write_text("mine")
    for path in (folder / "records").glob("*.json"):
        path.unlink()
    write_report(folder)
    left = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert "tables/cost.tex" in whole - left
    assert any(name.startswith("data/confusion") for name in whole - left)
    assert {"notes.txt", "index.html", "tables/outcomes.md"} <= left
    write_report(planted_results(tmp_path))
    assert {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()} - {
        "notes.txt"
    } == whole


@pytest.mark.parametrize(
    "names", [("n", "low"), ("high", "p"), ("precision", "mode"), ("batch", "ratio"), ("estimate", "against")]
)
def test_a_factor_may_be_called_as_a_column_of_some_table(
    tmp_path: Path, planted_results: Callable[..., Path], plant_speed: Callable[..., None], names: tuple[str, str]
) -> None:
    factors = {name: ["off", "on"] for name in names}
    variants = [f"{names[0]}={a}, {names[1]}={b}" for a in ("off", "on") for b in ("off", "on")]
    scores = {variant: [0.6 + place / 50, 0.61 + place / 60] for place, variant in enumerate(variants)}
    folder = planted_results(tmp_path, factors=factors, scores=scores)
    plant_speed(folder, variants[-1], variants[0], {64: True, 128: True})
    write_report(folder)
    timed = evidence_of(folder).speedups
    assert timed.columns.is_unique
    columns = [name if name in timed and f"factor {name}" not in timed else f"factor {name}" for name in names]
    assert timed[columns].to_numpy().tolist() == [["on", "on"]] * 2
    assert timed["precision"].tolist() == ["float32"] * 2 or "precision" in columns
