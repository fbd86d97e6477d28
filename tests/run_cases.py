"""Runs cases: small situations of users, each a folder with what the commands in it are expected to do.

    python tests/run_cases.py [FOLDER] [--bench COMMAND] [--details]        (or: nox -s cases -- [FOLDER] …)

A case is a folder with an ``expect.toml``, whose keys :class:`Case`, :class:`Step` and :class:`Expected` define. It is
copied to a temporary folder, together with the loose files that lie beside the cases, and its steps run there one after
the other. The result is a line for each case, and status 1 if one of them fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEFAULT_FOLDER = Path(__file__).parent / "cases"
EXPECT = "expect.toml"
CASES_AT_ONCE = 2
SHOWN_LINES = 30  # of the output of a step that failed, with --details


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JsonValue(_Form):
    """One value of JSON files: all files that match ``file`` have it, and at least one file matches."""

    file: str
    path: str = Field(description="keys and indices, separated by dots: outcome.status")
    equals: Any = None
    matches: str | None = Field(None, description="a regular expression that is found in the value")


class Text(_Form):
    """Text of files: it is in all files that match ``file``, and at least one file matches."""

    file: str
    shows: list[str] = []
    hides: list[str] = []


class Expected(_Form):
    """What holds after a command. The output is standard output and standard error together, in order."""

    status: int | list[int] | None = Field(None, description="one of the list; 0 unless said otherwise")
    shows: list[str] = Field([], description="texts that the output has")
    matches: list[str] = Field([], description="regular expressions that are found in the output")
    hides: list[str] = Field([], description="texts that the output has not")
    lines_at_most: int | None = None
    longest_line: int | None = Field(None, description="characters")
    same_as: str | None = Field(None, description="name of an earlier step with the same output")
    differs_from: str | None = Field(None, description="name of an earlier step with another output")
    files: list[str] = Field([], description="patterns, each of which a file matches")
    no_files: list[str] = Field([], description="patterns that no file matches")
    json_values: list[JsonValue] = []
    texts: list[Text] = []


class Step(Expected):
    """One command and what holds after it; with ``either``, one of several expectations holds besides."""

    name: str
    run: str = Field(description="for bash; $BENCH is the command and $PYTHON the interpreter that belongs to it")
    either: list[Expected] = []


class Case(_Form):
    """A case.

    Attributes:
        time_limit_s: for all steps together; wide, since it ends hangs and judges no speed.
        needs: a command for bash; where it fails, the case cannot run and is skipped.
        every: what holds after every step.
    """

    time_limit_s: float = 600.0
    needs: str | None = None
    every: Expected = Expected()
    step: list[Step] = Field(min_length=1)


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    output: str


@dataclass(frozen=True)
class Verdict:
    """How a case ended: ``pass``, ``fail`` or ``skip``, why, and the last command with its output."""

    name: str
    word: str
    seconds: float
    reason: str = ""
    details: str = ""

    def __str__(self) -> str:
        return f"{self.word} {self.name} ({self.seconds:.0f} s){f': {self.reason}' if self.reason else ''}"


@dataclass
class Commands:
    """Runs commands in process groups of their own, and ends those that still run."""

    environment: Mapping[str, str]
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def run(self, command: str, folder: Path, seconds: float) -> Ran | None:
        """Returns ``None`` if the command does not end within ``seconds``; its process group is killed then."""
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )
        self.running.add(process)
        try:
            output, _ = process.communicate(timeout=max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            _kill(process)
            return None
        finally:
            self.running.discard(process)
        return Ran(process.returncode, output)

    def end_all(self) -> None:
        for process in list(self.running):
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """First SIGTERM, so that a run takes its own processes along, and SIGKILL ten seconds later."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.communicate(timeout=10)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def mistakes(expected: Expected, ran: Ran, folder: Path, earlier: Mapping[str, Ran], *, status: bool) -> Iterator[str]:
    """Every respect in which a command did something else than is expected.

    Args:
        folder: where the case runs.
        earlier: the steps before, by name.
        status: whether an exit status that the expectation leaves out is 0; otherwise it is anything.
    """
    wanted = [0] if expected.status is None else expected.status
    wanted = [wanted] if isinstance(wanted, int) else wanted
    if (status or expected.status is not None) and ran.status not in wanted:
        yield f"status {ran.status}, expected {' or '.join(map(str, wanted))}"
    yield from (f"the output lacks {text!r}" for text in expected.shows if text not in ran.output)
    yield from (f"the output has {text!r}" for text in expected.hides if text in ran.output)
    yield from (f"nothing in the output matches {text!r}" for text in expected.matches if not _found(text, ran.output))
    lines = ran.output.splitlines()
    if expected.lines_at_most is not None and len(lines) > expected.lines_at_most:
        yield f"{len(lines)} lines of output, expected {expected.lines_at_most} at most"
    longest = max(map(len, lines), default=0)
    if expected.longest_line is not None and longest > expected.longest_line:
        yield f"a line of {longest} characters, expected {expected.longest_line} at most"
    if expected.same_as is not None and ran.output != earlier[expected.same_as].output:
        yield f"another output than step {expected.same_as!r}: {_short(ran)} and {_short(earlier[expected.same_as])}"
    if expected.differs_from is not None and ran.output == earlier[expected.differs_from].output:
        yield f"the same output as step {expected.differs_from!r}: {_short(ran)}"
    yield from (f"no file {pattern}" for pattern in expected.files if not list(folder.glob(pattern)))
    for pattern in expected.no_files:
        yield from (f"there is a file {path.relative_to(folder)}" for path in sorted(folder.glob(pattern))[:1])
    for value in expected.json_values:
        yield from _mistakes_in_json(value, folder)
    for text in expected.texts:
        yield from _mistakes_in_text(text, folder)


