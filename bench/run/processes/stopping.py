"""Ctrl-C, SIGTERM and a closed terminal: a command stops in order, and its exit status says which of them it was.

A stop is an exception that a signal raises in the main thread. Two things may lose it: a library that puts a handler of
its own in place or takes ours away, as Ray does, and code that swallows every exception, such as a callback of the
interpreter. So every signal is noted outside of the handlers too, and a stop that nobody obeys is raised again.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The terminal's Ctrl-C; the signal with which SLURM, Kubernetes and systemd end a process; a closed terminal's."""
STOP_S = 20.0
"""Seconds that trials have to keep their state and end when the run is stopped; SLURM's default leaves a job 30."""
AGAIN_AFTER_S = 1.0
"""Seconds after which a stop that nobody obeys is raised again."""
LISTEN_EVERY_S = 0.01
"""Seconds after which handlers that a library takes away are put back."""
AT_ONCE_AFTER_S = 1.0
"""Seconds after the first signal from which on another one is meant as a second one. Before, it comes from the same
sender: ``timeout`` signals a process and then its group, and a shell passes a hang-up on that the kernel sends too."""


_handler_in_c = ctypes.pythonapi.PyOS_getsig
"""The function of C that handles a signal; see "PyOS_getsig" in the Python/C API Reference Manual."""
_handler_in_c.argtypes, _handler_in_c.restype = (ctypes.c_int,), ctypes.c_void_p
_put_in_c = ctypes.pythonapi.PyOS_setsig
_put_in_c.argtypes, _put_in_c.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p


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
        self._is_deferring = False
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
        """Put the handlers in place, if there is anybody who stops."""
        for number in SIGNALS if self._notes else ():
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell's background job and nohup have it
                signal.signal(number, self._stop)

    def first(self) -> int | None:
        """The first signal that arrived, whoever handled it; ``None`` for none."""
        if self.heard:
            return self.heard[0]
        with suppress(BlockingIOError):
            while self._notes and (noted := self._notes.recv(4096)):
                for number in noted:
                    if number in SIGNALS:
                        return number
        return None

    @contextmanager
    def defer(self) -> Iterator[None]:
        """Inside, signals are heard, also by a library that puts handlers in place; at the end the first is a stop."""
        if self._notes is None:
            yield
            return
        self._is_deferring = True
        signal.signal(signal.SIGALRM, lambda number, frame: self.listen())
        signal.setitimer(signal.ITIMER_REAL, LISTEN_EVERY_S, LISTEN_EVERY_S)
        try:
            yield
        finally:
            self._is_deferring = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.listen()
        number = self.first()
        if number is not None:
            self._raise(number)

    def _raise(self, number: int) -> NoReturn:
        if not self.heard:
            self.heard.append(number)
            self.since = time.monotonic()
        signal.signal(signal.SIGALRM, self._stop_again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S, AGAIN_AFTER_S)
        raise Stopped(number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)
        if len(self.heard) == 1:
            self.since = time.monotonic()
            if not self._is_deferring:
                self._raise(number)
        elif number != signal.SIGHUP and time.monotonic() - self.since > AT_ONCE_AFTER_S:
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


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, the first signal waits for the end; a later one still ends the process at once.

    So ``ray.init`` is not left half way, after which its exit functions crash. It also puts a handler of its own in
    place, which is replaced at once.

    Raises:
        Stopped: at the end, if a signal arrived, whoever handled it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _EAR.defer():
        yield


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Inside, SIGTERM waits for the end, so that a trial that is done is stored first.

    Raises:
        Stopped: at the end, if SIGTERM arrived.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
    if arrived:
        raise Stopped(signal.SIGTERM)


@contextmanager
def listening() -> Iterator[None]:
    """Inside, a library's C code may take the handlers away, as ``ray.shutdown`` does: a thread puts them back.

    The main thread cannot do so before that code returns, and until then a signal would end the process.
    """
    handlers = {number: _handler_in_c(number) for number in SIGNALS}
    over = threading.Event()

    def put_back() -> None:
        while not over.wait(LISTEN_EVERY_S):
            for number, handler in handlers.items():
                _put_in_c(number, handler)

    thread = threading.Thread(target=put_back, name="signal handlers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for number, handler in handlers.items():
            _put_in_c(number, handler)


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
