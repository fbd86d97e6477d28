"""The configuration of a network of Hugging Face's transformers, as a choice that a record can name.

``config.json`` of a model on the hub is a mapping with lists and mappings inside. :class:`HubConfig` is the same as a
hashable value: :func:`hub_config` writes one in a study, :func:`hub_config_of` reads one from such a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.parts import ChoiceError

OF_THE_DATA = ("num_labels", "id2label", "label2id")
"""The entries that the data decide: their classes."""

OF_THE_FILE = (
    "_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version",
)  # fmt: skip
"""The entries that tell of the file and of its making."""


@dataclass(frozen=True)
class HubConfig:
    """Some entries of a configuration; those that it does not have keep the values that transformers gives them.

    Attributes:
        entries: (name, value), sorted by name. A value is a number, a text, ``None``, a tuple of values, or another
            ``HubConfig``.
        of_file: True for the content of a file. Files have entries that the present transformers does not know, and
            ignores; written by hand, such an entry is a mistake.
    """

    entries: tuple[tuple[str, Any], ...] = ()
    of_file: bool = False

    def __repr__(self) -> str:
        return f"hub_config({', '.join(f'{name}={value!r}' for name, value in self.entries)})"

    def having(self, **entries: Any) -> HubConfig:
        """The same configuration with some entries changed, also inside of those that both have.

        Raises:
            ChoiceError: for an entry that the data decide.
        """
        return merged(self, hub_config(**entries))

    def as_json(self) -> dict[str, Any]:
        """The entries as transformers takes them: mappings, and lists in place of tuples."""
        return {name: _thawed(value) for name, value in self.entries}


def hub_config(**entries: Any) -> HubConfig:
    """A configuration of these entries: ``hub_config(depths=(2, 2), backbone_config=hub_config(model_type="swin"))``.

    Mappings and lists are taken too.

    Raises:
        ChoiceError: for an entry that the data decide, such as the number of labels.
    """
    if named := [name for name in OF_THE_DATA if name in entries]:
        raise ChoiceError(f"hub_config({named[0]}=…): the data decide it by their classes, so leave it out")
    return HubConfig(_frozen_entries(entries))


def hub_config_of(path: str | Path) -> HubConfig:
    """The configuration in a file ``config.json``, or in a folder that holds one; its labels are left out.

    The content becomes the choice, so that records and keys know it, and the file is not read again.

    Raises:
        ChoiceError: if there is no such file, or if it does not hold a JSON object.
    """
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ChoiceError(f"{file} cannot be read: {error}; name a config.json of the hub, or its folder") from error
    if not isinstance(content, dict):
        raise ChoiceError(f"{file} holds no JSON object; name a config.json of the hub, or its folder")
    return HubConfig(_frozen_entries(_of_the_network(content)), of_file=True)


def merged(base: HubConfig, changes: HubConfig) -> HubConfig:
    """``base`` with the entries of ``changes``, also inside of entries that both have."""
    entries = dict(base.entries)
    for name, value in changes.entries:
        before: Any = entries.get(name)
        inside = isinstance(before, HubConfig) and isinstance(value, HubConfig)
        entries[name] = merged(before, value) if inside else value
    return HubConfig(tuple(sorted(entries.items(), key=lambda entry: entry[0])), of_file=base.of_file)


def _of_the_network(content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that describe a network, inside of others too."""
    return {
        name: _of_the_network(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if name not in (*OF_THE_DATA, *OF_THE_FILE)
    }


def _frozen_entries(entries: Mapping[Any, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(((str(name), _frozen(value)) for name, value in entries.items()), key=lambda entry: entry[0]))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return HubConfig(_frozen_entries(value))
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, HubConfig):
        return value.as_json()
    return list(map(_thawed, value)) if isinstance(value, tuple) else value
