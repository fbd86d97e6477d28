"""Claims: the files by which runs that share a results folder agree who is at work on what.

A claim is a file that only one process can create, over NFS too: a finished draft is linked to the claim's name, which
the file server does in one step. Its owner touches it now and then. A claim is dead if its owner is, where that can be
seen from here, or if it was not touched for :data:`STALE_S`. It is taken over by the claim with the next number, which
again only one process can create, so that two that find the same dead claim never both have it. Times are compared by
the clock of the file system alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from bench.records.forms import Form

FOLDER = ".claims"
"""The folder of a results folder that has the claims; no report reads it."""
HEARTBEAT_S = 20.0
"""Seconds between two touches of a claim."""
STALE_S = 300.0
"""Seconds without a touch after which a claim is dead. An NFS client may see a touch a minute late."""
RUN = "run-"
"""The beginning of the name of the claim by which a run says that it is at work in a folder."""
LOCK = "lock"
"""The name of the claim by which a run says that it alone writes ``study.json`` and the report."""
ATTEMPTS = 100
"""Attempts to create a claim while others come and go; each means that another process did so meanwhile."""
_SUFFIX = ".claim"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""The errors of file systems without hard links, such as some object stores that are mounted as folders."""


class Owner(Form):
    """The process that has a claim.

    Attributes:
        run: the run that it belongs to.
        host: the name of its machine.
        pid: its process id.
        started: the time of its start, in ticks since the machine's; a process id alone may come again.
        boot: the id of the machine's start; empty where the system does not say.
        processes: the id of the list of processes that ``pid`` belongs to, as each container has its own.
        token: a text that no other claim has.
    """

    run: str = ""
    host: str = "an unknown machine"
    pid: int = 0
    started: int = 0
    boot: str = ""
    processes: str = ""
    token: str = ""

    def __str__(self) -> str:
        return f"process {self.pid or 'unknown'} on {self.host}"

    @property
    def is_dead(self) -> bool:
        """True if the process has ended, as far as that can be seen from here."""
        here = bool(self.boot) and (self.boot, self.processes) == (_boot(), _processes())
        return here and _started(self.pid) != self.started


def new_run() -> str:
    """The name of a new run, which no other one has."""
    return uuid.uuid4().hex[:12]


