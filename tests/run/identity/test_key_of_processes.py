"""The number of processes that train a network together counts in a key where it is above 1, and their code with it."""

from __future__ import annotations

from bench.run.stages import key_of
from studies.quickstart import STUDY


def test_one_process_has_the_key_that_it_always_had_and_several_have_others() -> None:
    cell = STUDY.cell("baseline")
    one, two, four = (key_of(cell, "quality", 0, "data", processes=count) for count in (1, 2, 4))
    assert one == key_of(cell, "quality", 0, "data")
    assert "processes" not in one.settings
    assert (two.settings["processes"], four.settings["processes"]) == (2, 4)
    assert len({one.text, two.text, four.text}) == 3
    more = two.source.definitions.keys() - one.source.definitions.keys()
    assert any("norms.py" in label for label in more)
    assert any("samples.py" in label for label in more)
    assert not any("training/parallel" in label for label in one.source.definitions)
    assert two.source.digest == four.source.digest
