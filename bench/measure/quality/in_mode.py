"""A trained network that is tested in an execution mode, and compared with eager torch in every forward.

Images are ``N 3 H W`` and logits ``N K H W``. A mode other than eager torch needs a graph for every size of its input,
which is made when the first image of that size comes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.data.base import Dataset
from bench.measure.timing.execution import Forward, captured, prepared_call
from bench.measure.timing.outputs import Deviation, difference
from bench.measure.timing.runtimes.int8 import calibration_images
from bench.measure.timing.runtimes.runtime import Logits, preparing
from bench.network.model import Output, SegModel
from bench.network.numerics import outside_training, switches
from bench.parts import BenchError
from bench.protocol.modes import check_test, tested_precision
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting

MOST_SIZES = 8
"""The most sizes of input that graphs are made for. Each takes the time of a compiler and the memory of the weights."""


class ModeError(BenchError, RuntimeError):
    """A split that an execution mode cannot be tested on."""


class InMode(SegModel):
    """A network whose logits the recipe's mode computes, while eager torch computes its own beside them.

    Eager torch has the same weights and images, in float32, or in TF32 where the recipe trains in it.

    Args:
        model: the trained network, which stays as it is.
        dataset: the data, whose training images calibrate ``int8_static``.
        recipe: the recipe, which names the mode.

    Raises:
        ChoiceError: if the mode does not run on this device or in this environment.
    """

    def __init__(self, model: SegModel, dataset: Dataset, recipe: Recipe) -> None:
        device = next(model.parameters()).device
        check_test(recipe, device.type)
        super().__init__(model.variant, model.num_classes)
        self.load_state_dict(model.state_dict())
        self.to(device)
        self.dataset, self.recipe = dataset, recipe
        self.runs: dict[Hashable, Logits] = {}
        self.prepared_s = 0.0
        self.apart, self.compared_px = Deviation(0.0, 0.0, 0.0), 0
        if recipe.test_mode.startswith("compile"):
            torch.compiler.reset()  # the graphs of other networks in this process count against the limit of sizes

    def forward(self, image: Tensor, with_aux: bool | None = None) -> Output:
        """The logits of the mode, without side outputs.

        Raises:
            ModeError: for too many sizes of input, or logits that are not finite where those of eager torch are.
            PreparationError: for a network that the mode cannot prepare.
        """
        eager: Tensor = super().forward(image, with_aux=False).logits
        recipe, mode = self.recipe, self.recipe.test_mode
        precision = tested_precision(recipe)
        size: Hashable = None if mode == "eager" else tuple(image.shape)
        with switches(precision, outside_training(recipe.kernels), image.device):
            if size not in self.runs:
                if len(self.runs) == MOST_SIZES:
                    raise ModeError(
                        f"mode {mode!r} needs a graph for each size of input, and the images have more than "
                        f"{MOST_SIZES}; test by windows of one size, such as --protocol "
                        "window_px=512x512,window_stride_px=341x341"
                    )
                batch, _, height, width = image.shape
                setting = Setting(height=height, width=width, batch=batch, precision=precision, mode=mode)
                with torch.inference_mode(False), torch.no_grad():  # compilers take no tensors of inference mode
                    self.runs[size] = self._prepared(image.clone(), setting)
            logits = self.runs[size](image).float()
        if eager.isfinite().all() and not logits.isfinite().all():
            raise ModeError(
                f"mode {mode!r} computes logits in {precision} that are not finite where those of eager torch are; "
                "test in another precision"
            )
        self._compare(logits, eager)
        return Output(logits, {}, None)

    def measured(self) -> dict[str, Any]:
        """The difference of the logits from those of eager torch in all forwards, and the seconds of preparation."""
        return {"difference": asdict(self.apart), "prepared_s": self.prepared_s}

    def _prepared(self, image: Tensor, setting: Setting) -> Logits:
        """A copy of the network as the mode computes it, for images of this size."""
        device = image.device
        network = SegModel(self.variant, self.num_classes)
        network.load_state_dict(self.state_dict())
        if setting.mode == "cuda_graph":
            graph = Forward(network, setting, device)
            replay = captured(graph)

            def replayed(image: Tensor) -> Tensor:
                graph.image.copy_(image)
                logits = replay()
                assert isinstance(logits, Tensor)
                return logits

            return replayed
        if setting.mode == "eager":
            call: Any = Forward(network, setting, device)
        else:
            others = calibration_images(self.dataset, setting)[1:] if setting.precision == "int8_static" else []
            with preparing(f"mode {setting.mode!r}"):  # of a compiler whose cache cannot be written to, for example
                prepared = prepared_call(network, setting, device, [image, *others])
            self.prepared_s += prepared.prepared_s
            call = prepared.call
        if not isinstance(call, Forward):
            assert isinstance(call, partial)  # a function of the image, and the image
            return call.func
        forward = call

        def computed(image: Tensor) -> Tensor:
            forward.image = image
            return forward()

        return computed

    def _compare(self, logits: Tensor, eager: Tensor) -> None:
        apart, pixels = difference(logits, eager), eager[:, 0].numel()
        total = self.compared_px + pixels
        changed = (self.apart.changed * self.compared_px + apart.changed * pixels) / total
        largest = max(self.apart.largest, apart.largest)
        self.apart = Deviation(max(self.apart.max_abs, apart.max_abs), largest, changed)
        self.compared_px = total


def measured_in_mode(model: SegModel) -> dict[str, Any]:
    """The fields by which a record tells of a network that was tested in a mode."""
    assert isinstance(model, InMode)
    return model.measured()
