"""No process that a run starts outlives it, though its parent is dead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.run.processes.descendants import descendants, none_left

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
CHILD = f"""
import subprocess
print(subprocess.Popen({SLEEPER}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to another process than the first")
def test_an_orphan_is_ended_and_what_ran_before_stays() -> None:
    with subprocess.Popen(SLEEPER) as earlier:
        with none_left():
            child = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, text=True)
        assert not Path("/proc", child.stdout.strip()).exists()
        assert earlier.poll() is None
        assert earlier.pid in descendants()
        earlier.kill()
