"""New keys for records of an earlier version: proven from a source tree, or refused without a change."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.records.files import RecordError, read_json, with_digest, write_json, write_text
from bench.records.results import load
from bench.run.identity.rekey import OTHER_DATA, RekeyError, rekey

ROOT = Path(__file__).parents[3]
VERSIONS = {"numpy": "2.4.6", "scipy": "1.17.1"}
RULE = "repr((cell.name, stage, seed, fingerprint))"


def old_key(variant: str, stage: str, seed: int, fingerprint: str) -> str:
    """The key by the rule of the old tree, which knows neither source nor settings."""
    return hashlib.sha256(repr((variant, stage, seed, fingerprint)).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source tree whose keys follow another rule."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("bench", "studies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    stages = folder / "bench" / "run" / "stages.py"
    text = stages.read_text(encoding="utf-8")
    rule = f"import hashlib\n\n    return hashlib.sha256({RULE}.encode()).hexdigest()[:16]"
    start = text.index("    return key_of(")
    end = text.index(".text\n", start) + len(".text")
    stages.write_text(text[:start] + "    " + rule + text[end:], encoding="utf-8")
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three records of the committed control, with their plan, under keys of the other rule."""
    folder = tmp_path / "positive_control"
    plan = read_json(ROOT / "results" / "positive_control" / "study.json")
    del plan["identity"]
    name = "trials" if "trials" in plan else "cells"
    plan[name] = plan[name][:3]
    plan["seeds"] = sorted({row["seed"] for row in plan[name]})
    for row in plan[name]:
        (path,) = (ROOT / "results" / "positive_control" / "records").glob(f"{row['key']}.*")
        record = read_json(path)
        row["key"] = old_key(row["variant"], row["stage"], row["seed"], plan["data"]["fingerprint"])
        record["key"] = record["choices"]["hash"] = row["key"]
        record["choices"].pop("earlier_keys", None)
        record["environment"]["bench"] |= VERSIONS
        host = record["environment"]["host"]
        artifact = f"artifacts/{row['key']}.{host}"
        record["measured"] |= {
            "artifact": f"{artifact}.npz",
            "pictures": {"predictions": f"{artifact}.predictions.npz", "images": "pictures/all.npz"},
        }
        seal(record, folder / "records" / f"{row['key']}.{host}.json")
        for file in (f"{artifact}.npz", f"{artifact}.predictions.npz", f"logs/{row['key']}.{host}.log"):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(file)
    write_json(plan, folder / "study.json")
    return folder


