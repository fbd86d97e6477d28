"""Under what conditions a network is timed, as plain values: input, precision, execution mode, phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.parts import ChoiceError, Count, Positive, choices_of, mismatch
from bench.protocol.recipe import Pixels, Precision

Mode = Literal["eager", "channels_last", "compile", "cuda_graph"]
"""``eager`` as it is; ``channels_last`` weights and input in that memory format; ``compile`` by torch.compile;
``cuda_graph`` one captured graph, replayed."""


Phase = Literal["inference", "training"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of a sweep.

    Attributes:
        height: of the input, in pixels.
        width: of the input, in pixels.
        batch: images a call.
        precision: by autocast; weights stay float32.
        mode: how the network is executed.
        phase: a forward without auxiliaries, or a training step.
        least_s: for how long, at least, is measured.
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
        """``256x512``, and what differs from a float32 eager forward of one image: ``256x512 batch 8 bfloat16``."""
        words = [f"{self.height}x{self.width}", f"batch {self.batch}" if self.batch > 1 else ""]
        words += [each for each in (self.precision, self.mode, self.phase) if each not in USUAL]
        return " ".join(word for word in words if word)

    def check(self, device_type: str) -> None:
        """Refuse what the device cannot do, before anything runs.

        Raises:
            ChoiceError: for a CUDA graph on another device.
        """
        if self.mode == "cuda_graph" and device_type != "cuda":
            raise ChoiceError(f"mode 'cuda_graph' needs a CUDA device, this is {device_type!r}; use eager or compile")


USUAL = ("float32", "eager", "inference")


Stage = Literal["quality", "cost", "speed"]


STAGES: tuple[Stage, ...] = ("quality", "cost", "speed")
