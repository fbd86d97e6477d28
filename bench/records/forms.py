"""The base of every typed object that is read from JSON, and one way to read and to build such an object.

A field that a form names is checked, and typed ever after; keys that it does not name are free, and are kept.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError

from bench.protocol.setting import Setting
from bench.protocol.text import harmless
from bench.records.files import is_finite, json_text, parse_json

LARGEST = 2**53
"""The largest whole number up to which a float holds every whole number."""


AS_WRITTEN: Mapping[str, Any] = {"as written": True}
"""The context of validation for a content that is, by its digest, the one that a record of this form was written to.

What takes long to check was checked when the record was made, and is not checked again."""


def _as_setting(value: object) -> Setting:
    """A setting from the JSON object that holds its fields."""
    if isinstance(value, Setting):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"a setting is an object of its fields, got {reprlib.repr(value)}")
    try:
        return Setting.from_json(value)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _whole_if_whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value


Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Amount = Annotated[float, Field(ge=0, le=1e300)]
Counted = Annotated[Amount, PlainSerializer(_whole_if_whole)]
"""A count or a number of bytes, which files hold as a whole number and calculations need as a float."""
Seconds = Annotated[float, Field(gt=0, le=1e300)]
Samples = Annotated[list[Seconds], Field(min_length=1)]
Finite = Annotated[float, Field(ge=-1e300, le=1e300)]
Names = Annotated[list[str], Field(min_length=1)]
Size = Annotated[list[Whole], Field(min_length=2, max_length=2)]
Harmless = Annotated[str, AfterValidator(harmless)]
"""A text of an exception, on whose characters nothing that shows it acts."""
TimingSetting = Annotated[Setting, PlainValidator(_as_setting), PlainSerializer(asdict)]
"""A :class:`~bench.protocol.setting.Setting`, in JSON an object of its fields."""


class Form(BaseModel):
    """An object of a results folder's JSON: no text counts as a number, no number is infinite, and nothing changes."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, frozen=True)

    def as_json(self) -> dict[str, Any]:
        """The object as plain JSON data: the keys that it was made from, free ones included, and no defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


AnyForm = TypeVar("AnyForm", bound=Form)


def parse(form: type[AnyForm], content: bytes) -> AnyForm:
    """The typed object that a file's content holds.

    Raises:
        pydantic.ValidationError: for JSON of another form; :func:`problem` says in words what is wrong.
        ValueError: for content that is not valid JSON: not UTF-8, nested too deeply, or with NaN or an unpaired
            surrogate.
    """
    if is_finite(content):
        try:
            return form.model_validate_json(content)
        except ValidationError:
            pass  # Python's own parser finds the same mistake, and has better words for it
    return form.model_validate(parse_json(content))


def build(form: type[AnyForm], data: Mapping[str, Any]) -> AnyForm:
    """The typed object that would be read if ``data`` were written to a file.

    Raises:
        pydantic.ValidationError: as :func:`parse` does.
        ValueError: for NaN or infinity.
    """
    return parse(form, json_text(data).encode())


def problem(error: ValueError) -> str:
    """The first thing that is wrong, in words: where it is, what is expected there and what stands there instead.

    An error that is none of a form's is told by its own text.
    """
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(step) if isinstance(step, int) else reprlib.repr(step)[1:-1] for step in first["loc"])
    expected = first["msg"].removeprefix("Value error, ")
    got = f", got {_short(first['input'])}" if first["type"] not in ("missing", "value_error") else ""
    return f"{where}: {expected}{got}" if where else f"{expected}{got}"


def _short(value: object) -> str:
    """A value in at most :data:`LONGEST_VALUE` characters."""
    text = reprlib.repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


LONGEST_VALUE = 120
"""The most characters of a wrong value that an error quotes."""


def other_version(error: ValidationError) -> int | None:
    """The format's number that a file says, if that is what is wrong with it."""
    first = error.errors(include_url=False, include_context=False)[0]
    version = first["input"]
    return version if first["loc"] == ("version",) and isinstance(version, int) else None
