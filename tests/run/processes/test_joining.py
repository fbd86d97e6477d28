"""The way into a running Ray cluster: addresses where nothing answers, and the token."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bench.run.processes.joining import joining, prepare
from bench.run.resources import ResourceError


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a token, and no word about one: what prepare() sets is undone, as later tests start Ray."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "host:port", "ray://10.0.0.1:10001", ""])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ResourceError, match=r"expected auto, or a host and a port such as 10\.0\.0\.1:6379"):
        prepare(address)


def test_an_address_where_nothing_answers_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        prepare(f"127.0.0.1:{port}")
    with pytest.raises(ResourceError, match=f"--address 127.0.0.1:{port}: no Ray cluster answers there"):
        prepare(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("said", "has_token", "mode"),
    [(None, True, "token"), (None, False, None), ("disabled", True, "disabled")],
)
def test_ray_is_told_to_use_the_token_of_the_home_folder_unless_the_shell_says_otherwise(
    said: str | None, has_token: bool, mode: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", said)
    if has_token:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    prepare("auto")
    assert os.environ.get("RAY_AUTH_MODE") == mode


def test_a_cluster_that_lets_nobody_in_says_what_to_copy() -> None:
    refusal = ConnectionError("Failed to connect to Ray cluster")
    refusal.__cause__ = RuntimeError("RPC error: InvalidAuthToken: missing")
    with (
        pytest.raises(ResourceError, match=r"it asks for another token: copy ~/.ray/auth_token of its head"),
        joining("h:1"),
    ):
        raise refusal
    with (
        pytest.raises(ResourceError, match=r"--address auto: no connection to a Ray cluster; Could not find any"),
        joining("auto"),
    ):
        raise ConnectionError("Could not find any running Ray instance.\nMore")


def test_what_c_code_writes_while_ray_connects_is_dropped_and_what_comes_later_is_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with joining("h:1"):
        os.write(2, b"a warning of C code\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"
