"""The recipe of a study in sentences: training, augmentation and testing, and the variants that differ from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from bench.protocol.recipe import Recipe
from bench.protocol.words import first_few, joined
from bench.records.plan.audit import as_part
from bench.records.results import Results
from bench.report.tables.protocol import is_unused
from bench.study.audit import in_full

MOST_NAMED = 5
"""The most variants that a sentence names."""


TRAINING = {
    "batch": "{} images a batch",
    "iterations": "{} iterations",
    "learning_rate": "learning rate {}",
    "head_lr_factor": "{} times that for the parts beside the backbone",
    "optimiser": "optimiser {}",
    "momentum": "SGD with momentum {}",
    "weight_decay": "weight decay {}",
    "decayed": "weight decay of {} only, not of norms, biases and position embeddings",
    "layer_decay": "the learning rate of each layer of the backbone {} times that of the next",
    "warmup_iterations": "a linear warm-up over {} iterations",
    "warmup_start": "from {} times the learning rate",
    "schedule": "a {} schedule",
    "poly_power": "a polynomial schedule of power {}",
    "step_at": "steps at the shares {} of the schedule",
    "step_factor": "a factor of {} at each step",
    "least_learning_rate": "no learning rate below {}",
    "frozen": "frozen in the backbone: {}",
    "ema_decay": "an exponential moving average of the weights with decay {}, which is what was evaluated",
    "accumulate": "gradients in {} parts of a batch, each with a batch normalisation of its own",
    "clip_norm": "gradients clipped to norm {}",
    "precision": "precision {}",
    "kernels": "{} kernels",
    "compiled": "the network compiled by torch.compile",
}
"""Field of a recipe -> the phrase about it in the sentence on training."""

AUGMENTATION = {
    "short_side_px": "images resized to a short side of {} pixels",
    "long_side_px": "images resized to a long side of {} pixels",
    "scale": "random scales between {}",
    "rotation_deg": "random rotations by up to {}° either way",
    "crop_px": "random crops of {} pixels",
    "largest_class_share": "another crop, up to ten times, where a class has {} of the labelled pixels or more",
    "flip": "horizontal flips with probability {}",
    "colour_jitter": "brightness, contrast and saturation changed by up to {} of themselves",
    "hue_jitter": "the hue turned by up to {} of the colour circle",
    "photometric_distortion": "brightness, contrast, saturation and hue changed as by mmsegmentation's "
    "PhotoMetricDistortion",
    "blur": "a Gaussian blur with probability {}",
    "blur_sigma_px": "of a standard deviation between {} pixels",
}
"""Field of a recipe -> the phrase about it in the sentence on augmentation."""


TESTING = {
    "window_px": "windows of {} pixels",
    "window_stride_px": "{} pixels from one to the next",
    "test_long_side_px": "images whose long side is resized to {} pixels",
    "test_scales": "at the scales {}",
    "test_flip": "with mirrored images too",
    "averaged": "scores averaged as {}",
    "test_mode": "networks executed by {}",
    "test_precision": "networks in {}",
}
"""Field of a recipe -> the phrase about it in the sentence on testing."""


def recipe_in_words(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    """Sentences about training, augmentation and testing, then about the variants with another recipe.

    Args:
        results: the results, whose plan holds the recipe.
        names: variant -> its short name.
    """
    recipe = results.plan.recipe
    told = dict(recipe) if _have_heads(results) else {**recipe, "head_lr_factor": NEUTRAL["head_lr_factor"]}
    if schedule := _phrases(TRAINING, told):
        yield f"Training: {', '.join(schedule)}."
    if augmentation := _phrases(AUGMENTATION, recipe):
        yield f"Augmentation: {', '.join(augmentation)}{_left_out(recipe)}."
    if testing := _phrases(TESTING, recipe):
        yield f"Testing: {', '.join(testing)}."
    yield from _recipe_of_variants(results, names)


def _have_heads(results: Results) -> bool:
    """False if all networks are whole ones, of which every part has the recipe's learning rate."""
    variants = results.plan.audit.variants.values()
    return not variants or any("whole" not in facts.slots for facts in variants)


def _phrases(texts: Mapping[str, str], recipe: Mapping[str, Any]) -> list[str]:
    """The phrases about those fields that a recipe has and that change something."""
    asked = {name: text for name, text in texts.items() if recipe.get(name) is not None}
    return [text.format(_value(name, recipe[name])) for name, text in asked.items() if not _has_no_phrase(name, recipe)]


def _left_out(recipe: Mapping[str, Any]) -> str:
    """The words for those kinds of augmentation that a recipe names and that change nothing in it."""
    kinds = {"scale": "scaling", "flip": "flips"}
    absent = [kind for name, kind in kinds.items() if name in recipe and _has_no_phrase(name, recipe)]
    return f"; no {' and no '.join(absent)}" if absent else ""


TOLD_WHERE_USED = {"step_factor", "warmup_start", "blur_sigma_px", "averaged"}
"""Fields that are told at every value, unless :func:`is_unused` says that they are not used."""

NEUTRAL: Mapping[str, Any] = {
    **{
        one.name: list(neutral) if isinstance(neutral := one.metadata["neutral"], tuple) else neutral
        for one in fields(Recipe)
        if "neutral" in one.metadata and one.name not in TOLD_WHERE_USED
    },
    "head_lr_factor": 1,
    "scale": [1, 1],
    "flip": 0,
}
"""Field of a recipe -> the value, as JSON has it, at which it changes nothing: what the recipe's fields declare, a
factor of one, random scales that are all one, no flip."""


def _has_no_phrase(name: str, recipe: Mapping[str, Any]) -> bool:
    """True for a field that changes nothing, that is not used, or that the phrase of another field tells."""
    if name == "schedule":
        return str(recipe[name]) in ("poly", "step")  # told with poly_power and step_at
    return is_unused(name, recipe) or bool(name in NEUTRAL and recipe[name] == NEUTRAL[name])


def _recipe_of_variants(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    """The fields in which a variant was trained otherwise than the study's recipe says."""
    recipe = results.plan.recipe
    variants: dict[tuple[str, ...], dict[str, None]] = {}
    for record in results.records:
        other = record.choices.recipe
        differing = [
            name for name, value in other.items() if name in recipe and name != "data" and recipe[name] != value
        ]
        if record.trial.stage == "quality" and differing:
            phrases = tuple(_in_words(name, other) for name in differing)
            variants.setdefault(phrases, {})[names[record.trial.variant]] = None
    for phrases, named in variants.items():
        yield f"Other than that, {first_few(list(named), MOST_NAMED)} had {', '.join(phrases)}."


def _in_words(name: str, recipe: Mapping[str, Any]) -> str:
    """A field of a recipe with its value as a phrase, also where the value changes nothing."""
    text = {**TRAINING, **AUGMENTATION, **TESTING}.get(name, "")
    has_phrase = text and recipe[name] is not None and not _has_no_phrase(name, recipe)
    return text.format(_value(name, recipe[name])) if has_phrase else f"{name} {_value(name, recipe[name])}"


def _value(name: str, value: Any) -> str:
    if part := as_part(value):
        return in_full(part)
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = [str(item) for item in value]
        return " × ".join(items) if name.endswith("_px") and name != "blur_sigma_px" else joined(items)
    return str(value)
