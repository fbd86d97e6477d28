"""The runner of cases: what holds passes, what does not fails with the reason, and the case stays as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("run_cases.py")
CASES = Path(__file__).with_name("cases")

PASSING = """
[every]
hides = ["secret"]

[[step]]
name = "write"
run = 'echo "{\\"outcome\\": {\\"losses\\": [1, 2.5]}}" > made.json; cat ../beside.txt; echo "$BENCH"; exit 3'
status = [2, 3]
shows = ["beside"]
matches = ["^/.*python"]
lines_at_most = 2
files = ["made.json"]
no_files = ["other.json"]
json_values = [{ file = "made.json", path = "outcome.losses.1", equals = 2.5 }]
texts = [{ file = "*.json", shows = ["losses"], hides = ["accuracy"] }]

[[step]]
name = "one"
run = "echo 1"
longest_line = 1

[[step]]
name = "one again"
run = "echo 1"
same_as = "one"

[[step]]
name = "two"
run = "echo 2"
differs_from = "one"
either = [{ status = 7 }, { status = 0, shows = ["2"] }]
"""


def make_case(folder: Path, name: str, expect: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "expect.toml").write_text(expect)


def run(folder: Path, *options: str) -> tuple[int, list[str]]:
    command = [sys.executable, str(RUNNER), str(folder), "--bench", sys.executable, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_case_that_does_what_is_expected_passes_and_leaves_its_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "beside.txt").write_text("beside\n")
    make_case(tmp_path, "good", PASSING)
    status, lines = run(tmp_path)
    assert status == 0
    assert lines == ["pass good (0 s)", "1 passed, 0 failed, 0 skipped"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["beside.txt", "expect.toml", "good"]


@pytest.mark.parametrize(
    ("expectation", "reason"),
    [
        ("status = 1", "status 0, expected 1"),
        ('shows = ["heavens"]', "the output lacks 'heavens'"),
        ('hides = ["world"]', "the output has 'world'"),
        ('matches = ["^world"]', "nothing in the output matches '^world'"),
        ("lines_at_most = 0", "1 lines of output, expected 0 at most"),
        ("longest_line = 5", "a line of 11 characters, expected 5 at most"),
        ('files = ["*.txt"]', "no file *.txt"),
        ('no_files = ["*.json"]', "there is a file made.json"),
        ('json_values = [{ file = "*.json", path = "a.1", equals = 3 }]', "made.json has a.1 = 2, expected 3"),
        ('json_values = [{ file = "*.json", path = "b" }]', "made.json has no b"),
        ('json_values = [{ file = "x.json", path = "b" }]', "no file x.json"),
        ('texts = [{ file = "*.json", shows = ["x"] }]', "made.json lacks 'x'"),
        ('same_as = "make"', "another output than step 'make': 'hello world' and ''"),
        ('differs_from = "greet"', "the same output as step 'greet': 'hello world'"),
        ('either = [{ status = 1 }, { shows = ["x"] }]', "status 0, expected 1 / the output lacks 'x'"),
    ],
)
def test_a_case_that_does_something_else_fails_with_the_step_and_the_reason(
    tmp_path: Path, expectation: str, reason: str
) -> None:
    steps = [("make", "echo '{\"a\": [1, 2]}' > made.json", ""), ("greet", "echo hello world", "")]
    steps.append(("wrong", "echo hello world", expectation))
    tables = (f'[[step]]\nname = "{name}"\nrun = """{command}"""\n{more}\n' for name, command, more in steps)
    make_case(tmp_path, "bad", "\n".join(tables))
    make_case(tmp_path, "good", '[[step]]\nname = "right"\nrun = "true"\n')
    status, lines = run(tmp_path)
    assert status == 1
    assert lines == [f"fail bad (0 s): wrong: {reason}", "pass good (0 s)", "1 passed, 1 failed, 0 skipped"]


def test_a_case_beyond_its_time_limit_fails_and_one_that_cannot_run_here_is_skipped(tmp_path: Path) -> None:
    make_case(tmp_path, "1-slow", 'time_limit_s = 0.5\n[[step]]\nname = "wait"\nrun = "sleep 60"\n')
    make_case(tmp_path, "2-elsewhere", 'needs = "exit 1"\n[[step]]\nname = "never"\nrun = "exit 1"\n')
    make_case(tmp_path, "3-misspelt", '[[step]]\nname = "x"\nrun = "true"\nshow = ["y"]\n')
    status, lines = run(tmp_path, "--details")
    assert status == 1
    assert lines[0].startswith("fail 1-slow (")
    assert lines[0].endswith("wait: not ended within 0.5 s")
    assert lines[1:3] == ["    $ sleep 60", "skip 2-elsewhere (0 s): it needs: exit 1"]
    assert lines[3].startswith("fail 3-misspelt (0 s): expect.toml cannot be read:")
    assert "step.0.show" in lines[3]
    assert lines[4] == "0 passed, 2 failed, 1 skipped"


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    status, lines = run(tmp_path)
    assert status == 2
    assert lines[-1].endswith("holds no case")


def test_every_case_of_the_repository_says_where_it_comes_from_and_what_is_expected() -> None:
    folders = [path for path in sorted(CASES.iterdir()) if path.is_dir()]
    assert len(folders) >= 18
    for folder in folders:
        readme = (folder / "README").read_text(encoding="utf-8")
        assert all(f"{word}:" in readme for word in ("situation", "source", "expected")), folder.name
        assert (folder / "expect.toml").exists(), folder.name
