"""Results in a store: the copy on this machine that a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.run.store import is_url

if TYPE_CHECKING:
    from bench.run.keeping.cleaning import Removable
    from bench.run.sharing.mirror import Mirror
    from bench.study.source import Source

# A report of a folder needs neither torch nor a store, so the modules that need them are imported in the functions.


def fetched(results: str, source: Source) -> tuple[Path, Mirror | None]:
    """The folder of results folders on this machine, after what the store has of a study's was fetched.

    Args:
        results: a path, or the place of a store such as ``s3://bucket/prefix``.
        source: the source of the study.

    Returns:
        The folder, and the mirror of the study's results folder; ``None`` for results on a path.

    Raises:
        BenchError: if the study cannot be loaded, or the store cannot be read.
    """
    if not is_url(results):
        return Path(results), None
    from bench.run.sharing.mirror import mirror_of
    from bench.study.source import load

    mirror = mirror_of(results, load(source).folder_name)
    mirror.pull(("study.json", "records", "checkpoints"))
    return mirror.folder.parent, mirror


def fetched_folder(folder: str) -> tuple[Path, Mirror | None]:
    """A results folder on this machine, after all that a report reads was fetched from a store.

    Raises:
        BenchError: if the store cannot be read.
    """
    if not is_url(folder):
        return Path(folder), None
    from bench.run.sharing.mirror import READ, mirror_of

    mirror = mirror_of(*_split(folder))
    mirror.pull(READ)
    return mirror.folder, mirror


def copy_of(folder: str) -> Mirror | None:
    """The mirror of a results folder in a store, as it is; ``None`` for a folder on a path.

    Raises:
        BenchError: if no installed package knows such a store.
    """
    if not is_url(folder):
        return None
    from bench.run.sharing.mirror import mirror_of

    return mirror_of(*_split(folder))


def sent(mirror: Mirror) -> list[Removable]:
    """The files of a copy that may be removed, as the store has them, after all that is newer here was sent.

    Raises:
        StoreError: if the store cannot be read or written to.
    """
    from bench.run.keeping.cleaning import Removable

    kind = Removable("Files that the store has", "They are fetched again when a command needs them", mirror.held())
    return [kind] if kind.files else []


def _split(folder: str) -> tuple[str, str]:
    """The place of results folders in a store, and the name of one."""
    place, _, name = folder.rstrip("/").rpartition("/")
    return place, name
