"""OneFormer of transformers on semantic segmentation: the task and the texts that it reads beside an image.

**Source**: Jain et al. 2023, "OneFormer", sections 3.1 to 3.3; ``OneFormerForUniversalSegmentation`` of Hugging Face's
transformers.

**Departures**:
- The task is always "the task is semantic", in the tokens of CLIP's vocabulary.
- The texts of an image are made of those of its classes. All classes' texts are encoded once a batch, and
  :class:`~bench.network.losses.query_text.QueryTextLoss` puts together each image's own, in place of encoding a text
  for each query of each image. The numbers are the same.
- The dropout of the pixel decoder is off in evaluation. In transformers ``is_training`` in the configuration, which an
  encoder of texts needs, keeps it on there, so that each evaluation gives other numbers.
- A network is not told the names of the classes, so the text of a class is "a photo with a" and a word of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.network.whole.frame import Frame
from bench.network.whole.queries import Answer, answered, layers_of

TASK = (49406, 518, 10549, 533, 29119, 1550, 49407)
"""The tokens of "the task is semantic" in CLIP's vocabulary, with its start and its end."""

A_PHOTO_WITH_A = (320, 1125, 593, 320)
A_SEMANTIC_PHOTO = (320, 29119, 1550, 1125)
FIRST_WORD = 1000
"""The word of the first class; those of the others follow."""


def prepare(network: Any) -> None:
    """Give a network the task that it reads, and the texts of all classes where it has an encoder of texts."""
    config = network.config
    task = torch.tensor([*TASK, *[0] * config.task_seq_len])[: config.task_seq_len]
    network.register_buffer("task_inputs", task[None].float(), persistent=False)
    network.model.is_training = False  # else its forward would want the texts of each image
    if network.model.text_mapper is not None:
        texts = _texts(config.num_labels, config.text_encoder_vocab_size, config.text_encoder_context_length)
        network.register_buffer("text_inputs", texts[None], persistent=False)


def oneformer(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    """See :func:`~bench.network.whole.queries.answered`; there are also the side outputs of the contrast with texts.

    These are ``queries`` ``N Q D``, ``texts`` ``N K+1 D`` of each class and of no class, ``context`` ``N C D``, and
    ``temperature`` ``N``, the logarithm of the factor of similarities.
    """
    for module in network.model.pixel_level_module.modules():
        if hasattr(module, "is_training"):
            module.is_training = network.training
    output = network(image, task_inputs=network.task_inputs.expand(len(image), -1))
    earlier = output.transformer_decoder_auxiliary_predictions if with_aux else ()
    scores, sides = answered(layers_of(output, earlier), frame, with_aux=with_aux)
    if with_aux and network.model.text_mapper is not None:
        texts = network.model.text_mapper(network.text_inputs).expand(len(image), -1, -1)
        count = network.config.num_labels + 1
        sides["queries"] = output.transformer_decoder_contrastive_queries
        sides["texts"], sides["context"] = texts[:, :count], texts[:, count:]
        sides["temperature"] = network.criterion.logit_scale.expand(len(image))
    return scores, sides


def _texts(num_classes: int, vocabulary: int, length: int) -> Tensor:
    """The tokens of the text of each class, and of an image's other queries, ``K+1 L``.

    The start and the end have the last two numbers of the vocabulary, as in CLIP's; a smaller one has fewer words.
    """
    texts = [(*A_PHOTO_WITH_A, FIRST_WORD + index) for index in range(num_classes)] + [A_SEMANTIC_PHOTO]
    rows = [[vocabulary - 2, *(word % (vocabulary - 2) for word in text), vocabulary - 1] for text in texts]
    return torch.tensor([[*row, *[0] * length][:length] for row in rows])
