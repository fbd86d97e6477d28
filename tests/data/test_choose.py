"""The --data option: names, folders, the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.base import DataError
from bench.data.camvid import CamVid
from bench.data.choose import parse_data
from bench.data.synthetic import Synthetic
from bench.parts import part

SMALL = part(Synthetic, train_images=4)
CAMVID = part(CamVid)


def test_without_the_option_the_studys_data_set_is_used_with_its_choices() -> None:
    assert parse_data(None, SMALL, {}) == (SMALL, None)


def test_the_folder_comes_from_the_environment_unless_the_option_gives_it() -> None:
    environment = {"BENCH_CAMVID": "/from/environment", "BENCH_SYNTHETIC": ""}
    assert parse_data(None, CAMVID, environment) == (CAMVID, Path("/from/environment"))
    assert parse_data("camvid", SMALL, environment) == (CAMVID, Path("/from/environment"))
    assert parse_data("camvid=/given", SMALL, environment) == (CAMVID, Path("/given"))
    assert parse_data("/given", CAMVID, environment) == (CAMVID, Path("/given"))
    assert parse_data(None, SMALL, environment) == (SMALL, None)


def test_naming_the_studys_own_data_set_keeps_its_choices() -> None:
    assert parse_data("synthetic", SMALL, {}) == (SMALL, None)
    assert parse_data("synthetic", CAMVID, {}) == (part(Synthetic), None)


def test_relative_paths_and_home_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    here = tmp_path.resolve()
    assert parse_data("camvid=data/CamVid", SMALL, {})[1] == here / "data" / "CamVid"
    assert parse_data("./CamVid", CAMVID, {})[1] == here / "CamVid"
    assert parse_data("data/a=b", CAMVID, {})[1] == here / "data" / "a=b"
    assert parse_data("~/CamVid", CAMVID, {})[1] == here / "home" / "CamVid"
    assert parse_data(None, CAMVID, {"BENCH_CAMVID": "CamVid"})[1] == here / "CamVid"


def test_an_unknown_name_is_refused_with_the_nearest_and_all_known_ones() -> None:
    message = (
        r"no data set is called 'canvid' \(did you mean 'camvid'\?\); known are .*camvid, .*synthetic.*; .*\./canvid"
    )
    with pytest.raises(DataError, match=message):
        parse_data("canvid=/path", SMALL, {})


@pytest.mark.parametrize("option", ["", "  ", "camvid="])
def test_an_option_that_names_nothing_is_refused(option: str) -> None:
    with pytest.raises(DataError, match=r"names nothing; write a name, name=/path or /path"):
        parse_data(option, CAMVID, {})


def test_a_folder_for_a_data_set_that_reads_none_is_refused_when_it_is_built() -> None:
    chosen, folder = parse_data("synthetic=/path", SMALL, {})
    with pytest.raises(DataError, match="Synthetic reads no files"):
        chosen.build(folder)


def test_a_home_folder_that_nobody_knows_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(DataError, match="~/CamVid: no home folder is known for ~; write the whole path"):
        parse_data("~/CamVid", CAMVID, {})
    assert parse_data("/given", CAMVID, {}) == (CAMVID, Path("/given"))