def seal(record: dict[str, Any], path: Path) -> None:
    """Write a record with the digest of its content."""
    write_text(with_digest(record), path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    plan = json.loads((folder / "study.json").read_text())
    rows: list[dict[str, Any]] = plan.get("trials") or plan["cells"]
    return rows


def test_records_and_plan_get_the_keys_of_the_present_source(
    results: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    before = load(results)
    old = [row["key"] for row in rows_of(results)]
    made = rekey(results, tree)
    assert made.records == 3
    assert not made.untouched
    assert made.compared == []
    committed = {(row["variant"], row["seed"]): row["key"] for row in rows_of(ROOT / "results" / "positive_control")}
    assert [row["key"] for row in rows_of(results)] == [committed[r["variant"], r["seed"]] for r in rows_of(results)]
    after = load(results)
    measured = ("miou", "pixel_accuracy")
    assert len(after.records) == 3
    assert not after.stale
    assert before.frame()[[*measured]].equals(after.frame()[[*measured]])
    for record, earlier in zip(after.records, sorted(old), strict=False):
        assert (results / record.measured.artifact).is_file()
        assert (results / record.measured.pictures["predictions"]).is_file()
        assert len(list(results.glob(f"logs/{record.key}.*"))) == 1
        assert record.choices.as_json()["earlier_keys"] != [record.key]
        assert earlier not in " ".join(contents(results))
    settled = contents(results)
    with pytest.raises(RekeyError, match="has keys of the present version already"):
        rekey(results, tree)
    assert contents(results) == settled


def test_keys_that_are_not_those_of_the_source_are_refused(results: Path, tree: Path) -> None:
    plan = json.loads((results / "study.json").read_text())
    plan["data"]["fingerprint"] = "other"
    write_json(plan, results / "study.json")
    before = contents(results)
    with pytest.raises(RekeyError, match="3 of 3 planned keys of .* are not those of the source"):
        rekey(results, tree)
    assert contents(results) == before


def test_versions_that_records_do_not_name_are_refused_unless_they_may_be_assumed(results: Path, tree: Path) -> None:
    for path in (results / "records").iterdir():
        record = json.loads(path.read_text())
        del record["environment"]["bench"]["scipy"]
        seal(record, path)
    before = contents(results)
    with pytest.raises(RekeyError, match="do not name their version of scipy; .* --assume-installed"):
        rekey(results, tree)
    assert contents(results) == before
    assert rekey(results, tree, assume_installed=True).records == 3


def test_a_record_of_another_version_of_a_package_gets_the_key_of_that_version(
    results: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for path in (results / "records").iterdir():
        record = json.loads(path.read_text())
        record["environment"]["torch"] = "2.12.0+cu130"
        seal(record, path)
    now = torch.__version__.partition("+")[0]
    assert rekey(results, tree).compared == [f"3 of 3 trials are stale by now: versions changed: torch 2.12.0 → {now}"]


def test_trainings_of_several_processes_get_keys_of_their_own(
    results: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    plan = json.loads((results / "study.json").read_text())
    name = "trials" if "trials" in plan else "cells"
    for row in plan[name][:2]:
        row["processes"] = 2
    write_json(plan, results / "study.json")
    made = rekey(results, tree)
    assert (made.records, made.compared) == (3, []), "the present source has these keys too"
    committed = {(row["variant"], row["seed"]): row["key"] for row in rows_of(ROOT / "results" / "positive_control")}
    alone = [row["key"] == committed[row["variant"], row["seed"]] for row in rows_of(results)]
    assert alone == [False, False, True]


def test_a_record_that_was_edited_gets_no_new_key_and_no_new_digest(results: Path, tree: Path) -> None:
    path = min((results / "records").iterdir())
    path.write_text(path.read_text().replace('"train_s": ', '"train_s": 1'))
    before = contents(results)
    with pytest.raises(RecordError, match=rf"{path.name} was edited after it was written: .*; restore it"):
        rekey(results, tree)
    assert contents(results) == before


def test_records_of_the_first_format_get_a_digest_and_keep_their_keys(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "results" / "positive_control", tmp_path / "old")
    paths = sorted((tmp_path / "old" / "records").iterdir())
    for path in paths[:2]:
        record = read_json(path)
        del record["digest"]
        write_json({**record, "version": 1}, path)
    before = load(tmp_path / "old")
    assert [record.version for record in before.records].count(1) == 2
    made = rekey(tmp_path / "old")
    assert (made.records, made.digests) == (0, 2)
    after = load(tmp_path / "old")
    assert {record.version for record in after.records} == {2}
    assert before.frame().equals(after.frame())
    assert contents(tmp_path / "old") == contents(ROOT / "results" / "positive_control")


def test_a_record_of_no_planned_trial_is_left_as_it_is(results: Path, tree: Path) -> None:
    (path, *_) = sorted((results / "records").iterdir())
    record = json.loads(path.read_text())
    record["key"] = "f" * 16
    stray = path.with_name(path.name.replace(path.name[:16], "f" * 16))
    seal(record, stray)
    content = stray.read_bytes()
    assert rekey(results, tree).untouched == {"of no trial of the plan": 1}
    assert stray.read_bytes() == content


@pytest.mark.parametrize(
    ("source", "said"), [("empty", "has no package bench"), (None, "the commit 0000 of the plan is not at hand")]
)
def test_a_source_that_is_not_there_is_said(results: Path, tmp_path: Path, source: str | None, said: str) -> None:
    plan = json.loads((results / "study.json").read_text())
    plan["created"]["commit"] = "0000"
    write_json(plan, results / "study.json")
    with pytest.raises(RekeyError, match=said):
        rekey(results, None if source is None else tmp_path / source)


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RekeyError, match="has no study.json"):
        rekey(tmp_path)


def test_a_record_of_a_level_whose_data_an_earlier_bench_ignored_gets_no_new_key(
    results: Path, tree: Path, tmp_path: Path
) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(tree, edited)
    study = edited / "studies" / "positive_control.py"
    head = '"on": change(head=part(DualAttentionHead, width=32, branch_logits=False, dropout=0.0))'
    data = "recipe=choose(data=part(ControlScenes, train_images=8))"
    text = study.read_text(encoding="utf-8")
    assert head in text
    study.write_text(text.replace(head, f"{head[:-1]}, {data})"), encoding="utf-8")
    old = {row["variant"]: row["key"] for row in rows_of(results)}
    made = rekey(results, edited)
    assert (made.records, made.untouched) == (2, {OTHER_DATA: 1})
    kept = [row["variant"] for row in rows_of(results) if row["key"] == old[row["variant"]]]
    assert kept == ["attention=on,upsampling=jpu,gate=off,draw=first"]
