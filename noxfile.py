"""Every check of the project. `nox -l` lists them; all share one environment, since torch alone takes 1.7 GB."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "always"
nox.options.sessions = ["lint", "types", "tests"]

SHARED = ".nox/shared"
STAMP = Path(SHARED) / "installed-from"
SOURCES = ("pyproject.toml", "constraints.txt")


def install(session: nox.Session) -> None:
    """The project with everything the sessions need, at the versions of constraints.txt; once until they change."""
    wanted = "\n".join(Path(name).read_text() for name in SOURCES)
    if not STAMP.exists() or STAMP.read_text() != wanted:
        session.install("--constraint", "constraints.txt", "--editable", ".[dev]")
        STAMP.write_text(wanted)


@nox.session(venv_location=SHARED)
def lint(session: nox.Session) -> None:
    """Formatting and lint rules."""
    install(session)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session(venv_location=SHARED)
def types(session: nox.Session) -> None:
    """mypy, strict."""
    install(session)
    session.run("mypy")


@nox.session(venv_location=SHARED)
def tests(session: nox.Session) -> None:
    """The test suite; arguments go to pytest."""
    install(session)
    session.run("pytest", *session.posargs)


@nox.session(venv_location=SHARED)
def quickstart(session: nox.Session) -> None:
    """The quickstart study from nothing to its report; arguments go to `bench run`."""
    install(session)
    session.run("bench", "run", "studies/quickstart.py", *session.posargs)


@nox.session(venv_location=SHARED)
def parity(session: nox.Session) -> None:
    """Every golden case of a folder (default: tests/golden) against our components."""
    install(session)
    session.run("python", "-m", "bench.parity", *session.posargs)


@nox.session(venv_location=SHARED)
def bench(session: nox.Session) -> None:
    """One side-by-side measurement by name, or a list of them without a name."""
    install(session)
    session.run("python", "-m", "benchmarks", *session.posargs, env={"PYTHONPATH": os.getcwd()})
