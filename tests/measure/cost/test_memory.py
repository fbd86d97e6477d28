"""Memory: sums that are exact to the byte, peaks that see what is held, and measurements that do not see each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.measure.cost import memory
from bench.measure.cost.activations import OUTSIDE, by_slot, watched_saves, within
from bench.measure.cost.memory import Memory, inference_memory, made_up_batch, peak_of, training_memory
from bench.network.heads.fcn import FCNHead
from bench.network.model import SegModel, Variant
from bench.parts import Level, part
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting
from tests.measure.networks import CLASSES, FULL, LOSSES, TWO_LAYERS, TwoLayers

CPU = torch.device("cpu")
RECIPE = Recipe(data=part(Synthetic), crop_px=(64, 96), batch=2, iterations=1)
MIB = 2**20


def builder(variant: Variant) -> Callable[[], SegModel]:
    return lambda: SegModel(variant, CLASSES)


class Hungry(TwoLayers):
    """Holds 64 MiB for a moment."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image + torch.ones(64 * MIB // 4).mean())


def test_the_peak_of_a_forward_sees_the_largest_maps() -> None:
    setting = Setting(height=128, width=128)
    hungry = replace(TWO_LAYERS, whole=part(Hungry))
    light, heavy = (inference_memory(builder(variant), setting, CPU) for variant in (TWO_LAYERS, hungry))
    assert light.kind == heavy.kind == "cpu resident set"
    assert heavy.peak_bytes - light.peak_bytes == pytest.approx(64 * MIB, rel=0.2)


def test_what_was_held_and_freed_before_does_not_hide_a_peak() -> None:
    def hold(mebibytes: int) -> None:
        np.ones(mebibytes * MIB, dtype=np.uint8)

    assert peak_of(lambda: hold(256), CPU).peak_bytes == pytest.approx(256 * MIB, rel=0.1)
    assert peak_of(lambda: hold(64), CPU).peak_bytes == pytest.approx(64 * MIB, rel=0.1)


def test_where_the_kernel_does_not_set_its_peak_back_the_number_says_that_it_is_a_lower_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    peak = peak_of(lambda: None, CPU)
    assert (peak.kind, peak.peak_bytes) == ("cpu resident set, at least", 0)


def test_weights_gradients_and_optimiser_state_are_told_apart_to_the_byte() -> None:
    model = SegModel(FULL, CLASSES)
    weights = 4 * sum(p.numel() for p in model.parameters())
    step = training_memory(builder(FULL), RECIPE, CPU)
    assert (step.weight_bytes, step.gradient_bytes, step.optimiser_bytes) == (weights, weights, weights)
    assert step.buffer_bytes == sum(b.nbytes for b in model.buffers())
    assert step.input_bytes == 2 * 64 * 96 * (3 * 4 + 8)
    assert training_memory(builder(FULL), RECIPE.having(momentum=0.0), CPU).optimiser_bytes == 0
    forward = inference_memory(builder(FULL), Setting(height=64, width=96), CPU)
    assert (forward.weight_bytes, forward.gradient_bytes, forward.optimiser_bytes) == (weights, 0, 0)
    assert forward.input_bytes == 64 * 96 * 3 * 4
    half = inference_memory(builder(FULL), Setting(height=64, width=96, precision="bfloat16"), CPU)
    cast = [p.nbytes for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear) for p in m.parameters()]
    assert half.weight_bytes == weights - sum(cast) / 2


