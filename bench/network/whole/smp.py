"""A whole network of segmentation_models_pytorch: an encoder and a decoder by their names.

Shapes: image ``N 3 H W`` -> logits ``N K H W``; ``K`` classes.

**Source**: Iakubovskii, Segmentation Models PyTorch, ``create_model``.

**Departures**:
- An image whose size the encoder's stride does not divide gets rows and columns of the mean colour below and on the
  right, and the logits of what was added are cut off. The library refuses such an image. So does an image that is too
  small for PAN, which halves the last map three times.
- Weights are random, or those of a file: the library's own are fetched from the hub without a checksum.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.network.checkpoints.files import StateFileError, misfit, read_state
from bench.network.checkpoints.verified import check_weights_choice, verified_file
from bench.network.raised import raised_in
from bench.network.whole.frame import Frame
from bench.network.whole.hub import in_one_line
from bench.parts import BenchError, ChoiceError, nearest

REFUSED = {
    "classes": "the data decide it by their classes",
    "in_channels": "images have three channels",
    "activation": "the losses and the tests take logits",
    "aux_params": "the network gives logits alone",
    "encoder_name": "it is SMP's encoder",
    "encoder_weights": "they are SMP's weights",
}
"""Keywords of the library that are no options here -> the reason."""


HALVED_IN_PAN = 2**3
"""The least height and width of the map that PAN's decoder halves three times."""


class SMP(nn.Module):
    """A network of segmentation_models_pytorch: image ``N 3 H W`` -> logits ``N K H W``.

    Args:
        num_classes: the number of classes.
        architecture: the decoder, by the library's name of the whole.
        encoder: the encoder, by its name in the library; ``tu-`` and a name of timm for those of timm.
        options: the other keywords of the architecture, as pairs: ``(("decoder_channels", (64, 32, 16, 8, 4)),)``.
        weights: the path or URL of a state dict of the whole network; every tensor must fit.
        weights_sha256: the checksum of that file.

    Raises:
        BenchError: if the library is not installed.
        ChoiceError: if the library does not have this network.
        StateFileError: if the weights cannot be read, are others than the checksum says, or do not fit.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        architecture: Literal[
            "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN",
            "UPerNet", "Segformer", "DPT",
        ] = "Unet",
        encoder: str = "resnet34",
        options: tuple[tuple[str, Any], ...] = (),
        weights: str | None = None,
        weights_sha256: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        check_weights_choice("SMP", weights, weights_sha256)
        library = _library()
        known = inspect.signature(getattr(library, architecture)).parameters
        for name, _ in options:
            if name in REFUSED:
                raise ChoiceError(f"SMP has no option {name!r}: {REFUSED[name]}, so leave it out")
        for name, _ in options:  # keywords that the architecture does not have are for timm, and else ignored
            if name not in known and not encoder.startswith("tu-"):
                raise ChoiceError(f"SMP(architecture={architecture!r}) has no option {name!r}{nearest(name, known)}")
        try:
            self.network: Any = library.create_model(
                architecture, encoder, encoder_weights=None, classes=num_classes, **dict(options)
            )
        except Exception as error:  # the library raises whatever its own code meets in an option
            if torch.get_default_device().type == "meta":
                raise  # an encoder may read values as it is built: it is built again with them, or raises again
            raise ChoiceError(
                f"SMP(architecture={architecture!r}, encoder={encoder!r}): {type(error).__name__}: {in_one_line(error)}"
                f"{raised_in(error)}; choose an "
                "encoder that segmentation_models_pytorch.encoders.get_encoder_names() names, and options that its "
                "architecture has"
            ) from error
        stride = int(getattr(self.network.encoder, "output_stride", 32))
        self.multiple_px = max(32, stride) if self.network.requires_divisible_input_shape else 1
        self.least_px = HALVED_IN_PAN * stride if architecture == "PAN" else 1
        if weights is not None and weights_sha256 is not None:
            _fill(self.network, weights, weights_sha256)

    @property
    def inner(self) -> nn.Module:
        """The encoder, for rates that fall from layer to layer; all else is one layer more."""
        encoder: nn.Module = self.network.encoder
        return encoder

    def forward(self, image: Tensor) -> Tensor:
        frame = Frame(image.shape[-2], image.shape[-1], self.multiple_px, self.least_px)
        return frame.image_sized(self.network(frame.padded(image)))


def _fill(network: nn.Module, source: str, sha256: str) -> None:
    """Copy a state dict into a network, completely or not at all.

    A network on the meta device has nothing to fill. There a file is only compared, and one with a URL is not fetched.
    """
    own = network.state_dict()
    on_meta = any(tensor.is_meta for tensor in own.values())
    if on_meta and "://" in source:
        return
    with torch.device("cpu"):
        state = read_state(verified_file(source, sha256), source)
    problems = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape),
    }
    if any(problems.values()):
        raise StateFileError(f"{source} does not fit {type(network).__name__}{misfit(problems)}")
    if not on_meta:
        network.load_state_dict(state)


def _library() -> Any:
    try:
        return importlib.import_module("segmentation_models_pytorch")
    except ImportError as error:
        raise BenchError(
            "the network SMP needs segmentation_models_pytorch, which is not installed: pip install 'segbench[smp]'"
        ) from error
