"""A backbone from timm, which can be any of its networks that returns features.

Shapes: image ``N 3 H W`` -> the levels of the network, most often C1 … C5 or C2 … C5, each ``N C h w``.

**Source**: Wightman, PyTorch Image Models, ``create_model(…, features_only=True)``.

**Departures**:
- Layers and initial weights are timm's, so only networks of this class share initial tensors with each other.
- An image is normalised again from the mean and deviation of ImageNet, with which it comes, to those that timm names
  for the network: 0.5 each for many vision transformers.
- An image whose size the last stride does not divide gets rows and columns of the mean colour below and on the right,
  and the features of what was added are cut off. Windows and patches then cover the whole image. A network whose map
  windows must divide, such as MaxViT, sees an image that they divide; one that timm makes for one size alone, such as
  MLP-Mixer, sees an image of that size. What was added is computed, and counted.
- The maps of a vision transformer are those of its last blocks, before its last normalisation.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.network.checkpoints.files import StateFileError
from bench.network.checkpoints.verified import check_weights_choice, verified_file
from bench.network.normalisation import renormalisation
from bench.network.raised import raised_in
from bench.parts import BenchError, ChoiceError, Count, Level, Levels

ANY_SIZE = ({"dynamic_img_size": True}, {"strict_img_size": False})
"""The choices by which networks of timm with a fixed size accept others: vision transformers, and Swin."""

OF_ANY_SIZE = (
    "byobnet", "crossvit", "efficientvit_msra", "mvitv2", "sequencer", "swiftformer", "twins", "vision_transformer_sam",
    "xcit",
)  # fmt: skip
"""The modules of timm whose networks accept other sizes without such a choice, though they are described as fixed."""

WINDOWS = {"maxxvit": "partition_size", "halo_attn": "block_size", "non_local_attn": "block_size"}
"""Module of timm -> the attribute of its layers that holds the height and width of windows, which divide their map."""


CHOICES_OF_SOME = {"output_stride": "output_stride", "patch_size": "patch_px", "img_size": "image_px"}
"""The keywords of timm that only some of its networks have -> the choice that gives it."""


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
        image_px: the height and width of the images that a network is made for, if not its own. A network for one size
            alone takes no larger ones; timm fits weights to it.

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
        image_px: tuple[Count, Count] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        check_weights_choice("Timm", weights, weights_sha256)
        if pretrained and weights is not None:
            raise ChoiceError(f"Timm(pretrained=True, weights={weights!r}): choose one of the two, timm's or the file")
        timm = _timm()
        choices: dict[str, Any] = {"output_stride": output_stride} if output_stride < 32 else {}
        if patch_px is not None:
            choices["patch_size"] = patch_px
        if image_px is not None:
            choices["img_size"] = image_px
        with_values = torch.get_default_device().type != "meta"
        if weights is not None and weights_sha256 is not None and with_values:
            choices["pretrained_cfg_overlay"] = _only_from(verified_file(weights, weights_sha256))
        choices["pretrained"] = with_values and (pretrained or weights is not None)
        try:
            network, only_px = _made(timm, name, choices)
        except (RuntimeError, TypeError, AssertionError) as error:
            for keyword, choice in CHOICES_OF_SOME.items():
                if f"unexpected keyword argument {keyword!r}" in str(error):
                    raise ChoiceError(
                        f"Timm(name={name!r}): timm cannot change the {keyword} of this network; leave out {choice}"
                    ) from error
            raise ChoiceError(
                f"Timm(name={name!r}, output_stride={output_stride}): {error}{raised_in(error)}; choose a network that "
                "timm.list_models() names and that gives features, or output_stride=32; a file of weights must be that "
                "of the network and its tag"
            ) from error
        except OSError as error:  # Hugging Face's hub cannot be reached, or does not have the file
            raise StateFileError(
                f"Timm(name={name!r}, pretrained=True): the weights cannot be fetched: {str(error).rstrip('.')}; fetch "
                "them where there is a network, or choose weights='/path/to/file' with its weights_sha256"
            ) from error
        self.network: Any = network
        self.only_px = only_px
        info = network.feature_info
        self.channels_last = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        self.out_levels: Levels = tuple(map(Level, info.channels(), info.reduction()))
        stride = max(level.stride for level in self.out_levels)
        rows, columns = _windows_px(network)
        self.multiple_px = (stride * rows, stride * columns)
        self.scale: Tensor | None
        self.shift: Tensor | None
        described = self.network.pretrained_cfg
        scale, shift = renormalisation(described["mean"], described["std"]) or (None, None)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        height, width = image.shape[-2:]
        rows, columns = self.seen_px(height, width)
        if (rows, columns) != (height, width):
            image = functional.pad(image, (0, columns - width, 0, rows - height))  # 0 is the mean colour
        if self.scale is not None and self.shift is not None:
            image = image * self.scale + self.shift
        features: list[Tensor] = self.network(image)
        if self.channels_last:
            features = [x.permute(0, 3, 1, 2) for x in features]
        sizes = [level.size(height, width) for level in self.out_levels]
        return [x[..., :rows, :columns] for x, (rows, columns) in zip(features, sizes, strict=True)]

    def seen_px(self, height: int, width: int) -> tuple[int, int]:
        """The height and the width of what the network sees of an image of this size.

        Raises:
            ChoiceError: if the network is made for one size alone, and the image is larger.
        """
        by_rows, by_columns = self.multiple_px
        rows, columns = height + -height % by_rows, width + -width % by_columns
        if self.only_px is None:
            return rows, columns
        if height > self.only_px[0] or width > self.only_px[1]:
            raise ChoiceError(
                f"Timm(name={self.name!r}) is made for images of {self.only_px[0]}x{self.only_px[1]} pixels, got "
                f"{height}x{width}; choose image_px=({rows}, {columns}), or the size of the largest image"
            )
        return self.only_px


def _only_from(file: Path) -> dict[str, Any]:
    """The entries of timm's description by which it loads this file, and refuses one that does not fit wholly."""
    return {"file": str(file), "url": "", "hf_hub_id": None, "custom_load": False, "classifier": None}