class Deep(TwoLayers):
    """Many normalised maps of 3 MiB at batch 4, 128x192, each of which autograd keeps."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.entry = nn.Conv2d(3, 8, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(40))
        self.exit = nn.Conv2d(8, num_classes, 1, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        x = self.entry(image)
        for norm in self.norms:
            x = norm(x)
        out: Tensor = self.exit(x)
        return out


def deep_step() -> Memory:
    torch.set_num_threads(1)
    recipe = RECIPE.having(crop_px=(128, 192), batch=4)
    return training_memory(builder(replace(TWO_LAYERS, whole=part(Deep))), recipe, CPU)


def test_the_peak_of_a_training_step_is_what_is_known_and_what_autograd_keeps() -> None:
    # In a process of its own, as cost trials are: the heap that other tests leave adds to the resident set.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        step = fresh.submit(deep_step).result()
    saved = sum(step.saved_bytes.values())
    known = step.weight_bytes + step.buffer_bytes + step.gradient_bytes + step.optimiser_bytes + step.input_bytes
    assert step.saved_bytes["whole"] == pytest.approx(41 * 4 * 8 * 128 * 192 * 4, rel=0.01)
    assert known + saved <= step.peak_bytes <= known + 2 * saved


def test_memory_grows_with_the_batch_and_leaves_the_random_stream_alone() -> None:
    state = torch.get_rng_state()
    two, eight = (training_memory(builder(FULL), RECIPE.having(batch=batch), CPU) for batch in (2, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert sum(eight.saved_bytes.values()) == pytest.approx(4 * sum(two.saved_bytes.values()), rel=0.01)
    assert eight.peak_bytes > two.peak_bytes


def test_the_made_up_batch_has_every_class_and_the_recipes_size() -> None:
    image, label = made_up_batch(RECIPE, CLASSES, CPU)
    assert (image.shape, label.shape) == ((2, 3, 64, 96), (2, 64, 96))
    assert label.unique().tolist() == list(range(CLASSES))


class Saving(nn.Module):
    """Convolution, normalisation, ReLU, classifier: what each saves is known."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.classifier = nn.Conv2d(8, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.relu(self.norm(self.conv(image))))
        return out


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_saved_bytes_equal_their_closed_form_on_every_device(device: str) -> None:
    with torch.device(device):
        model = SegModel(Variant(whole=part(Saving), losses=LOSSES), CLASSES).train()
        image = torch.zeros(2, 3, 16, 24)
    with watched_saves(model, [image]) as saved:
        loss = model(image).logits.square().sum()
    features, logits = 4 * 2 * 8 * 16 * 24, 4 * 2 * CLASSES * 16 * 24
    # The image is given, the ReLU's output is also what the classifier saves, a batch's mean and deviation are floats.
    assert saved == {"whole.norm": features + 2 * 8 * 4, "whole.relu": features, OUTSIDE: logits}
    assert by_slot(saved, ["whole"]) == {"whole": 2 * features + 64, OUTSIDE: logits}
    assert within(saved, "whole.norm") == features + 64
    loss.backward()


def test_watching_leaves_no_hook_behind_even_after_an_error() -> None:
    model = SegModel(TWO_LAYERS, CLASSES)
    with pytest.raises(RuntimeError, match="channels"), watched_saves(model, []):
        model(torch.zeros(1, 4, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("whole", [True, False])
def test_a_network_sees_a_small_image_first_unless_it_promises_nothing_about_other_sizes(
    monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(TwoLayers):
        def __init__(self, num_classes: int = 8) -> None:
            super().__init__(num_classes)
            self.out_levels = (Level(num_classes, 2),)

        def forward(self, image: Tensor) -> Any:
            seen.append(tuple(image.shape))
            out = super().forward(image)
            return out if whole else [out]

    parts = Variant(part(Watching), part(FCNHead, width=8), losses=LOSSES)
    build = builder(replace(TWO_LAYERS, whole=part(Watching)) if whole else parts)
    monkeypatch.setattr(memory, "peak_of", lambda run, device: (run(), memory.Peak("planted", 1, None))[1])
    assert inference_memory(build, Setting(height=96, width=48), CPU).kind == "planted"
    training_memory(build, RECIPE.having(batch=4), CPU)
    first = [(1, 3, 96, 48), (4, 3, 64, 96)] if whole else [(1, 3, 64, 48), (2, 3, 64, 64)]
    assert seen == [first[0], (1, 3, 96, 48), first[1], *[(4, 3, 64, 96)] * 2]  # the third is for what autograd keeps
