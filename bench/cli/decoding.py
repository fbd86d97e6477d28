"""The decoding of a study's images before its trials, and what commands say of it: size, progress and faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.cli.console import PlainConsole
from bench.cli.display import progress_of
from bench.data.decoded.build import CacheError, Need, fill, needed
from bench.data.decoded.place import cache_folder
from bench.data.decoded.shelf import Shelf
from bench.protocol.words import bytes_in_words
from bench.run.environment import cpu_count
from bench.run.schedule.making import copied_digests
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.source import FILE_DIGESTS


def shelf_in(option: Path | None, *, no_cache: bool) -> Shelf | None:
    """The shelf for decoded samples that a command's options ask for; ``None`` for none."""
    folder = None if no_cache else cache_folder(option)
    return None if folder is None else Shelf(folder)


def need_of(schedule: Schedule, shelf: Shelf, todo: Sequence[Trial]) -> Need:
    """The decoded samples that trials need, and how many of them are missing. Nothing is written."""
    if not _read_by(todo):
        return Need(0, 0, 0, 0)
    with copied_digests(schedule.folder) as digests:
        return needed(schedule.loaded.decoded_splits(shelf, digests), shelf)


def spell_need(need: Need, shelf: Shelf) -> str:
    """The decoded samples that are needed, in a sentence."""
    if not need.missing:
        return f"{need.samples} images are decoded already, {bytes_in_words(need.bytes)} in {shelf.folder}."
    return (
        f"{need.missing} of {need.samples} images are decoded first, for all trials: about "
        f"{bytes_in_words(need.missing_bytes)} in {shelf.folder} (--cache chooses another folder, --no-cache none)."
    )


def decode_first(schedule: Schedule, shelf: Shelf | None, todo: Sequence[Trial], console: PlainConsole) -> Path | None:
    """Decode the samples that trials on this machine need and that are not decoded yet, after saying how much that is.

    Returns:
        The folder that trials read decoded samples from; ``None`` if they decode their samples themselves.

    Raises:
        DataError: for a file that cannot be used.
    """
    if shelf is None or not _read_by(todo):
        return None
    if schedule.resources.address is not None:
        return shelf.folder  # each node has its own disk, which its trials fill when they read a sample first
    splits = schedule.loaded.decoded_splits(shelf, schedule.folder / FILE_DIGESTS)
    if not splits:
        return None
    need = needed(splits, shelf)
    console.print(spell_need(need, shelf), soft_wrap=True)
    try:
        with progress_of(console, "decoded") as progress:
            fill(splits, shelf, cpu_count(), progress)
    except CacheError as error:
        console.print(f"No decoded images are kept, so every trial decodes its own: {error}.", soft_wrap=True)
        return None
    return shelf.folder


def _read_by(trials: Sequence[Trial]) -> bool:
    """True if one of the trials reads samples."""
    return any(trial.stage == "quality" for trial in trials)
