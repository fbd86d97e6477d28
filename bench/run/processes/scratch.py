"""The scratch folder of a run: Ray's sockets and logs, removed at its end, or by the next run if it was killed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/tmp")
"""The path of a socket inside must not exceed 107 bytes, which a default TMPDIR may."""

MARKER = "segbench-run.json"
"""The file that makes a folder ours. A run holds its lock; the kernel frees it, however the run ends."""

REMAINS_S = 10.0
"""The seconds after which what a dying worker of Ray has made again, in place of a folder that was removed, is old."""


@contextmanager
def scratch_folder(root: Path = ROOT) -> Iterator[Path]:
    """A new folder for the time of a run; before and after it, the folders of runs that are dead are removed."""
    sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{os.getpid()}-", dir=root))
    draft = folder / f"{MARKER}.new"
    with draft.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(_owner(), file)
        file.flush()
        draft.rename(folder / MARKER)  # with its lock: a folder with an unlocked marker belongs to nobody
        try:
            yield folder
        finally:
            _remove(folder)
            sweep(root)


def sweep(root: Path = ROOT) -> None:
    """Remove the folders of runs that are dead: those whose marker nobody holds the lock of, and what Ray made of them.

    Process ids do not tell: two containers that share the folder have each their own.
    """
    for marker in root.glob(f"bench-*/{MARKER}"):
        try:
            with marker.open("r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(marker.parent)
        except OSError:  # its run lives, it is another user's, or another run removes it right now
            continue
    for folder in root.glob("bench-[0-9]*-*"):
        with suppress(OSError):  # it is another user's, or another run removes it right now
            if _is_remains(folder):
                shutil.rmtree(folder)


def _is_remains(folder: Path) -> bool:
    """Return whether a worker that was starting as its run was killed has made a removed folder again.

    It has no marker, nothing but the session of Ray of its run, and nothing in it has changed for a while. A folder
    that a run is making has no session yet, and one of a run at work has a marker.
    """
    run = folder.name.split("-")[1]
    names = {path.name for path in folder.iterdir()} - {"session_latest"}
    if not names or not all(name.startswith("session_") and name.endswith(f"_{run}") for name in names):
        return False
    changed = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - changed > REMAINS_S


def _remove(folder: Path) -> None:
    """Remove a folder, its marker last: a dying worker may still write its log here, and the next run removes that."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != MARKER:
                path.unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [MARKER]:
            shutil.rmtree(folder)


def _owner() -> dict[str, str | int]:
    """The run that a folder belongs to, for a person who finds it."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    started = Path("/proc/self/stat")
    return {
        "process": os.getpid(),
        "started_ticks": int(started.read_text().rpartition(")")[2].split()[19]) if started.exists() else 0,
        "boot": boot.read_text().strip() if boot.exists() else "",
    }
