"""Claims of real processes: one of many gets it, a dead owner's is taken over, and a lost one is noticed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.run.sharing import claims
from bench.run.sharing.claims import FOLDER, STALE_S, Claim, Owner, live, sweep, take

TAKER = """
import sys, time
from pathlib import Path
from bench.run.sharing.claims import Claim, take
sys.stdin.readline()
claim = take(Path(sys.argv[1]), "trial", "other")
print("mine" if isinstance(claim, Claim) else f"of {claim}", flush=True)
sys.stdin.readline()
"""


def takers(folder: Path, count: int) -> list[subprocess.Popen[str]]:
    """Processes that take the claim when a line is written to them, say what came of it, and wait for another line."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    return [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(count)
    ]  # fmt: skip


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def claim_of(folder: Path, name: str = "trial", run: str = "me") -> Claim:
    claim = take(folder, name, run)
    assert isinstance(claim, Claim)
    return claim


def make_old(claim: Claim, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(claim.path, (then, then))


def test_one_of_several_processes_gets_a_claim_and_another_takes_it_over_once_that_was_killed(tmp_path: Path) -> None:
    processes = takers(tmp_path, 3)
    try:
        for process in processes:
            say(process)
        told = [heard(process) for process in processes]
        assert sorted(word.partition(" ")[0] for word in told) == ["mine", "of", "of"]
        winner = processes[told.index("mine")]
        assert any(f"of process {winner.pid} on " in word for word in told)
        assert isinstance(take(tmp_path, "trial", "me"), Owner)
        winner.kill()
        winner.wait()
        claim = claim_of(tmp_path)
        assert [owner.pid for owner in live(tmp_path).values()] == [os.getpid()]
        claim.release()
        assert live(tmp_path) == {}
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_claims_of_other_names_do_not_meet_and_a_claim_given_back_is_free(tmp_path: Path) -> None:
    first, other = claim_of(tmp_path), claim_of(tmp_path, "trial-2")
    assert isinstance(take(tmp_path, "trial", "me"), Owner)
    assert set(live(tmp_path)) == {"trial", "trial-2"}
    assert set(live(tmp_path, "trial-")) == {"trial-2"}
    with first.kept():
        pass
    assert set(live(tmp_path)) == {"trial-2"}
    claim_of(tmp_path).release()
    other.release()
    sweep(tmp_path, "nobody")
    assert not (tmp_path / FOLDER).exists()


def test_a_claim_that_is_not_touched_is_taken_over_and_its_owner_finds_out(tmp_path: Path) -> None:
    first = claim_of(tmp_path)
    make_old(first, STALE_S - 30)
    assert isinstance(take(tmp_path, "trial", "me"), Owner), "a touch may come late"
    make_old(first, STALE_S + 1)
    assert live(tmp_path) == {}
    second = claim_of(tmp_path)
    first.touch()
    assert first.lost
    first.release()
    assert isinstance(take(tmp_path, "trial", "me"), Owner), "the loser does not give back what it has not"
    second.touch()
    assert not second.lost
    second.release()
    assert list((tmp_path / FOLDER).glob("*.claim")) == []


def test_a_second_attempt_of_a_run_takes_the_claim_of_its_first_one_whose_node_was_lost(tmp_path: Path) -> None:
    lost = take(tmp_path, "trial", "this run")
    assert isinstance(lost, Claim)
    assert isinstance(take(tmp_path, "trial", "this run"), Owner)
    assert isinstance(take(tmp_path, "trial", "another run", again=True), Owner)
    assert isinstance(take(tmp_path, "trial", "this run", again=True), Claim)
    lost.touch()
    assert lost.lost, "if that node lives after all, it gives the trial up"
    assert isinstance(take(tmp_path, "trial", "another run"), Owner)


def test_the_thread_of_a_claim_touches_it_and_tells_once_that_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.01)
    told: list[str] = []
    claim = claim_of(tmp_path)
    make_old(claim, 1000)
    with claim.kept(lambda: told.append("lost")):
        deadline = time.monotonic() + 30
        while time.time() - claim.path.stat().st_mtime > 500:
            assert time.monotonic() < deadline, "nobody touched the claim"
        claim.path.unlink()
        while not told:
            assert time.monotonic() < deadline, "nobody noticed"
    assert told == ["lost"]


def test_the_claims_of_a_run_and_dead_ones_are_swept_and_those_of_others_stay(tmp_path: Path) -> None:
    claim_of(tmp_path, "a", "ended")
    make_old(claim_of(tmp_path, "b", "long ago"), 2 * STALE_S)
    other = claim_of(tmp_path, "c", "other")
    (tmp_path / FOLDER / "d.1.claim").write_text("half a")  # as a file system without links may leave it
    (old := tmp_path / FOLDER / "x.draft").write_text("")
    os.utime(old, (0, 0))
    sweep(tmp_path, "ended")
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["c.1.claim", "d.1.claim"]
    assert live(tmp_path)["d"].host == "an unknown machine"
    other.release()


def test_a_file_system_without_links_has_claims_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    claim = claim_of(tmp_path)
    owner = take(tmp_path, "trial", "me")
    assert isinstance(owner, Owner)
    assert owner.pid == os.getpid()
    claim.release()
    claim_of(tmp_path)


def test_a_process_id_that_came_again_or_is_of_another_container_is_not_taken_for_the_owner(tmp_path: Path) -> None:
    claim_of(tmp_path)
    (path,) = (tmp_path / FOLDER).glob("*.claim")
    owner = Owner.model_validate_json(path.read_bytes())
    assert not owner.is_dead
    assert owner.model_copy(update={"started": owner.started - 1}).is_dead
    assert not owner.model_copy(update={"started": 1, "processes": "pid:[1]"}).is_dead
    assert not owner.model_copy(update={"started": 1, "boot": "another machine's"}).is_dead
    assert not owner.model_copy(update={"pid": 2**22 + 1, "boot": ""}).is_dead


def test_a_results_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "gone", "trial", "me")
    assert live(tmp_path / "gone") == {}
    assert not (tmp_path / "gone").exists()
