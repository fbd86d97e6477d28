"""The log file of one trial."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.protocol.text import harmless
from bench.run.store import storing


@contextmanager
def log_to(path: Path, folder: Path) -> Iterator[None]:
    """Inside the block, write log messages and warnings to the file ``path`` of the results folder too.

    Raises:
        StoreError: if the file cannot be made.
    """
    with storing(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger("bench"), logging.getLogger("py.warnings")]
    level = loggers[0].level
    loggers[0].setLevel(logging.INFO)
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        logging.captureWarnings(False)
        loggers[0].setLevel(level)
        with suppress(OSError):
            handler.close()


class _LogFile(logging.FileHandler):
    """A log that loses lines once its disk is full, instead of printing a traceback for each.

    Terminals that show it act on nothing that an exception's text holds.
    """

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        pass
