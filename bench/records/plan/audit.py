"""The networks of a plan as built, for the audit of confounds: their components, counts and choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.records.forms import Counted, Finite, Form
from bench.records.plan.tuned import Tuned


class Described(Form):
    """A Part with its choices."""

    class_name: Annotated[str, Field(alias="class")]
    choices: dict[str, Any]


def as_part(value: object) -> Described | None:
    """The Part that a choice is described as, ``None`` for a choice that is a plain value."""
    if not isinstance(value, Mapping) or "class" not in value:
        return None
    return Described(**{"class": str(value["class"]), "choices": value.get("choices", {})})


class Slot(Described):
    """The component in a slot of a network, with its counts: of all its parameters, of the trainable ones, of MACs."""

    parameters: Counted = 0
    trainable: Counted = 0
    macs: Counted = 0


class Facts(Form):
    """A network as built, for the audit.

    Attributes:
        levels: factor -> level.
        slots: slot -> its component; a slot without one is left out.
        losses: the terms of the loss.
        learning_rates: slot -> the base learning rate of its optimiser group.
        recipe: field -> choice, of the variant's own recipe.
        conventions: name -> value of the conventions by which its maps are resized.
    """

    levels: dict[str, str]
    slots: dict[str, Slot]
    losses: list[Described]
    learning_rates: dict[str, Finite | None]
    recipe: dict[str, Any]
    conventions: dict[str, Any]


class Audit(Form):
    """The networks of a plan as built, and what its factors say that they change.

    Attributes:
        about: factor -> the slots and fields that it is meant to change.
        touched: factor -> the slots and fields that its levels change.
        variants: variant -> its network.
        tuned: what each arm was tuned with; ``None`` for a study at its own settings alone.
    """

    about: dict[str, list[str]] = Field(default_factory=dict)
    touched: dict[str, list[str]] = Field(default_factory=dict)
    variants: dict[str, Facts] = Field(default_factory=dict)
    tuned: Tuned | None = None
