"""Configurations of the hub as choices: there and back, files, merges, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.network.whole.config import HubConfig, hub_config, hub_config_of, merged
from bench.parts import ChoiceError, unrecordable

ENTRIES = {
    "depths": [2, 2], "drop": 0.1, "name": None, "backbone_config": {"model_type": "swin", "depths": [1], "window": {}},
}  # fmt: skip


def test_a_configuration_is_a_choice_that_becomes_the_same_json_again() -> None:
    config = hub_config(**ENTRIES)
    assert unrecordable(config) is None
    assert hash(config) == hash(hub_config(**dict(reversed(ENTRIES.items()))))
    assert config.as_json() == ENTRIES


def test_a_configuration_prints_as_it_is_written() -> None:
    config = hub_config(depths=(2, 2), backbone_config=hub_config(model_type="swin"))
    assert repr(config) == "hub_config(backbone_config=hub_config(model_type='swin'), depths=(2, 2))"
    assert eval(repr(config)) == config


def test_labels_are_of_the_data_and_not_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    inside = {"model_type": "swin"}
    written = {**inside, "label2id": {"wall": 0}, "transformers_version": "4.18"}
    file.write_text(
        json.dumps({"num_labels": 150, "id2label": {"0": "wall"}, "model_type": "upernet", "backbone_config": written})
    )
    assert (
        hub_config_of(file)
        == hub_config_of(tmp_path)
        == HubConfig(hub_config(backbone_config=inside, model_type="upernet").entries, of_file=True)
    )
    with pytest.raises(ChoiceError, match=r"hub_config\(num_labels=…\): the data decide"):
        hub_config(num_labels=3)


@pytest.mark.parametrize("content", ["[1]", "{", None])
def test_a_file_that_is_no_configuration_is_refused_by_name(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ChoiceError, match=r"config\.json .*name a config\.json of the hub"):
        hub_config_of(tmp_path / "config.json")


def test_changes_are_merged_into_entries_inside() -> None:
    base = hub_config(width=8, backbone_config={"model_type": "swin", "depths": [2, 2]})
    changed = merged(base, hub_config(width=16, backbone_config={"depths": [1]}))
    assert changed == hub_config(width=16, backbone_config={"model_type": "swin", "depths": [1]})
    assert merged(base, HubConfig()) == base
    assert base.having(width=16, backbone_config={"depths": [1]}) == changed
    assert base.having() == base
