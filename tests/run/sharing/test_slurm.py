"""The script for a SLURM array that docs/cluster.md prints, run with a stand-in for SLURM and one for ``bench``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "cluster.md"
BENCH = """#!/bin/bash
echo "$@" >> asked
if [ -n "$ENDS_WITH" ]; then exit "$ENDS_WITH"; fi
trap 'sleep 0.2; exit 75' TERM
touch started
for _ in $(seq 600); do sleep 0.1; done
"""
SCONTROL = """#!/bin/bash
echo "$@" >> requeued
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, as SLURM does")


def script() -> str:
    blocks = [block for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL) if "#SBATCH" in block]
    assert len(blocks) == 1
    return blocks[0]


def start(folder: Path, ends_with: str = "") -> subprocess.Popen[bytes]:
    (folder / "study.sh").write_text(script())
    (folder / "bin").mkdir()
    for name, text in (("bench", BENCH), ("scontrol", SCONTROL)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    numbers = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16", "SLURM_ARRAY_JOB_ID": "77"}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | numbers | {"PATH": path, "ENDS_WITH": ends_with}
    return subprocess.Popen(["bash", "study.sh"], cwd=folder, env=environment)


def test_a_job_that_is_signalled_waits_for_its_run_and_is_requeued(tmp_path: Path) -> None:
    job = start(tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(0.05)  # polls another process; nothing to wait on
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 75
    assert (tmp_path / "asked").read_text().endswith("--shard 3/16\n")
    assert (tmp_path / "requeued").read_text() == "requeue 77_3\n"


@pytest.mark.parametrize("status", ["0", "1", "2"])
def test_a_run_that_ends_by_itself_ends_the_job_with_its_status(tmp_path: Path, status: str) -> None:
    assert start(tmp_path, status).wait(60) == int(status)
    assert not (tmp_path / "requeued").exists()
