"""Modules that run for nothing are switched off: outputs stay the same bit for bit, or one line names the module."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost.counts import parameters
from bench.measure.cost.whole.sizes import count_at
from bench.network.model import SegModel, Variant
from bench.network.whole.without import Without
from bench.parts import ChoiceError, Part, part
from tests.measure.networks import LOSSES, TwoLayers, WithUnusedHead

CLASSES = 5


class WithAuxiliary(TwoLayers):
    """As torchvision's: an auxiliary head that always runs, a pooler that nothing reads, and a dropout."""

    has_side_outputs = True

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.auxiliary = nn.ModuleList([nn.Conv2d(8, num_classes, 3, padding=1), nn.Conv2d(8, num_classes, 1)])
        self.pooler = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1))
        self.dropout = nn.Dropout(0.5)

    def forward(self, image: Tensor, *, with_aux: bool = False) -> Any:
        features = self.norm(self.conv(image))
        sides = {f"side{index}": head(features) for index, head in enumerate(self.auxiliary)}
        self.pooler(features).mean()
        logits = self.classifier(self.dropout(features))
        return (logits, sides) if with_aux else logits


NETWORK = part(WithAuxiliary)
SWITCHED = part(Without, network=NETWORK, in_evaluation=("auxiliary",), everywhere=("pooler",))


def model_of(whole: Part[Any]) -> SegModel:
    return SegModel(Variant(whole=whole, losses=LOSSES), CLASSES, seed=3)


def image() -> Tensor:
    return torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))


def test_in_evaluation_only_what_the_logits_need_runs_and_they_are_the_same() -> None:
    before, after = model_of(NETWORK).eval(), model_of(SWITCHED).eval()
    assert torch.equal(before(image()).logits, after(image()).logits)
    assert count_at(before, 32, 32).counts.wasted_macs() == 16 * 16 * (8 * 9 + 8) * CLASSES + 8 * 8
    counts = count_at(after, 32, 32).counts
    assert (counts.wasted_macs(), counts.macs()) == (0, 16 * 16 * 8 * (27 + CLASSES))


def test_training_is_the_same_but_for_what_was_taken_out() -> None:
    before, after = model_of(NETWORK).train(), model_of(SWITCHED).train()
    grads: list[dict[str, Tensor | None]] = []
    for model in (before, after):
        torch.manual_seed(1)
        output = model(image())
        assert set(output.aux) == {"side0", "side1"}
        torch.stack([each.square().mean() for each in (output.logits, *output.aux.values())]).sum().backward()
        named = model.get_submodule("whole").named_parameters()
        grads.append({name.removeprefix("network."): each.grad for name, each in named})
    unread = {name for name in grads[0] if name.startswith("pooler")}
    assert {name for name, grad in grads[0].items() if grad is None} == unread
    assert grads[1].keys() == grads[0].keys() - unread
    for name, grad in grads[1].items():
        torch.testing.assert_close(grad, grads[0][name], rtol=0, atol=0)
    assert parameters(before)["whole"] - parameters(after)["whole"] == 8 * 8 + 8


def test_side_outputs_are_right_in_evaluation_too_where_they_are_asked_for() -> None:
    before, after = model_of(NETWORK).eval(), model_of(SWITCHED).eval()
    for _ in range(2):
        mine, theirs = after(image(), with_aux=True), before(image(), with_aux=True)
        assert all(torch.equal(mine.aux[name], side) for name, side in theirs.aux.items())
        assert torch.equal(after(image()).logits, theirs.logits)


def test_a_network_whose_forward_has_no_side_outputs() -> None:
    whole = part(Without, network=part(WithUnusedHead), in_evaluation=("auxiliary_head",))
    after = SegModel(Variant(whole=whole, losses=LOSSES), CLASSES).eval()
    before = SegModel(Variant(whole=part(WithUnusedHead), losses=LOSSES), CLASSES).eval()
    assert torch.equal(before(image()).logits, after(image()).logits)
    assert count_at(after, 32, 32).counts.wasted_macs() == 0


class Added(WithUnusedHead):
    """Writes in place to what its unused head gives, which would be the image."""

    def forward(self, image: Tensor) -> Tensor:
        self.auxiliary_head(image).add_(1)
        logits: Tensor = self.classifier(self.norm(self.conv(image)))
        return logits


class StartsAtZero(WithUnusedHead):
    """Has logits of 0 whatever its layers compute, until it is trained."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        nn.init.zeros_(self.classifier.weight)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("network", "choices", "reason"),
    [
        (NETWORK, {"in_evaluation": ("auxiliary", "conv")}, r"WithAuxiliary cannot be without conv: the forward fails"),
        (NETWORK, {"everywhere": ("pooler", "auxiliary")}, "cannot be without auxiliary: training reads its output"),
        (NETWORK, {"everywhere": ("poolr",)}, r"no module 'poolr' \(did you mean 'pooler'\?\)"),
        (part(Added), {"everywhere": ("norm",)}, "cannot be without norm"),
    ],
)  # fmt: skip
def test_a_module_that_an_output_depends_on_is_refused_by_its_name(
    network: Part[Any], choices: dict[str, Any], reason: str, device: str
) -> None:
    with pytest.raises(ChoiceError, match=reason), torch.device(device):
        part(Without, network=network, **choices).build(CLASSES)


@pytest.mark.parametrize(("network", "name"), [(Added, "auxiliary_head"), (StartsAtZero, "norm")])
def test_values_tell_what_shapes_do_not(network: type[nn.Module], name: str) -> None:
    with pytest.raises(ChoiceError, match=f"cannot be without {name}: an output changes"):
        part(Without, network=part(network), in_evaluation=(name,)).build(CLASSES)


class OfOneSize(WithUnusedHead):
    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2:] != (64, 64):
            raise ValueError("another size")
        return super().forward(image)


def test_a_network_of_one_size_is_compared_at_that_size() -> None:
    whole = part(Without, network=part(OfOneSize), in_evaluation=("auxiliary_head",))
    with pytest.raises(ChoiceError, match="does not run on an image of 128x160.*another size; choose verified_px"):
        whole.build(CLASSES)
    whole.having(verified_px=(64, 64)).build(CLASSES)


def test_outputs_are_compared_once_a_process_so_that_no_measured_peak_holds_the_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = SWITCHED.having(verified_px=(40, 48))
    sizes: list[tuple[int, ...]] = []
    plain = WithAuxiliary.forward

    def forward(self: WithAuxiliary, image: Tensor, *, with_aux: bool = False) -> Any:
        sizes.append(tuple(image.shape[-2:]))
        return plain(self, image, with_aux=with_aux)

    monkeypatch.setattr(WithAuxiliary, "forward", forward)
    first = model_of(whole)
    compared = len(sizes)
    second = model_of(whole)
    assert compared == len(sizes) > 0
    assert set(sizes) == {(40, 48)}
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))
