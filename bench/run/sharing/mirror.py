"""Results in a store, such as an S3 bucket: a copy on this machine is worked on, and mirrored to the store by fsspec.

After each trial its files are sent, and its record last, so that a record in the store never lacks a file. Of a file on
both sides the newer one counts, if they differ in size; states of trainings and ``study.json`` have one size whatever
they hold.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from bench.data.decoded.place import cache_folder
from bench.parts import BenchError
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.run.outcomes.progress import Event
from bench.run.store import StoreError
from bench.run.trial import Trial

READ = ("study.json", "artifacts", "pictures", "attribution", "records")
"""The parts of a results folder that a report reads; records come last, so that their files are there."""
KEPT = ("weights", "logs", "report", "checkpoints")
"""The other parts that are sent to a store."""
_LATER_S = 1e-3
"""Seconds by which a file must be newer to count as newer, as stores round."""


class Mirror:
    """A results folder in a store with its copy on this machine; as a display of a run, it sends what trials leave.

    Attributes:
        url: the results folder in the store.
        folder: the copy.
    """

    def __init__(self, url: str, folder: Path) -> None:
        try:
            from fsspec.core import url_to_fs

            self._store, self._root = url_to_fs(url, **({"auto_mkdir": True} if url.startswith("file:") else {}))
        except ImportError as error:
            raise BenchError(f"{url} needs a package ({error}): pip install 'segbench[store]'") from error
        except ValueError as error:
            raise BenchError(f"{url} cannot be opened ({error})") from error
        self.url, self.folder = url, folder
        self._pool = ThreadPoolExecutor(1, "store")
        self._sent: list[Future[None]] = []
        self._has_failed = False

    def pull(self, kinds: Sequence[str] = READ) -> None:
        """Fetch the files of some kinds that are newer in the store, or missing here.

        Raises:
            StoreError: if the store cannot be read.
        """
        with self._using("read"):
            there = self._listed()
            for kind in kinds:
                for name in (name for name in there if _kind(name) == kind):
                    time, size = there[name]
                    path = self.folder / name
                    if not path.exists() or (
                        time > path.stat().st_mtime + _LATER_S and _may_differ(kind, size, path.stat().st_size)
                    ):
                        self._fetch(name, time)

    def push(self) -> None:
        """Send every file that is newer here or missing in the store, records last.

        Raises:
            StoreError: if the store cannot be written to.
        """
        self._wait()
        with self._using("written to"):
            there = self._listed()
            for kind in (*KEPT, *READ):
                paths = [self.folder / kind, *sorted((self.folder / kind).rglob("*"))]
                for path in (path for path in paths if path.is_file() and not path.name.startswith(".")):
                    name = path.relative_to(self.folder).as_posix()
                    time, size = there.get(name, (0.0, -1))
                    if path.stat().st_mtime > time + _LATER_S and _may_differ(kind, size, path.stat().st_size):
                        self._send(name)

    def held(self) -> list[Path]:
        """The files of the copy that the store has too, after all that is newer here was sent, and digests of data.

        Raises:
            StoreError: if the store cannot be read or written to.
        """
        self.push()
        with self._using("read"):
            there = self._listed()
        paths = {name: self.folder / name for name in there}
        same = [path for name, path in paths.items() if path.is_file() and path.stat().st_size == there[name][1]]
        return [*same, *(path for path in self.folder.glob(".*") if path.is_file())]

    def remove_empty_folders(self) -> None:
        """Remove the folders of the copy that have no file, and the copy itself if none has."""
        for folder in (*sorted(self.folder.rglob("*"), reverse=True), self.folder):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def started(self, trial: Trial) -> None:
        """Nothing: what a trial leaves is sent at its end."""

    def progress(self, trial: Trial, event: Event) -> None:
        """Nothing, as above."""

    def taken(self, trial: Trial, owner: str) -> None:
        """Nothing: the other run sends the trial."""

    def finished(self, trial: Trial, record: Record) -> None:
        """Send what a trial left, in a thread of its own.

        Raises:
            StoreError: once, if something could not be sent since the last call.
        """
        if self._has_failed:
            return
        self._wait(everything=False)
        self._sent.append(self._pool.submit(self._send_trial, record))

    def _send_trial(self, record: Record) -> None:
        measured, stem = record.measured, record.file_name.removesuffix(".json")
        state = f"checkpoints/{record.planned_key}.state"
        names = [f"logs/{stem}.log", state]
        if isinstance(measured, MeasuredQuality):
            names += filter(None, (measured.artifact, measured.weights, *measured.pictures.values()))
        with self._using("written to"):
            for name in (*names, f"records/{record.file_name}"):
                if (self.folder / name).is_file():
                    self._send(name)
            if not (self.folder / state).exists() and self._store.exists(f"{self._root}/{state}"):
                self._store.rm_file(f"{self._root}/{state}")

    def _wait(self, *, everything: bool = True) -> None:
        """Raise the error of what could not be sent; with ``everything``, wait for what is on its way first."""
        over = [future for future in self._sent if everything or future.done()]
        self._sent = [future for future in self._sent if future not in over]
        try:
            for future in over:
                future.result()
        except StoreError:
            self._has_failed = True
            raise

    def _listed(self) -> dict[str, tuple[float, int]]:
        """The name of each file in the store, from the results folder on -> the time of its last change, its size."""
        self._store.invalidate_cache()
        try:
            found = self._store.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        names = {path.removeprefix(self._root).lstrip("/"): info for path, info in found.items()}
        return {name: (_time(info), int(info["size"])) for name, info in names.items() if _is_plain(name)}

    def _fetch(self, name: str, time: float) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        try:
            self._store.get_file(f"{self._root}/{name}", part)
            os.utime(part, (time, time))
            os.replace(part, path)
        finally:
            Path(part).unlink(missing_ok=True)

    def _send(self, name: str) -> None:
        path, place = self.folder / name, f"{self._root}/{name}"
        if "file" in self._store.protocol:  # a store has a file at once or not at all, a folder may have half of one
            self._store.put_file(str(path), f"{place}.part")
            self._store.mv(f"{place}.part", place)
        else:
            self._store.put_file(str(path), place)

    @contextmanager
    def _using(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the library of each kind of store raises errors of its own
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise StoreError(
                f"{self.url} cannot be {what} ({reason}); allow it, and run the same command again: what is done is in "
                f"{self.folder}, and is sent then"
            ) from error


def mirror_of(place: str, name: str) -> Mirror:
    """The mirror of a results folder in a store, with its copy among the caches of this user.

    Args:
        place: the folder of results folders in the store.
        name: the name of the results folder.

    Raises:
        BenchError: if no installed package knows such a store.
    """
    caches = cache_folder() or Path(tempfile.gettempdir(), f"bench-stores-{os.getuid()}")
    url = place.rstrip("/")
    folder = caches / "stores" / hashlib.sha256(url.encode()).hexdigest()[:16] / name
    mirror = Mirror(f"{url}/{name}", folder)
    folder.mkdir(parents=True, exist_ok=True)
    return mirror


def _may_differ(kind: str, size: int, other: int) -> bool:
    return size != other or kind in ("study.json", "checkpoints", "report")


def _kind(name: str) -> str:
    return PurePosixPath(name).parts[0]


def _is_plain(name: str) -> bool:
    """True for a file of a results folder; false for a half-sent one, a hidden one, and one outside."""
    parts = PurePosixPath(name).parts
    is_inside = bool(parts) and parts[0] in (*READ, *KEPT) and not any(part.startswith(".") for part in parts)
    return is_inside and not name.endswith(".part")


def _time(info: dict[str, Any]) -> float:
    """The time of a file's last change in seconds, by what its kind of store tells."""
    names = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
    value = next((info[name] for name in names if info.get(name) is not None), 0.0)
    value = datetime.fromisoformat(value) if isinstance(value, str) else value
    return value.timestamp() if isinstance(value, datetime) else float(value)
