"""Results in a store: the copy on this machine that a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.run.store import is_url

if TYPE_CHECKING:
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

    place, _, name = folder.rstrip("/").rpartition("/")
    mirror = mirror_of(place, name)
    mirror.pull(READ)
    return mirror.folder, mirror
