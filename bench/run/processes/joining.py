"""The way into a Ray cluster that is running already: whether it answers, and the token by which it lets one in."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.run.resources import ResourceError

ANSWER_S = 10.0
"""Seconds that a cluster gets to answer. Ray itself waits for one that is not there without an end."""
TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def prepare(address: str) -> None:
    """Get ready to join the cluster at an address: ``auto``, or a host and a port. Ray must not be imported yet.

    A cluster that ``ray start`` makes lets in whoever has its token. Ray looks for the token only if the environment
    says so when it is imported, which is seen to here where there is a token and the environment says nothing.

    Raises:
        ResourceError: for another form of address, or if nothing answers there.
    """
    if address != "auto":
        _refuse_silence(address)
    if "RAY_AUTH_MODE" not in os.environ and _has_token():
        os.environ["RAY_AUTH_MODE"] = "token"


@contextmanager
def joining(address: str) -> Iterator[None]:
    """Inside, Ray connects to the cluster at an address. The lines are dropped that its C code writes meanwhile.

    They say once a second for 20 seconds that the token is another one, which the error says too.

    Raises:
        ResourceError: if there is no cluster, or if it does not let this process in.
    """
    try:
        with _without_lines_of_c_code():
            yield
    except (ConnectionError, RuntimeError) as error:
        if "AuthToken" in "".join(traceback.format_exception(error)):
            why = "it asks for another token: copy ~/.ray/auth_token of its head to this machine"
        else:
            why = str(error).strip().splitlines()[0]
        raise ResourceError(f"--address {address}: no connection to a Ray cluster; {why}") from error


@contextmanager
def _without_lines_of_c_code() -> Iterator[None]:
    """Inside, the standard error goes nowhere; Ray's own variable for its level makes it write a line about that."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _refuse_silence(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ResourceError(f"--address {address}: expected auto, or a host and a port such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResourceError(f"--address {address}: no Ray cluster answers there ({reason})") from None


def _has_token() -> bool:
    if any(name in os.environ for name in TOKEN_VARIABLES):
        return True
    try:
        return (Path.home() / ".ray" / "auth_token").exists()
    except (RuntimeError, OSError):  # a user without a home
        return False
