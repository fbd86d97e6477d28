"""Setting: the conditions under which a network is timed: input, precision, execution mode and phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.parts import ChoiceError, Count, Positive, choices_of, mismatch
from bench.protocol.recipe import Pixels, Precision

Mode = Literal["eager", "channels_last", "compile", "cuda_graph"]
"""The ways to execute a network: ``eager`` runs PyTorch as usual; ``channels_last`` keeps weights and input in that
memory format; ``compile`` uses torch.compile; ``cuda_graph`` captures one graph and replays it."""


Phase = Literal["inference", "training"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The conditions of one speed measurement.

    Attributes:
        height: the height of the input, in pixels.
        width: the width of the input, in pixels.
        batch: the number of images in a call.
        precision: the precision of the computation, by autocast; weights stay float32.
        mode: how the network is executed.
        phase: ``inference``, a forward without auxiliary heads, or ``training``, a training step.
        least_s: the least time, in seconds, for which the network is timed.
    """

    height: Pixels
    width: Pixels
    batch: Count = 1
    precision: Precision = "float32"
    mode: Mode = "eager"
    phase: Phase = "inference"
    least_s: Positive = 10.0

    def __post_init__(self) -> None:
        for name, (annotation, _) in choices_of(Setting).items():
            problem = mismatch(getattr(self, name), annotation)
            if problem:
                raise ChoiceError(f"Setting({name}={getattr(self, name)!r}): {problem}")
        if self.phase == "training" and self.batch < 2:
            raise ChoiceError(
                "Setting(batch=1, phase='training'): batch normalisation of pooled features needs 2 images"
            )
        if self.phase == "training" and self.mode == "cuda_graph":
            raise ChoiceError("Setting(mode='cuda_graph', phase='training'): a graph holds a forward; use another mode")

    @property
    def name(self) -> str:
        """The input size and all conditions that are not :data:`USUAL`, such as ``256x512 batch 8 bfloat16``."""
        words = [f"{self.height}x{self.width}", f"batch {self.batch}" if self.batch > 1 else ""]
        words += [word for word in (self.precision, self.mode, self.phase) if word not in USUAL]
        return " ".join(word for word in words if word)

    def check(self, device_type: str) -> None:
        """Refuse a setting that the device cannot run, before any measurement.

        Raises:
            ChoiceError: for a CUDA graph on a device other than CUDA.
        """
        if self.mode == "cuda_graph" and device_type != "cuda":
            raise ChoiceError(f"mode 'cuda_graph' needs a CUDA device, this is {device_type!r}; use eager or compile")


USUAL = ("float32", "eager", "inference")
"""The conditions that the name of a setting leaves out."""


Stage = Literal["quality", "cost", "speed"]


STAGES: tuple[Stage, ...] = ("quality", "cost", "speed")
