"""Ten random networks end in a table or in one line; the session random-networks judges what is said as it should."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests import random_networks
from tests.random_networks import Network, cause, checked, drawn, judged, listed

NETWORKS = 10


@pytest.mark.extras
def test_ten_random_networks_end_in_a_table_or_in_one_line() -> None:
    libraries = list(random_networks.LIBRARIES)
    results = [checked(number, drawn(libraries, 20, number)) for number in range(NETWORKS)]
    assert not listed(results, "fault"), listed(results, "fault")
    assert sum(result.ending == "table" for result in results) >= NETWORKS // 2, listed(results, "line")


@pytest.mark.extras
def test_a_seed_and_a_number_always_draw_the_same_network() -> None:
    libraries = list(random_networks.LIBRARIES)
    first, again = ([drawn(libraries, 3, number) for number in range(9)] for _ in range(2))
    assert first == again
    assert len({str(network) for network in first}) == 9
    assert first != [drawn(libraries, 4, number) for number in range(9)]


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_a_library_that_is_missing_is_one_line_and_hides_no_other_variant() -> None:
    network = Network(None, {"backbone": "part(Timm, name='resnet18')", "head": "part(FCNHead, width=8)"}, (64, 64))
    result = checked(0, network)
    assert result.ending == "line"
    assert "pip install 'segbench[timm]'" in result.line


def test_a_network_that_works_has_a_table() -> None:
    network = Network(None, {"backbone": "part(ResNet, depth=18)", "head": "part(FCNHead, width=8)"}, (64, 96))
    assert checked(0, network).ending == "table"


@pytest.mark.parametrize(
    ("document", "err", "status", "ending", "line"),
    [
        ({"variants": [1, 2], "faulty": []}, "", 0, "table", ""),
        ({"variants": [1], "faulty": [{"reason": "no such head"}]}, "", 1, "line", "no such head"),
        ({"variants": [1], "faulty": [{"reason": "one\ntwo"}]}, "", 1, "fault", "2 lines: 'one\\ntwo'"),
        ({"variants": [], "faulty": [{"reason": "a"}, {"reason": "b"}]}, "", 1, "fault", "exit status 1, and neither"),
        ({"variants": [1, 2], "faulty": []}, "", 1, "fault", "exit status 1, and neither"),
        (None, "bench: study.py:3: no such part", 2, "line", "study.py:3: no such part"),
        (None, "Traceback (most recent call last):\nKeyError: 3", 1, "fault", "a traceback: KeyError: 3"),
        (None, "", None, "fault", "the process ended with status -11"),
    ],
)
def test_each_ending_is_judged(
    document: object, err: str, status: int | None, ending: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("" if document is None else json.dumps(document))
    (tmp_path / "err").write_text(err)
    if status is not None:
        (tmp_path / "status").write_text(str(status))
    found, told = judged(tmp_path, -11)
    assert found == ending
    assert told.startswith(line)


def test_lines_that_differ_in_names_and_numbers_have_one_cause() -> None:
    first = cause("Timm(name='resnet18', output_stride=8): height 56 is too small; take 64")
    assert first == cause("Timm(name='vgg11'): height 5 is too small; take 128")
    assert first != cause("Timm(name='vgg11'): width 5 is too small; take 128")
