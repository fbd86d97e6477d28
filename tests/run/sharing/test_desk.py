"""The desk of a run on a cluster: claims and kept states of nodes that do not see the results folder, and stops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.run.keeping.place import state_path
from bench.run.processes import apart
from bench.run.sharing import claims
from bench.run.sharing.claims import Owner, owner_of, take
from bench.run.sharing.desk import Ask, Desk, Visitor

WAIT_S = 10.0


@contextmanager
def asked(folder: Path) -> Iterator[Ask]:
    """A desk in a thread of this process, as Ray has it in a process of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop of the desk")
    thread.start()
    desk = Desk(str(folder), "this run")

    def ask(method: str, *arguments: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(getattr(desk, method)(*arguments), loop).result(WAIT_S)

    try:
        yield ask
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def never() -> None:
    raise AssertionError("nobody asked for that")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # another thread does it; nothing to wait on


def test_the_desk_claims_a_trial_for_its_node_and_renews_the_claim_until_it_is_over(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.01)
    with asked(results) as ask:
        visitor = Visitor(ask, "k", tmp_path / "node")
        assert visitor.claim({}) is None
        with visitor.kept(never, never):
            (path,) = (results / claims.FOLDER).glob("k.*")
            first = path.stat().st_mtime_ns
            wait_until(lambda: path.stat().st_mtime_ns > first)
            owner = take(results, "k", "another run")
            assert isinstance(owner, Owner)
            assert owner.run == "this run"
            assert visitor.claim({}) is None, "a second attempt of the same run, whose first node was lost"
        assert owner_of(results, "k") is None


def test_a_trial_that_another_run_has_or_has_ended_is_refused(
    results: Path, tmp_path: Path, planted_results: Callable[[Path], Any]
) -> None:
    planted_results(results)
    claim = take(results, "k", "another run")
    assert not isinstance(claim, Owner)
    with asked(results) as ask:
        refusal = Visitor(ask, "k", tmp_path / "node").claim({})
        assert refusal is not None
        assert refusal["taken"].startswith("process ")
        assert Visitor(ask, "q0s0", tmp_path / "node").claim({}) == {"taken": ""}, "it has a record since"
        assert owner_of(results, "q0s0") is None
        claim.release()
        (results / claims.FOLDER).rmdir()
        (results / claims.FOLDER).write_text("a file where a folder belongs")
        refusal = Visitor(ask, "k", tmp_path / "node").claim({})
        assert refusal is not None
        assert "cannot be written to" in refusal["unstored"]


def test_a_trial_whose_claim_another_run_took_over_is_told(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.01)
    given_up = threading.Event()
    with asked(results) as ask:
        visitor = Visitor(ask, "k", tmp_path / "node")
        assert visitor.claim({}) is None
        with visitor.kept(given_up.set, never):
            (results / claims.FOLDER / "k.2.claim").write_text("{}")
            assert given_up.wait(WAIT_S)
            assert visitor.lost


def test_states_travel_to_the_results_folder_and_to_the_next_node(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "PIECE_BYTES", 1000)
    monkeypatch.setattr("bench.run.sharing.desk.PIECE_BYTES", 700)
    content = bytes(range(256)) * 20
    first, second = tmp_path / "first", tmp_path / "second"
    with asked(results) as ask:
        visitor = Visitor(ask, "k", first)
        assert visitor.claim({}) is None
        assert not first.exists(), "there was no state"
        with visitor.kept(never, never):
            visitor.send_state()
            state_path(first, "k").parent.mkdir(parents=True)
            state_path(first, "k").write_bytes(b"after 1")
            visitor.send_state()
            assert state_path(results, "k").read_bytes() == b"after 1"
            state_path(first, "k").write_bytes(content)  # at its end it is sent again
        assert state_path(results, "k").read_bytes() == content
        visitor = Visitor(ask, "k", second)
        assert visitor.claim({}) is None
        assert state_path(second, "k").read_bytes() == content
        state_path(results, "k").unlink()
        visitor.send_state()
        assert not state_path(results, "k").exists(), "what came from there is not sent back"
    assert [path.name for path in (results / "checkpoints").iterdir()] == []


def test_a_stop_reaches_trials_of_every_kind_of_node_and_waits_for_their_states(results: Path, tmp_path: Path) -> None:
    with asked(results) as ask:
        away, near = Visitor(ask, "away", tmp_path / "node"), Visitor(ask, "near", None)
        assert away.claim({}) is None
        ended = []

        def stop_away() -> None:
            state_path(tmp_path / "node", "away").parent.mkdir(parents=True)
            state_path(tmp_path / "node", "away").write_bytes(b"after 5")
            ended.append("away")

        with away.kept(never, stop_away), near.kept(never, lambda: ended.append("near")):
            ask("stop", ["away", "near", "never started"], WAIT_S)
            assert sorted(ended) == ["away", "near"]
            assert state_path(results, "away").read_bytes() == b"after 5"
            late: list[str] = []
            with Visitor(ask, "late", None).kept(never, lambda: late.append("late")):
                wait_until(lambda: late == ["late"])


def test_a_state_that_the_driver_cannot_store_costs_nothing(results: Path, tmp_path: Path) -> None:
    (results / "checkpoints").write_text("a file where a folder belongs")
    state = state_path(tmp_path / "node", "k")
    state.parent.mkdir(parents=True)
    state.write_bytes(b"after 1")
    with asked(results) as ask:
        Visitor(ask, "k", tmp_path / "node").send_state()
        (results / "checkpoints").unlink()
        with Visitor(ask, "k", tmp_path / "node").kept(never, never):
            pass
    assert state_path(results, "k").read_bytes() == b"after 1", "it is sent once that is possible"