def _found(pattern: str, output: str) -> bool:
    return re.search(pattern, output, re.MULTILINE) is not None


def _short(ran: Ran) -> str:
    text = ran.output.strip()
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


def _mistakes_in_json(expected: JsonValue, folder: Path) -> Iterator[str]:
    files = sorted(folder.glob(expected.file))
    if not files:
        yield f"no file {expected.file}"
    for file in files:
        value = json.loads(file.read_text(encoding="utf-8"))
        try:
            for step in expected.path.split("."):
                value = value[int(step) if isinstance(value, list) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            yield f"{file.relative_to(folder)} has no {expected.path}"
            continue
        if expected.equals is not None and value != expected.equals:
            yield f"{file.relative_to(folder)} has {expected.path} = {value!r}, expected {expected.equals!r}"
        if expected.matches is not None and not _found(expected.matches, str(value)):
            yield f"{file.relative_to(folder)} has {expected.path} = {value!r}, expected match: {expected.matches!r}"


def _mistakes_in_text(expected: Text, folder: Path) -> Iterator[str]:
    files = sorted(folder.glob(expected.file))
    if not files:
        yield f"no file {expected.file}"
    for file in files:
        content = file.read_text(encoding="utf-8")
        yield from (f"{file.relative_to(folder)} lacks {text!r}" for text in expected.shows if text not in content)
        yield from (f"{file.relative_to(folder)} has {text!r}" for text in expected.hides if text in content)


def judge(step: Step, every: Expected, ran: Ran, folder: Path, earlier: Mapping[str, Ran]) -> str:
    """The first mistake of a step, or nothing. Of several alternatives, the mistakes of all are named."""
    own = [
        *mistakes(step, ran, folder, earlier, status=not step.either),
        *mistakes(every, ran, folder, earlier, status=False),
    ]
    if own:
        return own[0]
    alternatives = [list(mistakes(expected, ran, folder, earlier, status=True)) for expected in step.either]
    if alternatives and all(alternatives):
        return " / ".join(found[0] for found in alternatives)
    return ""


def run_case(case_folder: Path, commands: Commands) -> Verdict:
    """Run one case in a copy of its folder."""
    started, name = time.monotonic(), case_folder.name
    try:
        case = Case.model_validate(tomllib.loads((case_folder / EXPECT).read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        return Verdict(name, "fail", 0.0, f"{EXPECT} cannot be read: {' '.join(str(error).split())}")
    with tempfile.TemporaryDirectory(prefix="case-", ignore_cleanup_errors=True) as temporary:
        folder = _copy(case_folder, Path(temporary))
        earlier: dict[str, Ran] = {}
        if case.needs is not None:
            ran = commands.run(case.needs, folder, case.time_limit_s)
            if ran is None or ran.status != 0:
                return Verdict(name, "skip", time.monotonic() - started, f"it needs: {case.needs}")
        for step in case.step:
            ran = commands.run(step.run, folder, started + case.time_limit_s - time.monotonic())
            reason = f"not ended within {case.time_limit_s:g} s"
            if ran is not None:
                reason = judge(step, case.every, ran, folder, earlier)
            if reason:
                details = f"$ {step.run.strip()}\n{ran.output if ran else ''}"
                return Verdict(name, "fail", time.monotonic() - started, f"{step.name}: {reason}", details)
            assert ran is not None
            earlier[step.name] = ran
    return Verdict(name, "pass", time.monotonic() - started)


def _copy(case_folder: Path, to: Path) -> Path:
    """Copy a case and the loose files beside it, writable whatever the original is; returns the copy of the case."""
    for file in case_folder.parent.iterdir():
        if file.is_file():
            shutil.copyfile(file, to / file.name)
    copy = to / case_folder.name
    for path in [case_folder, *sorted(case_folder.rglob("*"))]:
        target = copy / path.relative_to(case_folder)
        if path.is_dir():
            target.mkdir()
        else:
            shutil.copyfile(path, target)
    return copy


def case_folders(folder: Path) -> list[Path]:
    """The cases of a folder, or the folder itself if it is one."""
    if (folder / EXPECT).exists():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def find_bench(given: str | None) -> Path:
    """The ``bench`` command: the given one, else BENCH, the one beside this interpreter or the one on the path."""
    wanted = given or os.environ.get("BENCH") or str(Path(sys.executable).with_name("bench"))
    found = shutil.which(wanted) or shutil.which("bench")
    if found is None:
        sys.exit(f"There is no command {wanted}: name one with --bench or the environment variable BENCH.")
    return Path(found).absolute()


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 if no case failed, 1 if one did."""
    parser = argparse.ArgumentParser(description="Run cases: small situations of users, with what is expected.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER, help="folder of cases, or one case")
    parser.add_argument("--bench", help="the bench command; by default $BENCH, or the one of this environment")
    parser.add_argument("--details", action="store_true", help="print command and output of each step that failed")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir() or not (folders := case_folders(options.folder.absolute())):
        parser.error(f"{options.folder} holds no case")
    bench = find_bench(options.bench)
    own = {"BENCH": str(bench), "PYTHON": str(bench.with_name("python")), "OMP_NUM_THREADS": "1"}
    commands = Commands({**os.environ, **own})
    words = []
    with ThreadPoolExecutor(CASES_AT_ONCE) as threads:
        try:
            for verdict in threads.map(lambda folder: run_case(folder, commands), folders):
                words.append(verdict.word)
                sys.stdout.write(f"{verdict}\n")
                if options.details and verdict.details:
                    last = verdict.details.splitlines()[-SHOWN_LINES:]
                    sys.stdout.write("".join(f"    {line}\n" for line in last))
                sys.stdout.flush()
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            commands.end_all()
            raise
    counts = {word: words.count(word) for word in ("pass", "fail", "skip")}
    sys.stdout.write(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped\n")
    return 1 if counts["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
