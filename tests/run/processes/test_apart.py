"""Results of a node that does not see the results folder: what travels, and what a cut-off node leaves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.run.handling import Handling
from bench.run.processes import apart, worker
from bench.run.processes.apart import Arrivals, marked, pieces
from bench.run.sharing.claims import Owner, owner_of, take
from tests.run.sharing.test_desk import asked

FILES = {
    "artifacts/k.h.npz": bytes(range(256)) * 40,
    "artifacts/k.h.predictions.zip": b"zip",
    "pictures/data-val.zip": b"",
    "weights/k.h.safetensors": b"w" * 1000,
    "logs/k.h.log": b"one line\n",
}
OTHERS = {"records/k.h.json": b"{}", "checkpoints/k.state": b"state", ".file-digests.json": b"{}"}


def left_by_a_trial(folder: Path) -> None:
    for name, content in {**FILES, **OTHERS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_arrive_as_they_were_and_records_and_states_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PIECE_BYTES", 1000)
    left_by_a_trial(tmp_path / "node")
    arrivals = Arrivals(tmp_path / "driver")
    sent = list(pieces(tmp_path / "node"))
    assert max(len(piece["content"]) for piece in sent) == 1000
    for piece in sent:
        arrivals.take("k", piece)
    assert content_of(tmp_path / "driver") == FILES


def test_files_of_two_trials_arrive_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PIECE_BYTES", 4)
    for key in "ab":
        (tmp_path / key / "pictures").mkdir(parents=True)
        (tmp_path / key / "pictures" / "shared.zip").write_bytes(b"the same in both")
    arrivals = Arrivals(tmp_path / "driver")
    for both in zip(pieces(tmp_path / "a"), pieces(tmp_path / "b"), strict=True):
        for key, piece in zip("ab", both, strict=True):
            arrivals.take(key, piece)
    assert content_of(tmp_path / "driver") == {"pictures/shared.zip": b"the same in both"}


def test_a_node_that_is_lost_in_the_middle_of_a_file_leaves_none_of_it(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    arrivals.take("k", {"file": "weights/k.safetensors", "content": b"half", "last": False})
    arrivals.drop("k")
    arrivals.drop("k")
    assert content_of(tmp_path) == {}


@pytest.mark.parametrize("file", ["../elsewhere", "/etc/passwd", "records/k.json", "weights/../../x"])
def test_a_file_that_is_none_of_a_trial_is_not_written(file: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which is none of a trial"):
        Arrivals(tmp_path / "results").take("k", {"file": file, "content": b"", "last": True})
    assert content_of(tmp_path) == {}


def test_the_mark_of_a_run_goes_with_it_and_an_old_one_is_removed(tmp_path: Path) -> None:
    old = tmp_path / ".run-0"
    old.touch()
    long_ago = time.time() - 2 * apart.ABANDONED_S
    os.utime(old, (long_ago, long_ago))
    with marked(tmp_path) as marker:
        assert [path.name for path in tmp_path.iterdir()] == [marker]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The results folder of a driver, whose desk the worker asks."""
    folder = tmp_path / "driver"
    folder.mkdir()
    with asked(folder) as ask:
        monkeypatch.setattr(worker, "_asked", lambda: ask)
        yield folder


def order(folder: Path, marker: str | None) -> dict[str, Any]:
    return {
        "trial": {"key": "k", "claim": "k", "before": {}}, "run": "this run",
        "folder": str(folder), "machine": {"threads": 1}, "path": [], "cwd": "/", "own_cpus": False,
        "handling": Handling(marker=marker).as_values(),
    }  # fmt: skip


class TrialThatLeavesFiles:
    """Stands for the process of a trial: it leaves files in the folder of its order, and says how it ended."""

    last: Mapping[str, Any] = {"recorded": "k.h.json"}

    def give_up(self) -> None:
        raise AssertionError("no other run has taken the trial")

    def stop(self) -> None:
        raise AssertionError("nobody has stopped the run")

    def run(self, order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        left_by_a_trial(Path(order["folder"]))
        return [{"device": None}, self.last]


@pytest.fixture(autouse=True)
def records_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records here are any JSON at all, since nothing looks into them."""
    monkeypatch.setattr(worker, "read", lambda path: SimpleNamespace(as_json=lambda: json.loads(path.read_bytes())))


@pytest.mark.parametrize(("marker", "last"), [(None, {"recorded": "k.h.json"}), (".run-here", {"record": {}})])
def test_a_node_that_sees_the_results_folder_sends_the_record_alone_and_this_machine_its_name(
    marker: str | None, last: dict[str, Any], desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = list[dict[str, Any]]()
    monkeypatch.setattr(worker, "_process", lambda *order: TrialThatLeavesFiles())
    monkeypatch.setattr(worker.tune, "report", reported.append)
    (tmp_path / ".run-here").touch()
    worker.work(order(tmp_path, marker))
    assert reported == [{"device": None}, last]
    assert (tmp_path / "weights" / "k.h.safetensors").exists()


def test_a_node_that_does_not_see_it_sends_the_files_before_the_record_and_keeps_nothing(
    desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, folders, claimed = list[dict[str, Any]](), list[str](), list[Owner | None]()

    class Noting(TrialThatLeavesFiles):
        def run(self, order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
            folders.append(order["folder"])
            claimed.append(owner_of(desk, "k"))
            return super().run(order)

    monkeypatch.setattr(worker, "_process", lambda *order: Noting())
    monkeypatch.setattr(worker.tune, "report", reported.append)
    worker.work(order(tmp_path / "not here", ".run-elsewhere"))
    assert [message.keys() for message in reported] == [{"device"}, *[{"piece"}] * len(FILES), {"record"}]
    assert {message["piece"]["file"] for message in reported if "piece" in message} == set(FILES)
    assert not (tmp_path / "not here").exists()
    assert not Path(folders[0]).exists()
    assert (desk / "checkpoints" / "k.state").read_bytes() == b"state", "the state of a training goes over the desk"
    assert [owner and owner.run for owner in claimed] == ["this run"]
    assert owner_of(desk, "k") is None


def test_a_trial_of_such_a_node_that_another_run_has_is_not_run(
    desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = list[dict[str, Any]]()
    monkeypatch.setattr(worker, "_process", lambda *order: pytest.fail("no process is needed"))
    monkeypatch.setattr(worker.tune, "report", reported.append)
    take(desk, "k", "another run")
    worker.work(order(tmp_path / "not here", ".run-elsewhere"))
    ((name, owner),) = reported[0].items()
    assert (len(reported), name) == (1, "taken")
    assert owner.startswith("process ")


def test_a_full_disk_of_a_node_fails_its_trial_and_not_the_run(
    desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = list[dict[str, Any]]()
    full = TrialThatLeavesFiles()
    full.last = {"unstored": "no room"}
    monkeypatch.setattr(worker, "_process", lambda *order: full)
    monkeypatch.setattr(worker.tune, "report", reported.append)
    worker.work(order(tmp_path / "not here", ".run-elsewhere"))
    assert reported[-1]["ending"]["status"] == "failed"
    assert "the scratch folder of its node: no room" in reported[-1]["ending"]["reason"]