def _made(timm: Any, name: str, choices: dict[str, Any]) -> tuple[Any, tuple[int, int] | None]:
    """The network of timm, and the one size of images that it accepts; ``None`` if it accepts any."""
    described = timm.get_pretrained_cfg(name)
    is_fixed = described is not None and described.fixed_input_size
    for any_size in ANY_SIZE if is_fixed else ():
        try:
            return timm.create_model(name, features_only=True, **choices, **any_size), None
        except TypeError as error:
            if next(iter(any_size)) not in str(error):
                raise
    network = timm.create_model(name, features_only=True, **choices)
    if not is_fixed or _windows_px(network) != (1, 1):
        return network, None
    if _module_of(timm.model_entrypoint(name.partition(".")[0])) in OF_ANY_SIZE:
        return network, None
    height, width = choices.get("img_size", described.input_size[1:])
    return network, (height, width)


def _windows_px(network: nn.Module) -> tuple[int, int]:
    """The least height and width of a map that the windows of all layers of a network divide."""
    sizes = [
        getattr(layer, attribute, 1)
        for layer in network.modules()
        if (attribute := WINDOWS.get(_module_of(type(layer)))) is not None
    ]
    pairs = [(size, size) if isinstance(size, int) else tuple(size) for size in sizes]
    return math.lcm(*(rows for rows, _ in pairs)), math.lcm(*(columns for _, columns in pairs))


def _module_of(thing: Any) -> str:
    """The last name of the module that defines a class or a function."""
    return str(thing.__module__).rpartition(".")[2]


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise BenchError(
            "the backbone Timm needs timm, which is not installed: pip install 'segbench[timm]'"
        ) from error
