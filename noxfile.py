"""Every check of the project. `nox -l` lists them; all share one virtualenv, since torch alone takes 1.7 GB.

Nox gives each session an environment of its own, so the sessions take none from it and use the one made here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]

SHARED = Path(".nox/shared").resolve()
PROGRAMS = SHARED / ("Scripts" if os.name == "nt" else "bin")
STAMP = SHARED / "installed-from"
SOURCES = ("pyproject.toml", "constraints.txt")


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment, which is made first, and anew whenever what it is made from changes."""
    wanted = "\n".join(Path(name).read_text(encoding="utf-8") for name in SOURCES)
    if not STAMP.exists() or STAMP.read_text(encoding="utf-8") != wanted:
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(SHARED), external=True)
        pip = (str(PROGRAMS / "pip"), "install", "--quiet", "--constraint", "constraints.txt")
        session.run(*pip, "--editable", ".[dev]", external=True)
        STAMP.write_text(wanted, encoding="utf-8")
    session.run(str(PROGRAMS / program), *arguments, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and lint rules."""
    run(session, "ruff", "format", "--check", ".")
    run(session, "ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict."""
    run(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite; arguments go to pytest."""
    run(session, "pytest", *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Every variant of every study at its full width: one step, finite gradients; arguments go to pytest."""
    run(session, "pytest", "-m", "contract", *session.posargs)


@nox.session
def cases(session: nox.Session) -> None:
    """Every case of a folder (default: tests/cases): situations of users, with what `bench` is expected to do."""
    run(session, "python", "tests/run_cases.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """A thousand damaged inputs of each kind: records, plans, checkpoints, studies, data. Arguments: tests/fuzz.py."""
    run(session, "python", "tests/fuzz.py", *session.posargs)


@nox.session
def quickstart(session: nox.Session) -> None:
    """The quickstart study from nothing to its report; arguments go to `bench run`."""
    run(session, "bench", "run", "studies/quickstart.py", *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Every golden case of a folder (default: tests/golden) against our components."""
    run(session, "python", "-m", "parity", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """One side-by-side measurement by name, or a list of them without a name."""
    run(session, "python", "-m", "benchmarks", *session.posargs)
