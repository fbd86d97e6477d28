"""The folder that holds the decoded samples of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.data.base import DataError

VARIABLE = "BENCH_CACHE"
OFF = "off"


def cache_folder(option: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder for decoded samples, ``None`` for none.

    It is that of the option ``--cache``, else that of the environment variable ``BENCH_CACHE`` (``off`` for none), else
    ``bench`` in the user's folder for caches or, for a user without a home that can be written to, a folder of the
    user's own among the temporary files; none where another user made that folder.

    Raises:
        DataError: for ``~`` where this user has no home folder.
    """
    chosen = str(option) if option is not None else environment.get(VARIABLE, "")
    if option is None and chosen == OFF:
        return None
    if chosen:
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError as error:
            raise DataError(f"{chosen}: no home folder is known for ~; write the whole path") from error
    caches = environment.get("XDG_CACHE_HOME", "")
    if os.path.isabs(caches):
        return Path(caches, "bench")
    home = environment.get("HOME", "")
    if os.path.isabs(home) and os.access(home, os.W_OK | os.X_OK):
        return Path(home, ".cache", "bench")
    shared = Path(tempfile.gettempdir(), f"bench-cache-{os.getuid()}")
    return None if os.path.lexists(shared) and shared.lstat().st_uid != os.getuid() else shared
