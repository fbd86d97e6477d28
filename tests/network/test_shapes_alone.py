"""Components that copy values in their constructors or read them in forwards work where networks have shapes alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost.attribution import saved_by_shape
from bench.network.checkpoints.convert import expected_tensors
from bench.network.controls import matched_head
from bench.network.heads.fcn import FCNHead
from bench.network.model import SegModel, Variant
from bench.network.shapes_alone import from_shapes, shapes_alone
from bench.parts import Count, Level, Levels, part
from tests.measure.networks import CLASSES, LOSSES, SMALL


class CopyingHead(nn.Module):
    """A plain head whose constructor copies values, and whose forward reads one if it is asked to."""

    def __init__(
        self, levels: Levels, num_classes: int, boundary: Level | None = None, *, width: Count = 8, reads: bool = False
    ) -> None:
        super().__init__()
        self.head = FCNHead(levels, num_classes, boundary, width=width)
        self.mean = nn.Parameter(torch.tensor(torch.ones(3).cpu().numpy()))
        self.reads = reads

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits, aux = self.head(features, boundary, with_aux=with_aux)
        if self.reads:
            logits = logits * self.mean[0].item()
        return logits, aux


COPYING = Variant(SMALL, part(CopyingHead), losses=LOSSES)


def test_a_network_that_copies_values_has_its_shapes_and_no_values() -> None:
    before = torch.random.get_rng_state()
    model = shapes_alone(lambda: SegModel(COPYING, CLASSES))
    real = SegModel(COPYING, CLASSES).state_dict()
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {
        name: tensor.shape for name, tensor in real.items()
    }
    torch.random.set_rng_state(before)
    shapes_alone(lambda: SegModel(COPYING, CLASSES))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_faulty_constructor_raises_its_own_error() -> None:
    def build() -> nn.Module:
        raise KeyError("width")

    with pytest.raises(KeyError, match="width"):
        shapes_alone(build)


def test_checkpoints_and_matched_heads_know_the_shapes_of_a_network_that_copies_values() -> None:
    expected = expected_tensors(COPYING, CLASSES)
    assert expected["head.mean"].shape == (3,)
    other = Variant(SMALL, part(FCNHead, width=8), losses=LOSSES)
    assert matched_head(part(FCNHead), COPYING, CLASSES) == part(FCNHead, width=8)
    assert matched_head(part(CopyingHead), other, CLASSES) == part(CopyingHead, width=8)


@pytest.mark.parametrize("reads", [False, True])
def test_the_bytes_that_a_training_keeps_are_counted_for_a_network_that_needs_values(reads: bool) -> None:
    plain = saved_by_shape(Variant(SMALL, part(FCNHead, width=8), losses=LOSSES), CLASSES, 2, 32, 32).by_module
    copying = saved_by_shape(
        Variant(SMALL, part(CopyingHead, reads=reads), losses=LOSSES), CLASSES, 2, 32, 32
    ).by_module
    assert copying["backbone"] == plain["backbone"]
    assert copying["head.head"] == plain["head"]


@pytest.mark.parametrize(("reads", "device"), [(False, "meta"), (True, "cpu")])
def test_only_what_reads_values_in_its_forward_is_computed_with_values(reads: bool, device: str) -> None:
    variant = Variant(SMALL, part(CopyingHead, reads=reads), losses=LOSSES)

    def logits_of(model: SegModel) -> Tensor:
        with next(model.parameters()).device:
            logits: Tensor = model(torch.zeros(2, 3, 32, 32)).logits
        return logits

    logits = from_shapes(lambda: SegModel(variant, CLASSES), logits_of)
    assert (logits.device.type, logits.shape) == (device, (2, CLASSES, 32, 32))
