"""Networks that predict masks and their classes by queries: MaskFormer, Mask2Former, OneFormer, EoMT.

Shapes: masks ``N Q h w`` and classes ``N Q K+1`` of ``Q`` queries, as logits; the last class is "no object". Scores
``N K H W``.

**Source**: Cheng et al. 2021, MaskFormer, section 3.4 (semantic inference); Cheng et al. 2022, Mask2Former; Jain et al.
2023, OneFormer; Kerssies et al. 2025, EoMT; their implementations in Hugging Face's transformers.

**Departures**:
- The scores of a pixel, which are sums over queries, are given as logarithms. The largest is the same, and a softmax
  makes probabilities of them: each class's share of the sum.
- In training, where the losses read masks and classes, the scores are computed at the masks' size and without a
  gradient. In evaluation the masks are brought to the image's size first, as the papers' repositories do.
- No layer of Mask2Former's decoder is ever left out in training, as in its authors' code. transformers takes
  ``dropout`` for the chance of that too; the masks of the layer before then have the size of another level, and the
  next layer fails.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.network.whole.frame import Frame

Queries = tuple[Tensor, Tensor]
"""Masks ``N Q h w`` and classes ``N Q K+1`` of all queries after one layer."""

Answer = tuple[Tensor, dict[str, Tensor]]
"""Logits ``N K H W`` at the image's size, and side outputs by name."""


def answered(layers: list[Queries], frame: Frame, *, with_aux: bool) -> Answer:
    """The scores of the last layer and, with ``with_aux``, the queries of all layers as side outputs.

    These are ``masks`` and ``classes`` of the last layer, and ``masks0``, ``classes0`` and so on of those before.
    """
    masks, classes = layers[-1]
    if not with_aux:
        return semantic_scores(frame.image_sized(masks), classes), {}
    with torch.no_grad():
        scores = frame.image_sized(semantic_scores(masks, classes))
    sides = {"masks": _of_image(masks, frame), "classes": classes}
    for index, (earlier_masks, earlier_classes) in enumerate(layers[:-1]):
        sides[f"masks{index}"], sides[f"classes{index}"] = _of_image(earlier_masks, frame), earlier_classes
    return scores, sides


def semantic_scores(masks: Tensor, classes: Tensor) -> Tensor:
    """The logarithm of the sum over queries of class probability times mask probability, ``N K h w``."""
    scores = torch.einsum("nqk,nqhw->nkhw", classes.softmax(-1)[..., :-1], masks.sigmoid())
    return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()


def _of_image(masks: Tensor, frame: Frame) -> Tensor:
    """Masks that show the image alone, whose pixels a loss finds by their place in it; at their own size if they do."""
    return masks if frame.is_image else frame.image_sized(masks)


def prepare_mask2former(network: Any) -> None:
    """Let a network drop out values alone in training, not layers."""
    network.model.transformer_module.decoder.layerdrop = 0.0


def mask2former(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    # Without use_auxiliary_loss, transformers 5.24 reads states of layers that it keeps only if it is asked for them.
    output = network(image, output_auxiliary_logits=with_aux, output_hidden_states=True)
    earlier = output.auxiliary_logits if network.config.use_auxiliary_loss else ()
    return answered(layers_of(output, earlier), frame, with_aux=with_aux)


def maskformer(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    every_layer = bool(network.config.use_auxiliary_loss)  # transformers 5.24 then needs the hidden states, and says no
    output = network(image, output_auxiliary_logits=with_aux, output_hidden_states=every_layer)
    return answered(layers_of(output, output.auxiliary_logits), frame, with_aux=with_aux)


def layers_of(output: Any, earlier: Any) -> list[Queries]:
    """The queries of the layers before the last, as transformers gives them, and of the last."""
    layers = [(layer["masks_queries_logits"], layer["class_queries_logits"]) for layer in earlier or ()]
    return [*layers, (output.masks_queries_logits, output.class_queries_logits)]
