"""The key of a trial as an attribute that is made when it is first read: most plans are shown without most keys."""

from __future__ import annotations

from typing import Any

from .templates import Made


class KeyOnDemand:
    """An attribute ``key`` of a dataclass, given as a text or as a key of many, and always read as a text."""

    def __set__(self, owner: Any, given: str | Made) -> None:
        vars(owner)["key"] = given

    def __get__(self, owner: Any, kind: type) -> str:
        if owner is None:
            raise AttributeError("key")  # read of the class itself: the attribute has no default
        given = vars(owner)["key"]
        if isinstance(given, str):
            return given
        text: str = given.text
        vars(owner)["key"] = text
        return text
