"""The file in which Optuna keeps its studies of a results folder. optuna-dashboard opens it."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

JOURNAL = "optuna.journal"


def opened(folder: Path) -> JournalStorage:
    """The storage of a results folder, whose lock the caller holds.

    What a killed process left is put in order: a last line that is not whole goes, and so does Optuna's own lock.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / JOURNAL
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    lock = JournalFileOpenLock(str(path))
    Path(f"{path}.lock").unlink(missing_ok=True)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
