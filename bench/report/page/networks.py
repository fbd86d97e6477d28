"""The networks of a study in sentences: components, losses, initial weights, and what each level changes in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.records.plan.audit import Audit, Described, Facts, Slot, as_part
from bench.records.results import Results
from bench.study.audit import differences, in_full, short_name

WEIGHTS = ("weights", "pretrained", "checkpoint")
"""The words in the names of choices that say where initial weights come from."""
CHECKSUM = "sha256"
"""The word in the name of a choice that holds the checksum of a file of weights."""


def networks(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    """Sentences about the baseline's network, then about the changes that each other level makes in it.

    Args:
        results: the results, whose plan holds the networks as built; without them, the records' choices are taken.
        names: variant -> its short name.
    """
    audit = _audit(results)
    if results.baseline not in audit.variants:
        return
    network = audit.variants[results.baseline]
    slots = "; ".join(
        f"{_slot_name(slot)} {in_full(part)}{_parameters_of(part)}" for slot, part in network.slots.items()
    )
    yield f"Network of the baseline: {slots}."
    yield f"Losses: {' + '.join(in_full(loss) for loss in network.losses)}."
    if network.conventions.get("align_corners") is not None:
        yield f"Maps are resized with {_resizing(network.conventions)}."
    for factor, levels in results.factors.items():
        for level in levels:
            if level != results.plan.baseline_levels.get(factor):
                yield from _of_level(audit, results, names, factor, level)


def initial_weights(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    """A sentence about the initial weights of the networks that are trained."""
    audit = _audit(results)
    users: dict[str, list[str]] = {}
    for variant, network in audit.variants.items():
        for slot, part in network.slots.items():
            for source in _weights(part):
                users.setdefault(f"the {_slot_name(slot)} {short_name(part)} starts from {source}", []).append(variant)
    if not audit.variants:
        return
    drawn = "drawn anew with the seed of each trial, in each slot from a random stream of its own"
    if not users:
        yield f"Initial weights are {drawn}; no choice names a file of weights."
        return
    everywhere = len(audit.variants)
    loaded = [
        start
        if len(variants) == everywhere
        else f"{start} (in {', '.join(names.get(variant, variant) for variant in variants)})"
        for start, variants in users.items()
    ]
    yield f"Initial weights: {'; '.join(loaded)}; all other weights are {drawn}."


def _of_level(audit: Audit, results: Results, names: Mapping[str, str], factor: str, level: str) -> Iterator[str]:
    """The sentence about the changes that a level makes, from the pair of variants that is nearest to the baseline."""
    base = results.plan.baseline_levels
    variant_at = {tuple(sorted(network.levels.items())): variant for variant, network in audit.variants.items()}
    with_level = [variant for variant, network in audit.variants.items() if network.levels.get(factor) == level]
    pairs = []
    for variant in with_level:
        levels = audit.variants[variant].levels
        other = variant_at.get(tuple(sorted({**levels, factor: base[factor]}.items())))
        distance = sum(levels[name] != base.get(name) for name in levels)
        pairs.append((other is None, distance, variant, other or results.baseline))
    if not pairs:
        return
    _, distance, variant, other = min(pairs, key=lambda pair: pair[:2])
    changes = [
        f"{_slot_name(change.where)}: {change.what}"
        for change in differences(audit, variant, other)
        if change.kind != "follows" and not change.where.startswith("recipe.")
    ]
    if changes:
        context = f" (in {names.get(variant, variant)} beside {names.get(other, other)})" if distance > 1 else ""
        yield f"{factor}={level}{context} changes {'; '.join(changes)}."


def _audit(results: Results) -> Audit:
    """The networks of the planned variants as the plan holds them, or else, without sizes, as the records do."""
    planned = {results.baseline, *results.variants, *(trial.against for trial in results.plan.trials)}
    recorded = results.plan.audit
    variants = {variant: network for variant, network in recorded.variants.items() if variant in planned}
    if results.baseline not in variants:
        levels = results.plan.levels
        for record in results.records:
            if record.choices.variant and record.trial.variant not in variants:
                variants[record.trial.variant] = _as_facts(record.choices.variant, levels[record.trial.variant])
    about = {factor: recorded.about.get(factor, []) for factor in results.factors}
    return Audit(about=about, touched=recorded.touched, variants=variants)


def _as_facts(choices: Mapping[str, Any], levels: dict[str, str]) -> Facts:
    """A network as the audit keeps it, from the choices of a record."""
    parts = {slot: part for slot, value in choices.items() if (part := as_part(value)) is not None}
    losses = [part for value in choices.get("losses", []) if (part := as_part(value)) is not None]
    return Facts(
        levels=levels,
        slots={slot: Slot.model_validate(part.as_json()) for slot, part in parts.items()},
        losses=losses,
        learning_rates={},
        recipe={},
        conventions={name: value for name, value in choices.items() if name.endswith("align_corners")},
    )


def _weights(part: Described) -> Iterator[str]:
    """The sources of weights that a component's choices name, each with its checksum."""
    checksums = [str(value) for name, value in part.choices.items() if CHECKSUM in name and value]
    for name, value in part.choices.items():
        if CHECKSUM not in name and any(word in name for word in WEIGHTS) and (value is True or isinstance(value, str)):
            source = f"its published weights ({name})" if value is True else value
            yield f"{source}{f' (SHA-256 {checksums[0]})' if checksums and value is not True else ''}"


def _slot_name(slot: str) -> str:
    """A slot in words; the slot ``whole`` holds a whole network."""
    return {"whole": "whole network", "auxiliary": "auxiliary head"}.get(slot, slot.replace("_", " "))


def _parameters_of(slot: Slot) -> str:
    """The number of parameters of a slot in words; empty for a slot whose parameters were not counted."""
    return f" with {int(slot.parameters):,} parameters" if slot.parameters else ""


def _resizing(conventions: Mapping[str, Any]) -> str:
    """The resize conventions of a network, in words."""
    inside, logits = conventions["align_corners"], conventions.get("logits_align_corners")
    differing = f", the logits at last with align_corners={logits}" if logits not in (None, inside) else ""
    return f"align_corners={inside}{differing}"
