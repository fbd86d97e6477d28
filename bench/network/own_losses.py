"""The losses that a whole network of another library was published with, as terms that a study may vary.

A loss in this harness is a function of a network's output and the labels. So a network with losses of its own gives
what they read as side outputs, and the losses stand beside it in the variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.network.losses.matched_masks import MatchedMasksLoss
from bench.network.losses.query_text import QueryTextLoss
from bench.network.losses.segmentation import AuxiliaryLoss, SegmentationLoss
from bench.network.whole.config import HubConfig, hub_config_of, merged
from bench.network.whole.huggingface import HuggingFace
from bench.network.whole.without import Without
from bench.parts import ChoiceError, Part, part

POINTS = ("oneformer", "mask2former", "eomt", "eomt-dinov3")
"""The architectures whose masks are compared at sampled points."""

AUXILIARY = ("upernet", "dpt", "beit")
"""The architectures with an auxiliary head."""


def own_losses(network: Part[Any]) -> tuple[Part[Any], ...]:
    """The losses of a network: ``Variant(whole=network, losses=own_losses(network))``.

    Their weights are those of the network's configuration, where it has them.

    Args:
        network: a part of :class:`~bench.network.whole.huggingface.HuggingFace`, or of
            :class:`~bench.network.whole.without.Without` around one.

    Raises:
        ChoiceError: for another network.
        StateFileError: if the folder of its weights has no configuration.
    """
    if isinstance(network, Part) and network.cls is Without:
        return own_losses(network["network"])
    if not isinstance(network, Part) or network.cls is not HuggingFace:
        raise ChoiceError(
            f"own_losses({network!r}): expected a part of HuggingFace; give the losses of this one by hand"
        )
    choices = dict(network.choices)
    entries = dict(_config(choices).entries)
    architecture = choices["architecture"]
    if architecture in POINTS:
        masks = part(
            MatchedMasksLoss,
            class_weight=entries.get("class_weight", 2.0),
            mask_weight=entries.get("mask_weight", 5.0),
            dice_weight=entries.get("dice_weight", 5.0),
            no_object_weight=entries.get("no_object_weight", 0.1),
            points=entries.get("train_num_points", 12544),
            oversample_ratio=entries.get("oversample_ratio", 3.0),
            importance_sample_ratio=entries.get("importance_sample_ratio", 0.75),
        )
        if architecture == "oneformer" and entries.get("is_training", True):
            return masks, part(QueryTextLoss, weight=entries.get("contrastive_weight", 0.5))
        return (masks,)
    if architecture == "maskformer":
        return (
            part(
                MatchedMasksLoss,
                criterion="pixels",
                class_weight=entries.get("cross_entropy_weight", 1.0),
                mask_weight=entries.get("mask_weight", 20.0),
                dice_weight=entries.get("dice_weight", 1.0),
                no_object_weight=entries.get("no_object_weight", 0.1),
            ),
        )
    if architecture in AUXILIARY and entries.get("use_auxiliary_head", True):
        weight = entries.get("auxiliary_loss_weight", 0.4)
        return part(SegmentationLoss), part(AuxiliaryLoss, outputs=("auxiliary",), weight=weight)
    return (part(SegmentationLoss),)


def unread_entries(network: Part[Any] | None, losses: Sequence[Part[Any]]) -> list[str]:
    """The entries of a network's configuration that weigh its own losses, and that these losses do not have.

    Nothing but :func:`own_losses` reads such an entry, so that a study which varies it alone trains equal networks.

    Args:
        network: the part of the slot for whole networks.
        losses: the losses beside it.
    """
    if network is not None and network.cls is Without:
        return unread_entries(network["network"], losses)
    if network is None or network.cls is not HuggingFace or network["config"].of_file:
        return []
    config, own = network["config"], own_losses(network)
    given = {loss.cls: dict(loss.choices) for loss in losses}
    found = []
    for name, _ in config.entries:
        rest = replace(config, entries=tuple(entry for entry in config.entries if entry[0] != name))
        without = own_losses(network.having(config=rest))
        for with_it, by_default in zip(own, without, strict=False):
            weights = dict(with_it.choices)
            read = [choice for choice, value in weights.items() if dict(by_default.choices).get(choice) != value]
            if any(given.get(with_it.cls, {}).get(choice) != weights[choice] for choice in read):
                found.append(name)
    return found


def _config(choices: dict[str, Any]) -> HubConfig:
    config: HubConfig = choices["config"]
    folder = choices["weights"]
    return config if folder is None else merged(hub_config_of(folder), config)
