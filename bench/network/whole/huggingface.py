"""A whole network of Hugging Face's transformers, with the semantic logits that its paper defines.

Shapes: image ``N 3 H W`` -> logits ``N K H W``; ``K`` classes.

**Source**: the classes of transformers that :mod:`bench.network.whole.families` names; that module's functions say what
they return.

**Departures**:
- An image is normalised again from the mean and deviation of ImageNet, with which it comes, to those of the network.
- An image whose size the network's strides, patches and windows do not divide gets rows and columns of the mean colour
  below and on the right, and the logits of what was added are cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bench.network.checkpoints.verified import check_weights_choice
from bench.network.normalisation import renormalisation
from bench.network.whole.backbones import prepare_backbone
from bench.network.whole.config import HubConfig, merged
from bench.network.whole.families import FAMILIES, Architecture
from bench.network.whole.frame import Frame
from bench.network.whole.hub import (
    built_config,
    check_weights,
    class_of,
    folder_config,
    loaded,
    random_network,
    refuse_mistakes,
    transformers,
)


class HuggingFace(nn.Module):
    """A network of transformers: image ``N 3 H W`` -> logits ``N K H W``, and side outputs for its own losses.

    Args:
        num_classes: the number of classes.
        architecture: the network.
        config: the entries of its configuration that differ from transformers' own, or from those of ``weights``.
        weights: a folder in the hub's form, with ``config.json`` and ``model.safetensors``. Every tensor must fit, but
            for a classifier of another number of classes, whose weights stay random.
        weights_sha256: the checksum of these two files, one after the other:
            ``cat FOLDER/config.json FOLDER/model.safetensors | sha256sum``. Of weights in several files, their index
            comes second, and then they follow in order.

    Raises:
        BenchError: if transformers is not installed, or lacks the network.
        ChoiceError: if the network has no such entry, or not with this value.
        StateFileError: if the weights cannot be read, are others than the checksum says, or do not fit.
    """

    has_side_outputs = True

    def __init__(
        self,
        num_classes: int,
        *,
        architecture: Architecture,
        config: HubConfig = HubConfig(),  # noqa: B008 - it is frozen
        weights: str | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        super().__init__()
        check_weights_choice("HuggingFace", weights, weights_sha256)
        library = transformers()
        self.family = FAMILIES[architecture]
        refuse_mistakes(library, self.family, config)
        given = config if weights is None else merged(folder_config(weights), config)
        made = built_config(library, self.family, given, num_classes)
        cls = class_of(library, self.family.network)
        with_values = torch.get_default_device().type != "meta"
        if weights is not None and weights_sha256 is not None and with_values:
            self.network: Any = loaded(cls, made, weights, weights_sha256, self.family.classifiers)
        else:
            if weights is not None and weights_sha256 is not None:
                check_weights(cls, made, weights, weights_sha256, self.family.classifiers)
            self.network = random_network(cls, made)
        self.family.prepare(self.network)
        if self.family.has_backbone:
            prepare_backbone(self.network)
        self.multiple_px = self.family.multiple_px(made)
        self.scale: Tensor | None
        self.shift: Tensor | None
        scale, shift = renormalisation(self.family.mean, self.family.std) or (None, None)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    @property
    def inner(self) -> nn.Module:
        """The layers of the encoder in order, for rates that fall from layer to layer; all else is one layer more.

        They are its patches, its blocks and what merges patches between stages.
        """
        return nn.ModuleList(_layers(self.family.encoder(self.network)))

    def forward(self, image: Tensor, *, with_aux: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The logits; with ``with_aux`` also the side outputs, by name."""
        frame = Frame(image.shape[-2], image.shape[-1], self.multiple_px)
        image = frame.padded(image)
        if self.scale is not None and self.shift is not None:
            image = image * self.scale + self.shift
        logits, sides = self.family.run(self.network, image, frame, with_aux=with_aux)
        return (logits, sides) if with_aux else logits


def _layers(modules: Iterable[nn.Module], *, in_list: bool = False) -> Iterator[nn.Module]:
    """Modules, and in place of one that holds a list of blocks, such as a stage, what it holds; norms are left out.

    A list of norms and convolutions, such as ConvNeXt's mergers, is one layer. A block is one, whatever it holds.

    Args:
        modules: the modules.
        in_list: True for the elements of a list: those that hold no list themselves are blocks.
    """
    for module in modules:
        parts = list(module.children())
        is_list = isinstance(module, nn.ModuleList)
        is_merger = is_list and not any(list(part.children()) for part in parts)
        has_list = any(isinstance(part, nn.ModuleList) for part in (parts if in_list else module.modules()))
        if not is_merger and (is_list or has_list):
            yield from _layers(parts, in_list=is_list)
        elif in_list and (blocks := [part for part in parts if _is_sequence_of_blocks(part)]):
            for part in parts:
                yield from part.children() if part in blocks else [part]
        elif any(parameter.ndim > 1 for parameter in module.parameters()):
            yield Merger(module) if is_merger else module


class Merger(nn.Module):
    """The norm and the convolution of a list as one module, whose parameters are those of one layer."""

    def __init__(self, parts: nn.Module) -> None:
        super().__init__()
        self.parts = parts


def _is_sequence_of_blocks(module: nn.Module) -> bool:
    """True for what holds the blocks of a stage of transformers' ResNet."""
    return isinstance(module, nn.Sequential) and all(list(block.children()) for block in module.children())
