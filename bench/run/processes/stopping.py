"""Ctrl-C and SIGTERM: a command stops in order, and its exit status says which of the two it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The terminal's Ctrl-C, and the signal with which SLURM, Kubernetes and systemd end a process."""


class Stopped(SystemExit):
    """A signal asked this process to stop. The exit status is 128 plus the signal's number, as shells have it.

    Attributes:
        name: the signal's.
        told: whether the person at the terminal was told already.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name
        self.told = False


_HEARD: list[int] = []
"""The signals that have arrived since :func:`stoppable` began: a process has but one set of handlers."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, the first signal raises :class:`Stopped` in the main thread; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _HEARD.clear()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _listen()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen_again() -> None:
    """Hear signals again after a library has put handlers of its own in place, as ``ray.init`` does."""
    if threading.current_thread() is threading.main_thread():
        _listen()


@contextmanager
def stopped_whatever_is_raised() -> Iterator[None]:
    """Inside, a stop stays a :class:`Stopped`: Ray's C code and its own handler make another ``SystemExit`` of it."""
    try:
        yield
    except Stopped:
        raise
    except (KeyboardInterrupt, SystemExit) as error:
        own_of_ray = isinstance(error, SystemExit) and error.code == signal.SIGTERM
        number = _HEARD[0] if _HEARD else signal.SIGTERM if own_of_ray else None
        if number is None:
            raise
        raise Stopped(number) from None


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _HEARD.append(number)
    raise Stopped(number)


def _listen() -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job ignores Ctrl-C, and so do we
            signal.signal(number, _stop)
