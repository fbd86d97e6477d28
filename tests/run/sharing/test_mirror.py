"""Results in a store: what is sent and fetched, in which order, and what a store that refuses means."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bench.parts import BenchError
from bench.records.record import read, read_all, record_files
from bench.records.results import load
from bench.run.sharing import mirror as mirrors
from bench.run.sharing.mirror import Mirror, mirror_of
from bench.run.store import StoreError, is_url
from bench.run.trial import Trial
from bench.study.source import Source

TRIAL = Trial(Source("s.py"), "v", 0, "quality", "q0s0")


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, caches: Path) -> Iterator[str]:
    """The place of results folders in a store."""
    MemoryFileSystem.store.clear()
    yield "memory://results" if request.param == "memory" else f"file://{tmp_path}/store"
    MemoryFileSystem.store.clear()


def other_machine(mirror: Mirror, caches: Path) -> Mirror:
    """The same results folder as another machine sees it, which has no copy yet."""
    copy = caches.parent / "other machine"
    copy.mkdir()
    return Mirror(mirror.url, copy)


def test_what_one_machine_has_sent_another_one_reads_whole(place: str, caches: Path, planted_results: Any) -> None:
    mirror = mirror_of(place, "planted")
    planted_results(mirror.folder)
    (mirror.folder / "checkpoints").mkdir()
    (mirror.folder / "checkpoints" / "q0s0.state").write_bytes(b"a state")
    (mirror.folder / ".claims").mkdir()
    (mirror.folder / ".claims" / "lock.1.claim").write_text("mine")
    mirror.push()
    other = other_machine(mirror, caches)
    other.pull()
    assert [record.key for record in read_all(other.folder / "records")] == [
        record.key for record in read_all(mirror.folder / "records")
    ]
    assert set(load(other.folder).frame()["status"]) == {"done"}
    assert not (other.folder / "checkpoints").exists(), "a report reads no states"
    other.pull(("checkpoints",))
    assert (other.folder / "checkpoints" / "q0s0.state").read_bytes() == b"a state"
    assert not (other.folder / ".claims").exists()


def test_the_record_of_a_trial_is_sent_after_its_files_and_its_state_goes(
    place: str, caches: Path, planted_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = mirror_of(place, "planted")
    planted_results(mirror.folder)
    path = next(path for path in record_files(mirror.folder / "records") if read(path).key == "q0s0")
    measured = read(path).measured.as_json() | {"artifact": "artifacts/a.npz", "artifact_digest": "0" * 64}
    record = read(path).having(measured=measured)
    for name in ("artifacts/a.npz", f"logs/{path.stem}.log", "checkpoints/q0s0.state"):
        (mirror.folder / name).parent.mkdir(exist_ok=True)
        (mirror.folder / name).write_text(name)
    mirror.push()
    (mirror.folder / "checkpoints" / "q0s0.state").unlink()
    sent: list[str] = []
    send = Mirror._send
    monkeypatch.setattr(Mirror, "_send", lambda self, name: (sent.append(name), send(self, name)))
    mirror.finished(TRIAL, record)
    mirror.push()
    assert sent[:3] == [f"logs/{path.stem}.log", "artifacts/a.npz", f"records/{path.name}"]
    other = other_machine(mirror, caches)
    other.pull(("checkpoints", "artifacts"))
    assert not (other.folder / "checkpoints").exists()
    assert (other.folder / "artifacts" / "a.npz").read_text() == "artifacts/a.npz"


def test_of_two_states_the_newer_one_counts_on_either_side(place: str, caches: Path) -> None:
    mirror = mirror_of(place, "tiny")
    state = mirror.folder / "checkpoints" / "k.state"
    state.parent.mkdir()
    state.write_bytes(b"after 100")
    os.utime(state, (1e9, 1e9))
    mirror.push()
    other = other_machine(mirror, caches)
    other.pull(("checkpoints",))
    theirs = other.folder / "checkpoints" / "k.state"
    assert theirs.read_bytes() == b"after 100"
    theirs.write_bytes(b"after 200")
    os.utime(theirs, (4e9, 4e9))
    other.push()
    mirror.pull(("checkpoints",))
    assert state.read_bytes() == b"after 200"


def test_a_second_push_sends_nothing(
    place: str, caches: Path, planted_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = mirror_of(place, "planted")
    planted_results(mirror.folder)
    mirror.push()
    monkeypatch.setattr(Mirror, "_send", lambda self, name: pytest.fail(f"{name} is there already"))
    mirror.push()


def test_a_store_that_refuses_is_an_error_once_and_what_is_done_stays(
    caches: Path, planted_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = mirror_of("memory://results", "planted")
    planted_results(mirror.folder)
    record = read_all(mirror.folder / "records")[0]

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "put_file", refuse)
    with pytest.raises(StoreError, match=r"memory://results/planted cannot be written to \(Access Denied\)") as told:
        mirror.push()
    assert str(mirror.folder) in str(told.value)
    mirror.finished(TRIAL, record)
    with pytest.raises(StoreError, match="Access Denied"):
        mirror._wait()
    mirror.finished(TRIAL, record)  # the run stops already: its other trials are recorded here
    assert read_all(mirror.folder / "records")


def test_a_place_that_no_package_knows_is_told_with_the_extra() -> None:
    assert is_url("s3://bucket/prefix")
    assert not is_url("results/quickstart")
    assert not is_url("C:/results")
    with pytest.raises(BenchError, match="cannot be opened"):
        mirror_of("nowhere://results", "tiny")
    if shutil.which("git") and not _is_there("gcsfs"):
        with pytest.raises(BenchError, match=r"pip install 'segbench\[store\]'"):
            mirror_of("gs://bucket", "tiny")


def _is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def test_a_report_is_made_from_a_store_and_sent_to_it(
    place: str, caches: Path, planted_results: Any, bench: Callable[..., tuple[int, str, str]]
) -> None:
    mirror = mirror_of(place, "planted")
    planted_results(mirror.folder)
    mirror.push()
    shutil.rmtree(mirror.folder)
    code, out, err = bench("report", f"{place}/planted", "--table", "main")
    assert (code, err) == (0, "")
    assert "attention=on" in out
    code, out, err = bench("report", f"{place}/planted")
    assert (code, err) == (0, "")
    assert f"Sent to {place}/planted/report" in out
    shutil.rmtree(mirror.folder)
    mirror.pull(("report",))
    assert (mirror.folder / "report" / "index.html").stat().st_size > 10**6
    code, _, err = bench("report", f"{place}/nothing")
    assert code == 2
    assert "has no study.json" in err


def test_clean_removes_the_copy_of_this_machine_and_nothing_of_the_store(
    place: str, caches: Path, planted_results: Any, bench: Callable[..., tuple[int, str, str]]
) -> None:
    mirror = mirror_of(place, "planted")
    planted_results(mirror.folder)
    (mirror.folder / ".file-digests.json").write_text("{}")
    (mirror.folder / "report" / "data").mkdir(parents=True)
    (mirror.folder / "report" / "data" / "main.csv").write_text("new here")
    (mirror.folder / "tensorboard").mkdir()
    (mirror.folder / "tensorboard" / "events").write_text("in no store")
    code, out, err = bench("clean", f"{place}/planted", "--yes")
    assert (code, err) == (0, ""), out
    assert "Files that the store has: " in out
    assert "They are fetched again when a command needs them" in out
    left = [path.relative_to(mirror.folder) for path in mirror.folder.rglob("*")]
    assert sorted(map(str, left)) == ["tensorboard", "tensorboard/events"]
    shutil.rmtree(mirror.folder / "tensorboard")
    mirror.pull((*mirrors.READ, "report"))
    assert set(load(mirror.folder).frame()["status"]) == {"done"}
    assert (mirror.folder / "report" / "data" / "main.csv").read_text() == "new here"
    assert bench("clean", f"{place}/planted", "--yes")[0] == 0
    assert not mirror.folder.exists()
    assert "holds nothing that may be removed" in bench("clean", f"{place}/nothing", "--yes")[1]


def test_names_outside_of_the_folder_and_half_sent_ones_are_left_alone() -> None:
    for name in ("records/../../x.json", "other/x", "records/.x.json", "records/x.json.part", ""):
        assert not mirrors._is_plain(name)
    assert mirrors._is_plain("study.json")
