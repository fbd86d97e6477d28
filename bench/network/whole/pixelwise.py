"""Networks of transformers that classify each pixel: SegFormer, UPerNet, DPT and BEiT.

**Source**: Xie et al. 2021, SegFormer; Xiao et al. 2018, UPerNet; Ranftl et al. 2021, DPT; Bao et al. 2022, BEiT (with
UPerNet's head); their implementations in Hugging Face's transformers.

**Departures**:
- The auxiliary head, whose logits are the side output ``auxiliary``, runs in training alone. In transformers it runs in
  evaluation too, and its output is thrown away. So the parts of these networks are called here one by one.
- DPT and BEiT take images of any size: transformers' DPT takes square ones alone.

BEiT's head reads states as transformers counts them: ``out_indices`` of 3 is the state after two blocks. In the paper's
repository it is the one after four, so that with its numbers, 3, 5, 7 and 11, transformers' last two blocks run for
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from bench.network.whole.frame import Frame
from bench.network.whole.queries import Answer
from bench.parts import ChoiceError


def prepare_segformer(network: Any) -> None:
    """Refuse a SegFormer whose last stage is no map, of which transformers' head makes one of the wrong sides.

    Raises:
        ChoiceError: for such a network.
    """
    if not network.config.reshape_last_stage:
        raise ChoiceError(
            "SegformerConfig(reshape_last_stage=False): the head reads the last stage as a map; leave it out"
        )


def segformer(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    return frame.image_sized(network(image).logits), {}


def prepare_upernet(network: Any) -> None:
    """Refuse an auxiliary head without convolutions whose classifier has other channels than the map that it reads.

    Raises:
        ChoiceError: for such a head.
    """
    head = network.auxiliary_head
    if head is not None and head.num_convs == 0 and head.channels != head.in_channels:
        raise ChoiceError(
            f"UperNetConfig(auxiliary_num_convs=0): the auxiliary head then reads a map of {head.in_channels} "
            f"channels, but auxiliary_channels is {head.channels}; choose auxiliary_channels={head.in_channels}"
        )


def upernet(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    maps = network.backbone.forward_with_filtered_kwargs(image).feature_maps
    logits = frame.image_sized(network.decode_head(maps))
    return logits, _auxiliary(network, maps, frame, with_aux=with_aux)


def dpt(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    config, patch = network.config, network.config.patch_size
    seen = network.dpt(image, output_hidden_states=True)
    blocks = seen.hidden_states[1:]  # the first is the embedding
    indices = sorted(config.backbone_out_indices[2:] if config.is_hybrid else config.backbone_out_indices)
    first = list(seen.intermediate_activations) if config.is_hybrid else []
    maps = network.neck(
        [*first, *(blocks[index] for index in indices)], image.shape[2] // patch, image.shape[3] // patch
    )
    logits = frame.image_sized(network.head(maps))
    return logits, _auxiliary(network, maps[-1], frame, with_aux=with_aux)


def beit(network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer:
    patch, own = network.config.patch_size, network.config.image_size
    rows, columns = image.shape[2] // patch, image.shape[3] // patch
    is_own_size = tuple(image.shape[2:]) == (own, own)
    seen = network.beit(image, interpolate_pos_encoding=not is_own_size, output_hidden_states=True).hidden_states
    # As in transformers: the indices count from 1, the first state is the embedding, and the first token is no patch.
    states = (seen[index - 1][:, 1:] for index in network.config.out_indices)
    maps = network.fpn(tuple(state.transpose(1, 2).unflatten(2, (rows, columns)) for state in states))
    logits = frame.image_sized(network.decode_head(maps))
    return logits, _auxiliary(network, maps, frame, with_aux=with_aux)


def check_dpt(network: Any) -> None:
    """Refuse blocks that are not there.

    Raises:
        ChoiceError: for such a block.
    """
    indices = network.config.backbone_out_indices
    _check(
        "backbone_out_indices",
        indices[2:] if network.config.is_hybrid else indices,
        0,
        network.config.num_hidden_layers - 1,
    )


def prepare_beit(network: Any) -> None:
    """Refuse states that transformers would take for others: of 0, and of numbers below, it reads one from the end.

    Its relative positions, which transformers keeps for all networks, are kept by device, and so that they can be
    trained with although a forward in inference mode made them.

    Raises:
        ChoiceError: for such a state.
    """
    _check("out_indices", network.config.out_indices, 1, network.config.num_hidden_layers)
    for module in network.modules():
        if (own := getattr(type(module), "generate_relative_position_index", None)) is not None:
            module.generate_relative_position_index = partial(_positions, getattr(own, "__wrapped__", own))


def _positions(make: Callable[[tuple[int, int]], Tensor], window: tuple[int, int]) -> Tensor:
    """The relative positions of the patches of a window, ``1+n 1+n``."""
    return make(window) if torch.compiler.is_compiling() else _kept(make, window, str(torch.get_default_device()))


@lru_cache(maxsize=10)
def _kept(make: Callable[[tuple[int, int]], Tensor], window: tuple[int, int], device: str) -> Tensor:
    with torch.inference_mode(False):
        return make(window)


def _check(name: str, indices: Sequence[int], first: int, last: int) -> None:
    if len(set(indices)) < len(indices) or not all(first <= index <= last for index in indices):
        raise ChoiceError(f"{name}={tuple(indices)}: expected different whole numbers from {first} to {last}")


def _auxiliary(network: Any, maps: Tensor | Sequence[Tensor], frame: Frame, *, with_aux: bool) -> dict[str, Tensor]:
    """The logits of the auxiliary head, if the network has one and they are wanted."""
    if not with_aux or network.auxiliary_head is None:
        return {}
    return {"auxiliary": frame.image_sized(network.auxiliary_head(maps))}


def quarters(layers: int) -> list[int]:
    """The last block of each quarter of a transformer: DPT's for 12 blocks are 2, 5, 8 and 11."""
    return [max(0, layers * quarter // 4 - 1) for quarter in (1, 2, 3, 4)]


def beit_blocks(layers: int) -> list[int]:
    """The states that BEiT's head reads: 3, 5, 7 and 11 of 12 blocks (unilm, beit/semantic_segmentation/configs)."""
    states = [layers * sixths // 6 - 1 for sixths in (2, 3, 4, 6)]
    return states if states[0] > 0 else [layers * quarter // 4 for quarter in (1, 2, 3, 4)]
