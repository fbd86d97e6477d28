"""EoMT of transformers, of DINOv2 and of DINOv3: the queries of all blocks that have masks, and images of any size.

**Source**: Kerssies et al. 2025, "Your ViT is Secretly an Image Segmentation Model";
``EomtForUniversalSegmentation`` and ``EomtDinov3ForUniversalSegmentation`` of Hugging Face's transformers.

**Departures**:
- The size of the patches' grid is that of the image. Learnt positions are resized to it, as timm does for vision
  transformers; transformers takes images of one square size alone. At that size, nothing differs.
- Masks are not annealed in training: the probability that a block masks its attention stays that of the weights, and 1
  without weights, in training and in evaluation.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor

from bench.network.layers import resize
from bench.network.whole.frame import Frame
from bench.network.whole.queries import Answer, Queries, answered
from bench.parts import ChoiceError


def prepare(network: Any) -> None:
    """Have a network keep the queries of each block, and take images of any size.

    Raises:
        ChoiceError: if more blocks read queries than there are.
    """
    blocks, layers = network.config.num_blocks, network.config.num_hidden_layers
    if blocks > layers:
        raise ChoiceError(
            f"{type(network.config).__name__}(num_blocks={blocks}): expected at most {layers}, its layers"
        )
    network.predictions = []
    network.predict = MethodType(_predict, network)
    if hasattr(network.embeddings, "position_embeddings"):
        network.embeddings.forward = MethodType(_embed, network.embeddings)


def eomt(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    patch = network.config.patch_size
    network.grid_size = (image.shape[2] // patch, image.shape[3] // patch)
    network.predictions = []
    network(image)
    layers, network.predictions = network.predictions, []  # nothing keeps the graph of a batch that is over
    return answered(layers, frame, with_aux=with_aux)


def _predict(self: Any, tokens: Tensor) -> Queries:
    """The network's own prediction after one block, which is kept."""
    masks, classes = type(self).predict(self, tokens)
    self.predictions.append((masks, classes))
    return masks, classes


def _embed(self: Any, image: Tensor) -> Tensor:
    """The network's own embedding of an image, with positions that are resized to the grid of its patches."""
    patches: Tensor = self.patch_embeddings.projection(image)
    positions = self.position_embeddings.weight
    side = round(len(positions) ** 0.5)
    if tuple(patches.shape[2:]) == (side, side):
        embedded: Tensor = type(self).forward(self, image)
        return embedded
    grid = positions.T.reshape(1, -1, side, side)
    tokens = (patches + resize(grid, patches.shape[2:], False)).flatten(2).transpose(1, 2)
    first = [token.expand(len(image), -1, -1) for token in (self.cls_token, self.register_tokens)]
    dropped: Tensor = self.dropout(torch.cat([*first, tokens], 1))
    return dropped
