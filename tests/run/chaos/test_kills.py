"""``kill -9`` at random moments of a study, again and again: it ends as one that nobody disturbed, and leaves nothing.

A run's driver is killed, or the processes of its workers, or all of them: at any moment, while a record is written, or
while the state of a training is. After each kill of a driver the same command is given again, at once or once its
workers have ended.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.records.record import read_all
from tests.run.chaos.study import TRIALS, Kill, Study, study_of
from tests.run.runner import Runner

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("ray")]


@pytest.fixture
def new_study(tmp_path: Path, tiny_study: Callable[..., Path]) -> Iterator[Callable[[], Study]]:
    studies: list[Study] = []

    def make() -> Study:
        folder = tmp_path / f"study {len(studies)}"
        folder.mkdir()
        studies.append(study_of(tiny_study(iterations="60"), Runner(folder)))
        return studies[-1]

    yield make
    for study in studies:
        study.runner.end()


def test_a_study_that_is_killed_again_and_again_ends_as_one_that_is_not(
    new_study: Callable[[], Study], kills: int, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)  # noqa: T201 - minutes pass, and the seed is told before anything fails

    say(f"\n{kills} kills, --seed {seed}")
    draws = random.Random(seed)
    undisturbed = new_study()
    undisturbed.finish()
    usual_s = time.monotonic() - undisturbed.started_at
    undisturbed.leaves_nothing()
    expected = undisturbed.measured()
    say(f"undisturbed: {usual_s:.0f} s")

    study, struck, resumed, ended = new_study(), Counter[str](), 0, 0
    while struck.total() < kills:
        kill = Kill.drawn(draws, usual_s)
        if study.strike(kill):
            struck[f"{kill.target} ({kill.moment})"] += 1
            say(f"{struck.total():3} {kill}; done by then: {len(study.done)}")
        study.look()
        if struck.total() == kills or (study.run is None and len(study.done) == TRIALS):
            study.finish()
            study.leaves_nothing()
            assert study.measured() == expected, "the same numbers, weights and images, bit for bit"
            resumed += sum(bool(record.measured.resumed_after) for record in read_all(study.folder / "records"))
            ended += 1
            study = new_study()
    say(f"{ended} studies ended as the undisturbed one; {resumed} of {TRIALS * ended} trainings went on from a state")
    say(", ".join(f"{name}: {count}" for name, count in sorted(struck.items())))
