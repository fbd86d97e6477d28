"""All checks of the project, which `nox -l` lists. They share one virtualenv, because torch alone takes 1.7 GB.

Nox would give each session an environment of its own, so the sessions run without one and use the one created here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]

SHARED = Path(".nox/shared").resolve()
EXTRAS = Path(".nox/extras").resolve()
NULL = Path(".nox/null-cuda").resolve()
STORE = Path(".nox/store").resolve()
TRACKERS = Path(".nox/trackers").resolve()
DASHBOARD = Path(".nox/dashboard").resolve()
PROGRAMS = SHARED / ("Scripts" if os.name == "nt" else "bin")
STAMP = SHARED / "installed-from"
SOURCES = ("pyproject.toml", "constraints.txt")


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment, which is created if it is missing or if its requirements changed."""
    wanted = "\n".join(Path(name).read_text(encoding="utf-8") for name in SOURCES)
    if not STAMP.exists() or STAMP.read_text(encoding="utf-8") != wanted:
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(SHARED), external=True)
        pip = (str(PROGRAMS / "pip"), "install", "--quiet", "--constraint", "constraints.txt")
        session.run(*pip, "--editable", ".[dev]", external=True)
        STAMP.write_text(wanted, encoding="utf-8")
    session.run(str(PROGRAMS / program), *arguments, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check formatting and lint rules."""
    run(session, "ruff", "format", "--check", ".")
    run(session, "ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode."""
    run(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite; arguments go to pytest."""
    run(session, "pytest", *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Test a step of all variants of all studies at full width, and a study that learns; arguments go to pytest."""
    run(session, "pytest", "-m", "contract", *session.posargs)


@nox.session
def timm(session: nox.Session) -> None:
    """Test the backbones of timm with timm itself, in the environment of `extras`; arguments go to pytest."""
    session.run(python_with_cuda(session), "-m", "pytest", "-m", "timm", *session.posargs, external=True)


@nox.session
def extras(session: nox.Session) -> None:
    """Test whole models and execution modes with the packages that they need (6 GB); arguments go to pytest."""
    session.run(python_with_cuda(session), "-m", "pytest", "-m", "extras", "-n", "0", *session.posargs, external=True)


@nox.session(name="random-networks")
def random_networks(session: nox.Session) -> None:
    """Run `bench check` on 200 random networks of timm and transformers.

    The arguments are those of tests/random_networks.py, which also draws from segmentation_models_pytorch.
    """
    session.run(python_with_cuda(session), "tests/random_networks.py", *session.posargs, external=True)


@nox.session
def trackers(session: nox.Session) -> None:
    """Test runs that MLflow, W&B, Trackio and TensorBoard keep, with these packages; arguments go to pytest.

    Their environment has them (0.7 GB) beside the packages of the shared one. W&B stays offline.
    """
    python = python_with(session, TRACKERS, "mlflow", "wandb", "trackio", "tensorboard")
    session.run(python, "-m", "pytest", "-m", "trackers", "-n", "0", *session.posargs, external=True)


@nox.session
def tuning(session: nox.Session) -> None:
    """Test a tuning as a user runs it, for minutes, and that optuna-dashboard shows searches; arguments go to pytest.

    The environment has that package beside those of the shared one.
    """
    python = python_with(session, DASHBOARD, "optuna-dashboard")
    session.run(python, "-m", "pytest", "-m", "tuning", "-n", "0", *session.posargs, external=True)


@nox.session
def store(session: nox.Session) -> None:
    """Test results in an S3-compatible store, moto's server on this machine; arguments go to pytest.

    The environment has these packages beside those of the shared one.
    """
    python = python_with(session, STORE, "s3fs", "moto[server]")
    session.run(python, "-m", "pytest", "-m", "store", "-n", "0", *session.posargs, external=True)


def python_with(session: nox.Session, environment: Path, *packages: str) -> str:
    """The Python of an environment with some packages beside those of the shared one.

    It is made if it is missing or if the versions of these packages changed, which ``constraints-<name>.txt`` has.
    """
    run(session, "python", "--version")
    python, stamp = str(environment / PROGRAMS.name / "python"), environment / STAMP.name
    versions = Path(f"constraints-{environment.name}.txt")
    wanted = versions.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        session.run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(environment), external=True)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        ours = session.run(python, "-c", where, external=True, silent=True)
        shared = session.run(str(PROGRAMS / "python"), "-c", where, external=True, silent=True)
        Path(str(ours).strip(), "shared.pth").write_text(f"{str(shared).strip()}\n{Path.cwd()}\n", encoding="utf-8")
        pip = ("-m", "pip", "install", "--quiet", "--constraint", str(versions))
        session.run(python, *pip, *packages, external=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


@nox.session(name="null-cuda")
def null_cuda(session: nox.Session) -> None:
    """Test all that runs on a GPU on a null CUDA device, which computes nothing; arguments go to pytest.

    Torch's own host code for CUDA runs there: the allocator, streams, copies and the capture of graphs. The environment
    is that of the session ``extras``. ``NULL_CUDA`` names the folder of the device, which holds ``build.sh``.
    """
    script = Path(os.environ.get("NULL_CUDA", "")) / "build.sh"
    if not script.is_absolute() or not script.exists():
        session.error("set NULL_CUDA to the absolute path of the folder of the null CUDA device, which holds build.sh")
    python = python_with_cuda(session)
    session.run("bash", str(script), str(EXTRAS), str(NULL), external=True, silent=True)
    host = NULL / "host.so"
    session.run("cc", "-shared", "-fPIC", "-O1", "tests/null_cuda/host.c", "-o", str(host), external=True)
    libraries = f"LD_PRELOAD={host}:{NULL / 'libnullcuda.so'}"
    pytest = ("pytest", "-m", "null_cuda", "-n", "0", *session.posargs)
    session.run(str(NULL / "run"), "env", libraries, python, "-m", *pytest, external=True)


def python_with_cuda(session: nox.Session) -> str:
    """The Python of the environment with all optional packages of networks and execution modes, made if it is missing.

    The torchvision that timm brings belongs to torch's CUDA build, which uv takes and runs on a CPU too.
    """
    python, stamp = str(EXTRAS / PROGRAMS.name / "python"), EXTRAS / STAMP.name
    files = ("pyproject.toml", "constraints.txt", "constraints-extras.txt")
    wanted = "\n".join(Path(name).read_text(encoding="utf-8") for name in files)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        session.run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(EXTRAS), external=True)
        session.run(python, "-m", "pip", "install", "--quiet", "uv", external=True)
        uv = (python, "-m", "uv", "pip", "install", "--quiet", "--python", python)
        versions = [f"--constraint={name}" for name in files[1:]]
        ours = ".[dev,timm,transformers,smp,onnx,openvino]"
        session.run(*uv, *versions, "torch", "torchvision", "--editable", ours, external=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


@nox.session
def together(session: nox.Session) -> None:
    """Test runs that share a results folder: real processes, some of them killed or stopped; arguments go to pytest."""
    run(session, "pytest", "-m", "together", "-n", "0", *session.posargs)


@nox.session
def keys(session: nox.Session) -> None:
    """Test the keys of a plan against those of trials by themselves: all studies, 1,000 random trials; for pytest."""
    run(session, "pytest", "-m", "keys", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Test runs on a simulated cluster that loses a node, its driver or the results folder; arguments go to pytest."""
    run(session, "pytest", "-m", "cluster", "-n", "0", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Test a study that is killed at 40 random moments, and runs with every fault; arguments go to pytest.

    ``--kills`` is the number of kills, and ``--seed`` gives those of an earlier session, which printed it.
    """
    run(session, "pytest", "-m", "chaos", "-n", "0", *session.posargs)


@nox.session
def parallel(session: nox.Session) -> None:
    """Test trials that two processes train together, in real runs, some killed or stopped; arguments go to pytest."""
    run(session, "pytest", "-m", "parallel", "-n", "0", *session.posargs)


@nox.session
def cases(session: nox.Session) -> None:
    """Run all cases of a folder (default: tests/cases): situations of users, with the expected results of `bench`."""
    run(session, "python", "tests/run_cases.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run `bench` on a thousand damaged inputs of each kind: records, plans, artifacts, checkpoints, studies and data.

    The arguments are those of tests/fuzz.py.
    """
    run(session, "python", "tests/fuzz.py", *session.posargs)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Run the quickstart study from nothing to its report; arguments go to `bench run`."""
    run(session, "bench", "run", "studies/quickstart.py", *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Compare all golden cases of a folder (default: tests/golden) with our components."""
    run(session, "python", "-m", "parity", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the side-by-side measurement of a given name, or list all of them without a name."""
    run(session, "python", "-m", "benchmarks", *session.posargs)


@nox.session
def headline(session: nox.Session) -> None:
    """Measure the headline results on a GPU within a given time; the same command goes on. --help tells its options."""
    run(session, "python", "-m", "benchmarks.headline", *session.posargs)
