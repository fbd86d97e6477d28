"""FCN head: published parameter counts, what it reads, where the boundary map joins."""

from __future__ import annotations

import pytest
import torch

from bench.network.heads.fcn import FCNHead
from bench.network.layers import WiringError
from bench.parts import Level


@pytest.mark.parametrize(
    ("channels", "width", "classes", "count"),
    [
        (2048, 512, 19, 9_447_955),  # dilated FCN baseline of DANet
        (1024, 256, 59, 2_374_971),  # FastFCN's auxiliary head
    ],
)
def test_parameter_counts_are_the_published_ones(channels: int, width: int, classes: int, count: int) -> None:
    with torch.device("meta"):
        head = FCNHead((Level(channels, 8),), classes, width=width)
    assert sum(p.numel() for p in head.parameters()) == count


def test_only_the_last_map_is_read_and_there_are_no_side_outputs() -> None:
    head = FCNHead((Level(2, 4), Level(4, 8)), 3, width=4).eval()
    last = torch.randn(1, 4, 5, 7)
    with_others, aux = head([torch.randn(1, 2, 9, 13), last], with_aux=True)
    alone, _ = head([last], with_aux=False)
    assert torch.equal(with_others, alone)
    assert aux == {}


def test_a_boundary_map_is_embedded_and_added_to_the_features_of_the_classifier() -> None:
    head = FCNHead((Level(4, 8),), 3, Level(1, 8), width=6).eval()
    x, boundary = torch.randn(1, 4, 5, 7), torch.rand(1, 1, 5, 7)
    assert head.fusion.embed is not None
    expected = head.classifier(head.entry(x) + head.fusion.embed(boundary))
    assert torch.allclose(head([x], boundary)[0], expected, atol=1e-6)


def test_dropout_takes_whole_channels_at_the_chosen_share_in_training_alone() -> None:
    head = FCNHead((Level(4, 8),), 3, width=512, dropout=0.25)
    seen: list[torch.Tensor] = []
    head.dropout.register_forward_hook(lambda _module, _given, out: seen.append(out))
    head.entry.register_forward_hook(lambda _module, _given, out: torch.ones_like(out))
    torch.manual_seed(0)
    head([torch.randn(2, 4, 5, 7)])
    dropped = seen[0].flatten(2).eq(0)
    assert torch.equal(dropped.any(-1), dropped.all(-1))
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.06)
    head.eval()([torch.randn(2, 4, 5, 7)])
    assert seen[1].eq(1).all()


def test_a_head_without_a_level_is_refused() -> None:
    with pytest.raises(WiringError, match="FCNHead needs the last 1 levels"):
        FCNHead((), 3)
