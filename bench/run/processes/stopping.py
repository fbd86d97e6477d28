"""Ctrl-C, SIGTERM and a closed terminal: a command stops in order, and its exit status says which of them it was.

A stop is an exception that a signal raises in the main thread. Two things may lose it: a library that puts a handler of
its own in place, as ``ray.init`` does, and code that swallows every exception, such as a callback of the interpreter.
So every signal is noted outside of the handlers too, and a stop that nobody obeys is raised again.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The terminal's Ctrl-C; the signal with which SLURM, Kubernetes and systemd end a process; a closed terminal's."""
AGAIN_AFTER_S = 1.0
"""Seconds after which a stop that nobody obeys is raised again."""
AT_ONCE_AFTER_S = 1.0
"""Seconds after the first signal from which on another one is meant as a second one. Before, it comes from the same
sender: ``timeout`` signals a process and then its group, and a shell passes a hang-up on that the kernel sends too."""


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

    def __str__(self) -> str:
        return self.name

    def obeyed(self) -> None:
        """Say that the command stops in order from here on, so that the stop is not raised again."""
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Ear:
    """The signals that have arrived: a process has but one set of handlers, and so one of these.

    Attributes:
        heard: the signals that raised a stop, in the order of their arrival.
        since: the time of the first of them.
    """

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.since = 0.0
        self._notes: socket.socket | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Inside, signals raise a stop in the main thread, which calls this."""
        self.heard.clear()
        before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
        self._notes, written = socket.socketpair()
        with self._notes, written:
            self._notes.setblocking(False)
            written.setblocking(False)
            other = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
            self.listen()
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                for number, handler in before.items():
                    if handler is not None:  # one that no Python code had put in place
                        signal.signal(number, handler)
                signal.set_wakeup_fd(other)
                self._notes = None

    def listen(self) -> None:
        """Put the handlers in place."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell's background job and nohup have it
                signal.signal(number, self._stop)

    def first(self) -> int | None:
        """The first signal that arrived, whoever handled it; ``None`` for none."""
        if self.heard:
            return self.heard[0]
        noted = b""
        with suppress(BlockingIOError):
            noted = self._notes.recv(4096) if self._notes else b""
        return next((number for number in noted if number in SIGNALS), None)

    def stop_for(self, number: int) -> None:
        """Raise the first stop, for the signal ``number``."""
        self.heard.append(number)
        self.since = time.monotonic()
        signal.signal(signal.SIGALRM, self._stop_again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S, AGAIN_AFTER_S)
        raise Stopped(number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.heard:
            self.stop_for(number)
        self.heard.append(number)
        if number != signal.SIGHUP and time.monotonic() - self.since > AT_ONCE_AFTER_S:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _stop_again(self, number: int, frame: FrameType | None) -> None:
        if not _is_leaving():
            raise Stopped(self.heard[0])


_EAR = _Ear()


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, the first signal raises :class:`Stopped` in the main thread; a later one ends the process at once.

    A hang-up that follows another signal changes nothing, since it may come several times.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _EAR.open():
        yield


def listen_again() -> None:
    """Hear signals again after a library has put handlers of its own in place, as ``ray.init`` does.

    Raises:
        Stopped: if a signal arrived meanwhile, whose exception the library has lost.
    """
    if threading.current_thread() is threading.main_thread():
        _EAR.listen()
        number = _EAR.first()
        if number is not None and not _EAR.heard:
            _EAR.stop_for(number)


@contextmanager
def stopped_whatever_is_raised() -> Iterator[None]:
    """Inside, a stop stays a :class:`Stopped`: Ray's C code and its own handler make another ``SystemExit`` of it."""
    try:
        yield
    except Stopped:
        raise
    except (KeyboardInterrupt, SystemExit):
        number = _EAR.first()
        if number is None:
            raise
        raise Stopped(number) from None


def _is_leaving() -> bool:
    """True while an exception that ends the program is on its way through the main thread, whose handler calls this."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit)):
        error = error.__context__
    return error is not None
