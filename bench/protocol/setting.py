"""Setting: the conditions under which a network is timed: input, precision, memory format, mode and phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.parts import ChoiceError, Count, Positive, choices_of, mismatch
from bench.protocol.recipe import Mode, Pixels, TimedPrecision, check_precision

MemoryFormat = Literal["contiguous", "channels_last"]
"""The order of a feature map's numbers in memory: channel by channel, or pixel by pixel. Weights and input have it."""


Phase = Literal["inference", "training"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The conditions of one speed measurement.

    Attributes:
        height: the height of the input, in pixels.
        width: the width of the input, in pixels.
        batch: the number of images in a call.
        precision: the precision of products and convolutions, as in :class:`~bench.protocol.recipe.Recipe`, or 8-bit
            integers. Weights of convolutions and linear layers are cast to half precision once in inference, and stay
            float32 in training.
        mode: how the network is executed.
        memory_format: the memory format of weights and input, independent of the mode.
        phase: ``inference``, a forward without auxiliary heads, or ``training``, a training step.
        least_s: the least time, in seconds, for which the network is timed.
    """

    height: Pixels
    width: Pixels
    batch: Count = 1
    precision: TimedPrecision = "float32"
    mode: Mode = "eager"
    memory_format: MemoryFormat = field(default="contiguous", metadata={"neutral": "contiguous"})
    phase: Phase = "inference"
    least_s: Positive = 10.0

    def __post_init__(self) -> None:
        if self.mode == EARLIER_MODE:
            raise ChoiceError(
                f"Setting(mode={EARLIER_MODE!r}): the memory format has a field of its own; write "
                f"memory_format={EARLIER_MODE!r}, and any mode"
            )
        for name, (annotation, _) in choices_of(Setting).items():
            problem = mismatch(getattr(self, name), annotation)
            if problem:
                raise ChoiceError(f"Setting({name}={getattr(self, name)!r}): {problem}")
        if self.phase == "training" and self.batch < 2:
            raise ChoiceError(
                "Setting(batch=1, phase='training'): batch normalisation of pooled features needs 2 images"
            )
        if self.phase == "training" and self.mode not in ("eager", "compile"):
            raise ChoiceError(f"Setting(mode={self.mode!r}, phase='training'): it runs forwards alone; use another")

    @property
    def name(self) -> str:
        """The input size and all conditions that are not :data:`USUAL`, such as ``256x512 batch 8 bfloat16``."""
        words = [f"{self.height}x{self.width}", f"batch {self.batch}" if self.batch > 1 else ""]
        words += [word for word in self.conditions if word not in USUAL]
        return " ".join(word for word in words if word)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The values of :data:`CONDITIONS`."""
        return tuple(str(getattr(self, name)) for name in CONDITIONS)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setting:
        """The setting that a results folder holds as an object of its fields.

        An earlier bench had the memory format among the modes: ``channels_last`` was that of eager execution.

        Raises:
            ChoiceError: for a value that is not allowed.
            TypeError: for a field that a setting does not have.
        """
        if data.get("mode") == EARLIER_MODE and "memory_format" not in data:
            data = {**data, "mode": "eager", "memory_format": "channels_last"}
        return cls(**data)

    def check(self, device_type: str) -> None:
        """Refuse a setting that the device cannot run, before any measurement.

        Raises:
            ChoiceError: for a CUDA graph or TF32 on a device other than CUDA.
        """
        check_precision(self.precision, device_type)
        if self.mode == "cuda_graph" and device_type != "cuda":
            raise ChoiceError(f"mode 'cuda_graph' needs a CUDA device, this is {device_type!r}; use eager or compile")


CONDITIONS = ("precision", "memory_format", "mode", "phase")
"""The fields of a setting that are no sizes, in the order in which its name has them."""


USUAL = ("float32", "contiguous", "eager", "inference")
"""The values of :data:`CONDITIONS` that the name of a setting leaves out."""


EARLIER_MODE = "channels_last"
"""A mode of an earlier bench, which had no memory formats."""


Stage = Literal["quality", "cost", "speed"]


STAGES: tuple[Stage, ...] = ("quality", "cost", "speed")
