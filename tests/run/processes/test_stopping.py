"""Each signal stops a command in order, with a status of its own, whatever becomes of its exception or handler."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

FIRST = """
import ctypes, os, signal, subprocess, sys, time
from bench.run.processes.stopping import Stopped, deferred, listening, stoppable, stopped_whatever_is_raised

def send(name):
    os.kill(os.getpid(), signal.Signals[name])

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""


def ran(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own."""
    return subprocess.run([sys.executable, "-c", FIRST + code], check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_each_signal_stops_in_order_with_a_status_of_its_own(name: str, status: int) -> None:
    process = ran(f"""
with stoppable():
    try:
        send({name!r})
    finally:
        print("recorded")
""")
    assert (process.returncode, process.stdout, process.stderr) == (status, "recorded\n", "")


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    process = ran("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with stoppable(), listening(), deferred():
    send("SIGHUP")
print("went on")
""")
    assert (process.returncode, process.stdout) == (0, "went on\n")


def test_a_stop_whose_exception_is_swallowed_comes_again_until_it_is_obeyed() -> None:
    process = ran("""
with stoppable():
    try:
        send("SIGTERM")
    except BaseException:
        pass
    try:
        time.sleep(20)
    except Stopped as stop:
        stop.obeyed()
        time.sleep(1.5)
        print("recorded")
        raise
""")
    assert (process.returncode, process.stdout, process.stderr) == (143, "recorded\n", "")


def test_signals_of_one_sender_are_one_stop_and_a_later_one_ends_the_process_at_once() -> None:
    code = """
with stoppable():
    try:
        send("SIGTERM")
    except Stopped as stop:
        stop.obeyed()
        for name, pause_s in {pairs}:
            send(name)
            time.sleep(pause_s)
        print("recorded", flush=True)
        raise
"""
    once = ran(code.format(pairs=[("SIGTERM", 0.0), ("SIGHUP", 1.2), ("SIGHUP", 0.0)]))
    twice = ran(code.format(pairs=[("SIGHUP", 1.2), ("SIGTERM", 0.0)]))
    assert (once.returncode, once.stdout) == (143, "recorded\n")
    assert (twice.returncode, twice.stdout) == (-signal.SIGTERM, "")


@pytest.mark.parametrize("handled_by", ["os._exit(1)", "sys.exit(1)", "None"])
def test_a_stop_waits_for_a_library_that_starts_and_puts_a_handler_of_its_own_in_place(handled_by: str) -> None:
    process = ran(f"""
with stoppable(), stopped_whatever_is_raised(), deferred():
    signal.signal(signal.SIGTERM, lambda number, frame: {handled_by})
    time.sleep({0.0 if handled_by == "None" else 0.5})
    send("SIGTERM")
    print("started")
""")
    assert (process.returncode, process.stdout, process.stderr) == (143, "started\n", "")


def test_a_stop_that_a_library_turns_into_an_exit_of_its_own_stays_a_stop() -> None:
    process = ran("""
with stoppable(), stopped_whatever_is_raised():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    send("SIGTERM")
""")
    assert process.returncode == 143


def test_a_handler_that_c_code_takes_away_is_put_back_while_that_code_still_runs() -> None:
    process = ran("""
with stoppable(), listening():
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    libc.signal(signal.SIGTERM, None)
    from_another = "import os, signal, time; time.sleep(0.3); os.kill(os.getppid(), signal.SIGTERM)"
    other = subprocess.Popen([sys.executable, "-c", from_another])
    libc.usleep(900_000)  # the main thread is in C code
    time.sleep(5)
""")
    assert process.returncode == 143, process.stderr
