"""A backbone from timm, which can be any of its networks that returns features.

Shapes: image ``N 3 H W`` -> the levels of the network, most often C1 … C5 or C2 … C5, each ``N C h w``.

**Source**: Wightman, PyTorch Image Models, ``create_model(…, features_only=True)``.

**Departures**:
- Layers and initial weights are timm's, so only networks of this class share initial tensors with each other.
- An image is normalised again from the mean and deviation of ImageNet, with which it comes, to those that timm names
  for the network: 0.5 each for many vision transformers.
- An image whose size the last stride does not divide gets rows and columns of the mean colour below and on the right,
  and the features of what was added are cut off. Windows and patches then cover the whole image.
- The maps of a vision transformer are those of its last blocks, before its last normalisation.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.network.checkpoints.files import StateFileError
from bench.network.checkpoints.verified import check_weights_choice, verified_file
from bench.network.normalisation import renormalisation
from bench.parts import BenchError, ChoiceError, Count, Level, Levels

ANY_SIZE = ({"dynamic_img_size": True}, {"strict_img_size": False})
"""The choices by which networks of timm with a fixed size accept others: vision transformers, and Swin."""


class Timm(nn.Module):
    """A network of timm: image ``N 3 H W`` -> features from shallow to deep.

    Args:
        name: the name of the network in timm's list, with or without the tag of its weights. The tag also decides how
            images are normalised.
        output_stride: the stride of the last level; below 32, timm must be able to dilate the network.
        pretrained: ``True`` to fetch the weights that the tag names, by timm's own mechanism and without a checksum
            here. They are not fetched on the meta device.
        weights: the path or URL of a file of weights in timm's own names to start from, with the classifier that the
            tag describes; every tensor must fit. The weights of a vision transformer are fitted to ``patch_px``.
        weights_sha256: the checksum of that file.
        patch_px: the height and width of a vision transformer's patches, if not its own: 16 makes the stride of
            DINOv2, which has patches of 14 pixels, that of other networks.

    Raises:
        BenchError: if timm is not installed.
        ChoiceError: if timm does not have the network, or not with these choices, or if both kinds of weights are asked
            for.
        StateFileError: if the weights cannot be fetched, or is another one than the checksum says.
    """

    def __init__(
        self,
        *,
        name: str,
        output_stride: Literal[8, 16, 32] = 32,
        pretrained: bool = False,
        weights: str | None = None,
        weights_sha256: str | None = None,
        patch_px: Count | None = None,
    ) -> None:
        super().__init__()
        check_weights_choice("Timm", weights, weights_sha256)
        if pretrained and weights is not None:
            raise ChoiceError(f"Timm(pretrained=True, weights={weights!r}): choose one of the two, timm's or the file")
        timm = _timm()
        choices: dict[str, Any] = {"output_stride": output_stride} if output_stride < 32 else {}
        if patch_px is not None:
            choices["patch_size"] = patch_px
        with_values = torch.get_default_device().type != "meta"
        if weights is not None and weights_sha256 is not None and with_values:
            choices["pretrained_cfg_overlay"] = _only_from(verified_file(weights, weights_sha256))
        choices["pretrained"] = with_values and (pretrained or weights is not None)
        try:
            self.network: Any = _of_any_size(timm, name, choices)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise ChoiceError(
                f"Timm(name={name!r}, output_stride={output_stride}): {error}; choose a network that "
                "timm.list_models() names and that gives features, or output_stride=32; a file of weights must be that "
                "of the network and its tag"
            ) from error
        except OSError as error:  # Hugging Face's hub cannot be reached, or does not have the file
            raise StateFileError(
                f"Timm(name={name!r}, pretrained=True): the weights cannot be fetched: {str(error).rstrip('.')}; fetch "
                "them where there is a network, or choose weights='/path/to/file' with its weights_sha256"
            ) from error
        info = self.network.feature_info
        self.channels_last = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        self.out_levels: Levels = tuple(map(Level, info.channels(), info.reduction()))
        self.multiple_of = max(level.stride for level in self.out_levels)
        self.scale: Tensor | None
        self.shift: Tensor | None
        described = self.network.pretrained_cfg
        scale, shift = renormalisation(described["mean"], described["std"]) or (None, None)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        height, width = image.shape[-2:]
        below, right = -height % self.multiple_of, -width % self.multiple_of
        if below or right:
            image = functional.pad(image, (0, right, 0, below))  # 0 is the mean colour
        if self.scale is not None and self.shift is not None:
            image = image * self.scale + self.shift
        features: list[Tensor] = self.network(image)
        if self.channels_last:
            features = [x.permute(0, 3, 1, 2) for x in features]
        sizes = [level.size(height, width) for level in self.out_levels]
        return [x[..., :rows, :columns] for x, (rows, columns) in zip(features, sizes, strict=True)]


def _only_from(file: Path) -> dict[str, Any]:
    """The entries of timm's description by which it loads this file, and refuses one that does not fit wholly."""
    return {"file": str(file), "url": "", "hf_hub_id": None, "custom_load": False, "classifier": None}


def _of_any_size(timm: Any, name: str, choices: dict[str, Any]) -> Any:
    """The network of timm, made to accept images of any size where timm lets it."""
    described = timm.get_pretrained_cfg(name)
    for any_size in ANY_SIZE if described is not None and described.fixed_input_size else ():
        try:
            return timm.create_model(name, features_only=True, **choices, **any_size)
        except TypeError as error:
            if next(iter(any_size)) not in str(error):
                raise
    return timm.create_model(name, features_only=True, **choices)


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise BenchError(
            "the backbone Timm needs timm, which is not installed: pip install 'segbench[timm]'"
        ) from error
