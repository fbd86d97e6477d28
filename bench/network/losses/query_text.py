"""OneFormer's contrast between the queries of an image and the texts of its classes.

**Source**: Jain et al. 2023, "OneFormer", section 3.3, equation 2; ``OneFormerLoss.loss_contrastive`` of Hugging Face's
transformers.

A batch that is all void has a loss of 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.network.layers import WiringError
from bench.network.losses.segmentation import class_counts
from bench.network.model import Output
from bench.parts import NonNegative

READ = ("queries", "texts", "context", "temperature")
LARGEST_FACTOR = 100
"""The largest factor of similarities: OneFormer, criterion.py, ``loss_contrastive``."""


class QueryTextLoss(nn.Module):
    """The mean cross-entropy of finding an image's texts among those of the batch, and a text's image likewise.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term; OneFormer has 0.5.
    """

    def __init__(self, num_classes: int, *, weight: NonNegative = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.weight = weight

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """The weighted term.

        Raises:
            WiringError: if the network lacks one of the side outputs that :data:`READ` names.
        """
        if missing := [name for name in READ if name not in output.aux]:
            raise WiringError(
                f"QueryTextLoss reads the side output {missing[0]!r}, but the network gave "
                f"{sorted(output.aux) or 'none'}; take part(HuggingFace, architecture='oneformer') with "
                "is_training=True in its config, or leave this loss out"
            )
        queries, texts, context = (output.aux[name].float() for name in READ[:3])
        present = class_counts(label, self.num_classes) > 0
        chosen = self._texts_of(present, queries.shape[1] - context.shape[1])
        own = texts.gather(1, chosen[..., None].expand(-1, -1, texts.shape[2]))
        with torch.autocast(label.device.type, enabled=False):  # similarities are products of thousands of terms
            images = F.normalize(queries.flatten(1), dim=-1)
            words = F.normalize(torch.cat([own, context], 1).flatten(1), dim=-1)
            factor = output.aux["temperature"].float().mean().exp().clamp(max=LARGEST_FACTOR)
            similar = factor * words @ images.T
            target = torch.arange(len(label), device=label.device)
            term = F.cross_entropy(similar, target) + F.cross_entropy(similar.T, target)
        return self.weight * term * present.any()

    def _texts_of(self, present: Tensor, count: int) -> Tensor:
        """The numbers of ``count`` texts for each image, ``N count``: its classes, and then that of no class."""
        none = self.num_classes
        numbers = torch.arange(none, device=present.device).expand_as(present)
        found = numbers.where(present, torch.full_like(numbers, none)).sort(1).values
        return F.pad(found, (0, max(0, count - none)), value=none)[:, :count]
