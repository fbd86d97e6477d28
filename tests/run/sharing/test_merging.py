"""The merging of results folders: what is whole afterwards, and what is refused before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.records.files import read_json, write_json
from bench.records.record import read, record_files, write
from bench.records.results import load

Bench = Callable[..., tuple[int, str, str]]
Plant = Callable[..., Path]


def of_host(folder: Path, host: str, keys: set[str]) -> Path:
    """Keep the records of a folder that have these keys alone, as if this host had made them."""
    for path in record_files(folder / "records"):
        record = read(path)
        path.unlink()
        if record.key in keys:
            write(record.having(environment={**record.environment.as_json(), "host": host}), folder / "records")
    return folder


def change_plan(folder: Path, **fields: Any) -> None:
    write_json({**read_json(folder / "study.json"), **fields}, folder / "study.json")


def keys_of(folder: Path) -> set[str]:
    return {read(path).key for path in record_files(folder / "records")}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def halves(tmp_path: Path, planted_results: Plant) -> tuple[Path, Path, set[str]]:
    """Two folders of one study, each with every other record, and the keys of all."""
    one, two = planted_results(tmp_path / "one"), planted_results(tmp_path / "two")
    keys = sorted(keys_of(one))
    return of_host(one, "aaaa1111", set(keys[::2])), of_host(two, "bbbb2222", set(keys[1::2])), set(keys)


def test_shares_of_two_hosts_make_one_folder_that_is_reported_whole(
    halves: tuple[Path, Path, set[str]], bench: Bench, tmp_path: Path
) -> None:
    one, two, keys = halves
    (two / "weights").mkdir()
    (two / "logs").mkdir()
    first = record_files(two / "records")[0]
    (two / "logs" / f"{first.stem}.log").write_text("a log")
    before = content(two)
    code, out, err = bench("merge", one, two)
    assert (code, err) == (0, "")
    assert f"{len(keys) // 2} records added, {len(keys)} in all" in out
    assert keys_of(one) == keys
    assert set(load(one).frame()["status"]) == {"done"}
    assert (one / "logs" / f"{first.stem}.log").read_text() == "a log"
    assert content(two) == before, "a source stays as it is"
    assert not (one / ".claims").exists()
    after = content(one)
    code, out, _ = bench("merge", one, two)
    assert code == 0
    assert "0 records added" in out
    assert content(one) == after, "the same command changes nothing more"


def test_a_new_folder_gets_the_plan_and_the_records_of_all(
    halves: tuple[Path, Path, set[str]], bench: Bench, tmp_path: Path
) -> None:
    one, two, keys = halves
    code, _, err = bench("merge", tmp_path / "all", one, two)
    assert (code, err) == (0, "")
    assert keys_of(tmp_path / "all") == keys
    assert load(tmp_path / "all").plan.folder == "all"


def test_records_of_no_planned_trial_are_said_to_stay_where_they_are(
    halves: tuple[Path, Path, set[str]], bench: Bench, tmp_path: Path
) -> None:
    one, two, keys = halves
    before = content(two)
    record = read(record_files(two / "records")[0])
    write(record.having(key="0" * 12), two / "records")
    code, out, err = bench("merge", tmp_path / "all", one, two)
    assert (code, err) == (0, "")
    assert f"1 record of no planned trial stays in {two}." in out
    assert f"{len(keys)} records added, {len(keys)} in all" in out
    assert before.items() <= content(two).items()


def test_seeds_that_only_one_folder_plans_are_planned_in_both(
    tmp_path: Path, planted_results: Plant, bench: Bench
) -> None:
    one, two = planted_results(tmp_path / "one"), planted_results(tmp_path / "two")
    for folder, seeds in ((one, (0, 1)), (two, (2,))):
        plan = read_json(folder / "study.json")
        trials = [trial for trial in plan["trials"] if trial["seed"] is None or trial["seed"] in seeds]
        change_plan(folder, trials=trials, seeds=list(seeds))
        of_host(folder, "aaaa1111", {trial["key"] for trial in trials if trial["seed"] is not None or folder == one})
    last = next(path for path in record_files(two / "records"))
    last.unlink()
    code, _, err = bench("merge", one, two)
    assert (code, err) == (0, "")
    merged = load(one)
    assert merged.plan.seeds == [0, 1, 2]
    statuses = merged.frame()["status"].value_counts()
    assert dict(statuses) == {"done": len(merged.plan.trials) - 1, "missing": 1}, "a trial without a record is told"


def test_a_level_that_only_one_folder_has_stays_with_its_records(
    tmp_path: Path, planted_results: Plant, bench: Bench
) -> None:
    scores = {"attention=off": [0.5, 0.6], "attention=on": [0.6, 0.7], "attention=wide": [0.7, 0.8]}
    one = planted_results(tmp_path / "one", factors={"attention": ["off", "on"]}, scores=scores)
    two = planted_results(tmp_path / "two", factors={"attention": ["off", "on", "wide"]}, scores=scores)
    of_host(two, "aaaa1111", {key for key in keys_of(two) if key[1] == "2"})
    code, _, err = bench("merge", one, two)
    assert (code, err) == (0, "")
    merged = load(one)
    assert merged.variants == ["attention=off", "attention=on", "attention=wide"]
    assert set(merged.frame()["status"]) == {"done"}


def test_two_finished_records_of_one_trial_are_refused_by_name_and_nothing_is_written(
    tmp_path: Path, planted_results: Plant, bench: Bench
) -> None:
    one, two = planted_results(tmp_path / "one"), planted_results(tmp_path / "two")
    shared = sorted(keys_of(one))[0]
    of_host(one, "aaaa1111", {shared})
    of_host(two, "bbbb2222", keys_of(two))
    before = content(one)
    code, _, err = bench("merge", one, two)
    assert code == 2
    assert "two finished records of one trial differ" in err
    assert str(one / "records" / f"{shared}.aaaa1111.json") in err
    assert str(two / "records" / f"{shared}.bbbb2222.json") in err
    assert content(one) == before
    code, _, _ = bench("merge", tmp_path / "new", one, two)
    assert code == 2
    assert not (tmp_path / "new").exists()


def test_a_finished_record_takes_the_place_of_one_that_failed_on_either_side(
    tmp_path: Path, planted_results: Plant, bench: Bench
) -> None:
    scores = {"attention=off": [0.5, "failed"], "attention=on": ["failed", 0.7]}
    factors = {"attention": ["off", "on"]}
    one = planted_results(tmp_path / "one", factors=factors, scores=scores)
    other = {"attention=off": ["failed", 0.6], "attention=on": [0.6, "failed"]}
    two = planted_results(tmp_path / "two", factors=factors, scores=other)
    for path in record_files(two / "records"):
        if read(path).trial.stage == "cost":
            path.unlink()
    code, _, err = bench("merge", one, two)
    assert (code, err) == (0, "")
    assert set(load(one).frame()["status"]) == {"done"}


def test_folders_of_other_studies_source_or_data_are_refused(
    halves: tuple[Path, Path, set[str]], bench: Bench, tmp_path: Path
) -> None:
    one, two, _ = halves
    plan = read_json(two / "study.json")
    before = content(one)

    def refused(**fields: Any) -> str:
        shutil.copytree(two, tmp_path / "other")
        change_plan(tmp_path / "other", **fields)
        code, _, err = bench("merge", one, tmp_path / "other")
        shutil.rmtree(tmp_path / "other")
        assert code == 2
        assert content(one) == before
        return err

    assert "not of one study: name differs" in refused(name="another")
    assert "not of one study: recipe differs" in refused(recipe={**plan["recipe"], "iterations": 7})
    assert "not of one study: data differs" in refused(data={**plan["data"], "fingerprint": "f" * 16})
    trials = [{**trial, "key": f"{trial['key']}x"} for trial in plan["trials"]]
    told = refused(trials=trials)
    assert "made by other source, settings or data" in told
    assert f"and {len(trials) - 1} more differ" in told
    code, _, err = bench("merge", one, one)
    assert code == 2
    assert "is the target itself" in err
    code, _, err = bench("merge", one, tmp_path / "nothing")
    assert code == 2
    assert "has no study.json" in err
