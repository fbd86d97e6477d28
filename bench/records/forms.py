"""What a form of JSON data is, and what is wrong with data that has another one."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.protocol.setting import Setting

LARGEST = 2**53
"""Beyond it a float no longer holds every whole number."""

Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Amount = Annotated[float, Field(ge=0, le=1e300)]
Seconds = Annotated[float, Field(gt=0, le=1e300)]
Samples = Annotated[list[Seconds], Field(min_length=1)]
Finite = Annotated[float, Field(ge=-1e300, le=1e300)]
Names = Annotated[list[str], Field(min_length=1)]
Size = Annotated[list[Whole], Field(min_length=2, max_length=2)]
Stage = Literal["quality", "cost", "speed"]
STAGES: tuple[str, ...] = get_args(Stage)


class Form(BaseModel):
    """Takes no text for a number and nothing that is not finite."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


def problem(form: type[Form], data: object) -> str:
    """What is wrong with data first: where, what is expected and what is there; empty for nothing."""
    try:
        form.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(step) if isinstance(step, int) else reprlib.repr(step)[1:-1] for step in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        got = f", got {reprlib.repr(first['input'])}" if first["type"] not in ("missing", "value_error") else ""
        return f"{where}: {said}{got}" if where else f"{said}{got}"
    return ""


def check_setting(values: Mapping[str, Any] | None) -> None:
    """Raises ValueError, as pydantic wants it, for what is no setting of a comparison."""
    try:
        Setting(**(values or {}))
    except TypeError as error:
        raise ValueError(f"setting: {error}") from error