class Claim:
    """A claim that this process has, until it gives it back or another one takes it over.

    Attributes:
        lost: true once another process has it, since this one did not touch it for too long.
    """

    def __init__(self, folder: Path, name: str, number: int) -> None:
        self._folder, self._name, self._number = folder, name, number
        self.lost = False

    @property
    def path(self) -> Path:
        return _path(self._folder, self._name, self._number)

    @contextlib.contextmanager
    def kept(self, when_lost: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Inside, a thread touches the claim; at the end it is given back.

        Args:
            when_lost: is called once if another process has the claim, from that thread.
        """
        over = threading.Event()

        def touch() -> None:
            while not over.wait(HEARTBEAT_S):
                self.touch()
                if self.lost:
                    when_lost()
                    return

        thread = threading.Thread(target=touch, name="claim", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.release()

    def touch(self) -> None:
        """Say that the owner lives, and find out if the claim was lost meanwhile."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            self.lost = True
        except OSError:
            return  # the folder cannot be reached just now: the next touch tries again
        self.lost = self.lost or _path(self._folder, self._name, self._number + 1).exists()

    def release(self) -> None:
        """Give the claim back, and remove those that it took over."""
        numbers = (self._number,) if self.lost else range(1, self._number + 1)
        for number in numbers:
            with contextlib.suppress(OSError):
                _path(self._folder, self._name, number).unlink(missing_ok=True)


def take(results: Path, name: str, run: str, *, again: bool = False) -> Claim | Owner:
    """Create the claim of this process, or return the owner of the one that is there.

    Args:
        results: the results folder, which exists.
        name: what is claimed: a trial's key, :data:`LOCK`, or :data:`RUN` and a name.
        run: the run that this process belongs to.
        again: ``True`` to take over a claim of the same run at once, which no two processes of it ask for: the node of
            that process was lost, and would be seen to be so after :data:`STALE_S` only.

    Raises:
        OSError: if the folder cannot be written to.
    """
    folder = results / FOLDER
    for _ in range(ATTEMPTS):
        with _draft(folder, run) as (draft, now):
            number, owner, is_alive = _state(folder, name, now)
            if is_alive and not (again and run and owner.run == run):
                return owner
            try:
                _create(draft, _path(folder, name, number + 1))
            except FileExistsError:
                continue
            if number and _owner(_path(folder, name, number)) != owner:  # others took it over and gave it back
                _path(folder, name, number + 1).unlink(missing_ok=True)
                continue
            return Claim(folder, name, number + 1)
    return owner


def owner_of(results: Path, name: str) -> Owner | None:
    """The live owner of a claim; ``None`` if nobody has it."""
    return live(results, name).get(name)


def live(results: Path, start: str = "") -> dict[str, Owner]:
    """Name -> owner of every claim of a results folder that is alive and whose name begins with ``start``."""
    folder = results / FOLDER
    if not folder.is_dir():
        return {}
    with _draft(folder, "") as (_, now):
        states = {name: _state(folder, name, now) for name in _names(folder) if name.startswith(start)}
    return {name: owner for name, (_, owner, is_alive) in states.items() if is_alive}


def sweep(results: Path, run: str) -> None:
    """Remove the claims of a run that has ended, and dead ones; the folder too, if it is empty then."""
    folder = results / FOLDER
    with contextlib.suppress(OSError):
        with _draft(folder, run) as (draft, now):
            for name in _names(folder):
                number, owner, is_alive = _state(folder, name, now)
                if owner.run == run or not is_alive:
                    for old in range(1, number + 1):
                        _path(folder, name, old).unlink(missing_ok=True)
            for other in folder.glob("*.draft"):
                if other != draft and now - other.stat().st_mtime > STALE_S:
                    other.unlink(missing_ok=True)
        folder.rmdir()


def _state(folder: Path, name: str, now: float) -> tuple[int, Owner, bool]:
    """The number of the latest claim of a name, 0 for none; its owner; and whether it is alive."""
    number = max((int(text) for text in _numbers(folder, name)), default=0)
    while _path(folder, name, number + 1).exists():  # the list of a folder may come late over NFS
        number += 1
    path = _path(folder, name, number)
    if not number:
        return 0, Owner(), False
    owner = _owner(path)
    try:
        is_touched = now - path.stat().st_mtime < STALE_S
    except FileNotFoundError:
        return number, owner, False
    return number, owner, is_touched and not owner.is_dead


def _owner(path: Path) -> Owner:
    """The owner that a claim names; an unknown one where its file is not whole or not there."""
    try:
        return Owner.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Owner()


@contextlib.contextmanager
def _draft(folder: Path, run: str) -> Iterator[tuple[Path, float]]:
    """A file that names this process, and the time by the clock of the file system; it is removed at the end."""
    token = uuid.uuid4().hex
    owner = Owner(
        run=run, host=platform.node(), pid=os.getpid(), started=_started(os.getpid()),
        boot=_boot(), processes=_processes(), token=token,
    )  # fmt: skip
    path = folder / f"{token}.draft"
    for attempt in range(ATTEMPTS):
        try:
            folder.mkdir(exist_ok=True)
            path.write_text(owner.model_dump_json(), encoding="utf-8")
            break
        except FileNotFoundError:  # another run has removed the empty folder just now
            if attempt == ATTEMPTS - 1 or not folder.parent.is_dir():
                raise
    try:
        yield path, path.stat().st_mtime
    finally:
        path.unlink(missing_ok=True)


def _create(draft: Path, path: Path) -> None:
    """Give a draft a second name that no file has yet.

    Raises:
        FileExistsError: if a file has that name.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        if draft.stat().st_nlink < 2:  # else the server did it, its answer was lost, and the second try met our own
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("xb") as file:
            file.write(draft.read_bytes())


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}.{number}{_SUFFIX}"


def _names(folder: Path) -> list[str]:
    """The names of all claims, each once."""
    files = folder.glob(f"*{_SUFFIX}") if folder.is_dir() else ()
    return list(dict.fromkeys(path.name.removesuffix(_SUFFIX).rpartition(".")[0] for path in files))


def _numbers(folder: Path, name: str) -> list[str]:
    """The numbers of the claims of one name."""
    texts = (path.name.removesuffix(_SUFFIX).rpartition(".") for path in folder.glob(f"*{_SUFFIX}"))
    return [number for of, _, number in texts if of == name and number.isdecimal()]


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _processes() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> int:
    """The start of a process in ticks since the machine's; 0 if there is no such process, or no ``/proc``."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
