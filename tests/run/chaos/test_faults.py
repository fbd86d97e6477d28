"""Every fault that a study, a disk or a person can cause: the right outcome each, and the other trials unharmed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.records.record import read_all
from bench.records.results import load
from bench.run.outcomes.memory import BESIDE_OTHERS
from tests.run.chaos.study import TRIALS, study_of
from tests.run.runner import Runner

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("ray")]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    bench_runner = Runner(tmp_path)
    yield bench_runner
    bench_runner.end()


BAD_HEADS = """

class Crash(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":  # a check from shapes alone does not see it
            raise RuntimeError("<planted> crash")
        return super().forward(features, boundary, with_aux=with_aux)


class Die(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            os.kill(os.getpid(), 9)
        return super().forward(features, boundary, with_aux=with_aux)


class Orphan(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            os.kill(os.getppid(), 9)  # the worker
        return super().forward(features, boundary, with_aux=with_aux)


class Exit(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            os._exit(7)
        return super().forward(features, boundary, with_aux=with_aux)


class Crash2(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import ctypes

            ctypes.string_at(0)
        return super().forward(features, boundary, with_aux=with_aux)


class Hang(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import ctypes

            ctypes.PyDLL(None).sleep(1000)  # in C, with the interpreter's lock held: no Python thread runs any more
        return super().forward(features, boundary, with_aux=with_aux)


class Sleep(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import time

            while True:
                time.sleep(0.1)  # in Python, where no iteration ends any more
        return super().forward(features, boundary, with_aux=with_aux)


class OfDevice(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")
        return super().forward(features, boundary, with_aux=with_aux)


class OfHost(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            raise MemoryError
        return super().forward(features, boundary, with_aux=with_aux)


class NotFinite(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        logits, aux = super().forward(features, boundary, with_aux=with_aux)
        return (logits * float("nan") if self.training and logits.device.type != "meta" else logits), aux


STUDY = STUDY.having(
    factors=(
        Factor(
            "head",
            {
                "good": change(),
                "crash": change(head=part(Crash, width=8)),
                "die": change(head=part(Die, width=8)),
                "orphan": change(head=part(Orphan, width=8)),
                "exit": change(head=part(Exit, width=8)),
                "segfault": change(head=part(Crash2, width=8)),
                "hang": change(head=part(Hang, width=8)),
                "sleep": change(head=part(Sleep, width=8)),
                "device": change(head=part(OfDevice, width=8)),
                "host": change(head=part(OfHost, width=8)),
                "nan": change(head=part(NotFinite, width=8)),
            },
        ),
    ),
    baseline={"head": "good"},
    seeds=(0,),
    stages=("quality",),
)
"""


def test_a_cell_that_fails_or_whose_process_dies_is_named_and_the_others_run(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study()
    study.write_text(study.read_text() + BAD_HEADS)
    code, out, err = runner.run("run", study, "--no-pictures", "--timeout", "30")
    assert code == 1
    assert err == ""
    assert "Traceback" not in out
    assert "raylet" not in out
    assert not (runner.results / "tiny" / "pictures").exists()
    frame = load(runner.results / "tiny").frame().set_index("variant")
    assert dict(frame["status"]) == {
        "head=good": "done", "head=crash": "failed", "head=die": "failed", "head=exit": "failed",
        "head=orphan": "failed", "head=segfault": "failed", "head=hang": "timed_out", "head=sleep": "timed_out",
        "head=device": "out_of_memory", "head=host": "out_of_memory", "head=nan": "diverged",
    }  # fmt: skip
    assert "<planted> crash" in frame.loc["head=crash", "reason"]
    assert frame.loc["head=die", "reason"].startswith("the trial's process was killed by SIGKILL, ")
    assert frame.loc["head=orphan", "reason"] == (
        "the worker of the trial was lost before its first step "
        "(The actor is dead because its worker process has died); run again"
    )
    assert (
        frame.loc["head=exit", "reason"] == "the trial's process ended itself with exit code 7, before its first step"
    )
    assert "was killed by SIGSEGV" in frame.loc["head=segfault", "reason"]
    for hung in ("head=hang", "head=sleep"):
        assert "ended from outside 5 s after its time limit of 30 s" in frame.loc[hung, "reason"]
    remedy = "at batch 4, before its first step; take a smaller batch or image, or run it with --accumulate: "
    assert frame.loc["head=device", "reason"].startswith(f"GPU memory, {remedy}")
    assert frame.loc["head=host", "reason"].startswith(f"host memory, {remedy}")
    records = read_all(runner.results / "tiny" / "records")
    tried = {
        record.trial.variant: [attempt.lost or attempt.shared for attempt in record.outcome.attempts]
        for record in records
    }
    assert {variant: why for variant, why in tried.items() if why} == {
        "head=die": ["SIGKILL"], "head=orphan": ["worker"], "head=segfault": ["SIGSEGV"], "head=host": [BESIDE_OTHERS],
    }, "what others or something from outside may have ended was tried once more, and nothing else"  # fmt: skip
    crashed = next(r for r in records if "SIGSEGV" in (r.outcome.reason or ""))
    assert "in forward" in (crashed.outcome.traceback or ""), "the interpreter's last words name the line"
    assert "failed: quality head=crash seed 0" in out
    page = (runner.results / "tiny" / "report" / "index.html").read_text()
    assert "<planted>" not in page
    assert "&lt;planted&gt; crash" in page


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own in memory, of 3 MB, on which everything else can be forbidden to the administrator too."""
    folder = tmp_path / "results"
    folder.mkdir()
    if not mounts("-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)):
        pytest.skip("no disk can be mounted here, which needs the rights of an administrator")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def mounts(*arguments: str) -> bool:
    """Mount something; ``False`` if that is not allowed, or not possible now."""
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


def mounted_anew(disk: Path, options: str) -> None:
    assert mounts("-o", f"remount,{options}", str(disk))


def test_a_full_disk_stops_the_run_with_one_line_and_with_room_it_goes_on(
    disk: Path, runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = study_of(tiny_study(iterations="60"), runner)
    code, out, err = runner.run("run", study.file)
    assert code == 2, out + err
    assert err.startswith("bench: the results folder "), err
    assert (
        "cannot be written to (No space left on device); make room or allow it, and run the same command again" in err
    )
    assert err.count("\n") == 1
    assert "Traceback" not in out
    study.look()
    mounted_anew(disk, "size=100m")
    study.finish()
    study.leaves_nothing()
    assert len(study.measured()) == TRIALS


def test_a_folder_that_becomes_read_only_stops_the_run_and_once_it_is_allowed_it_goes_on(
    disk: Path, runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    mounted_anew(disk, "size=100m")
    study = study_of(tiny_study(iterations="60"), runner)
    run = runner.start("run", study.file, "--checkpoint-minutes", "0")
    runner.wait_for_records("tiny", 1)
    deadline = time.monotonic() + 60
    while not mounts("-o", "remount,ro", str(disk)):
        assert time.monotonic() < deadline, "a file was open for writing all the time"
        time.sleep(0.01)  # no disk becomes read-only while a file is written, and nothing tells of its end
    code, out, err = runner.finish(run)
    assert code == 2, out + err
    assert "cannot be written to (Read-only file system); make room or allow it, and run the same command again" in err
    assert err.count("\n") == 1
    study.look()
    assert runner.run("run", study.file)[0] == 2, "at the start of a run too"
    mounted_anew(disk, "rw")
    study.finish()
    study.leaves_nothing()


def test_signals_at_random_moments_stop_each_run_in_order(
    runner: Runner, tiny_study: Callable[..., Path], kills: int, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    draws, stopped = random.Random(seed), 0
    study = study_of(tiny_study(iterations="400"), runner)
    with capsys.disabled():
        print(f"\n{max(1, kills // 4)} signals, --seed {seed}", flush=True)  # noqa: T201 - before anything fails
    for _ in range(max(1, kills // 4)):
        number, after_s = draws.choice((signal.SIGINT, signal.SIGTERM)), draws.uniform(0.5, 30)
        run = runner.start("run", study.file)
        try:
            run.wait(timeout=after_s)
        except subprocess.TimeoutExpired:
            run.send_signal(number)
        code, out, err = runner.finish(run)
        study.look()
        said = f"{number.name} after {after_s:.1f} s: {code} {out}{err}"
        assert "Traceback" not in out + err, said
        if code == 0:
            continue
        stopped += 1
        assert code == 128 + number, said
        assert "Run the same command again to go on" in out or err == f"bench: stopped by {number.name}\n", said
        study.wait_for_the_end()
        assert not (study.folder / ".claims").exists(), said
        statuses = {record.status for record in read_all(study.folder / "records")}
        assert statuses <= {"done", "interrupted"}, said
    study.finish()
    study.leaves_nothing()
    with capsys.disabled():
        print(f"{stopped} runs were stopped", flush=True)  # noqa: T201 - of those that ended before, nothing was shown
