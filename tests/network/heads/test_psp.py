"""PSP head: published parameter counts, what is pooled and where it is put, refusals."""

from __future__ import annotations

import pytest
import torch

from bench.network.heads.psp import PSPHead, PyramidPooling
from bench.network.layers import WiringError
from bench.parts import ChoiceError, Level

PSP_NET_50 = 46_735_867  # FastFCN at stride 8, 59 classes, without the auxiliary head
RESNET_50 = 23_631_808  # deep stem


def test_the_parameter_count_is_the_published_one() -> None:
    with torch.device("meta"):
        head = PSPHead((Level(2048, 8),), 59)
    assert sum(p.numel() for p in head.parameters()) == PSP_NET_50 - RESNET_50


def test_the_input_comes_first_and_then_a_map_a_grid() -> None:
    pooling = PyramidPooling(4, 2, (1, 3)).eval()
    x = torch.randn(2, 4, 6, 9)
    pooled = pooling(x)
    assert tuple(pooled.shape) == (2, 8, 6, 9)
    assert torch.equal(pooled[:, :4], x)
    mean = pooling.branches[0](x.mean((2, 3), keepdim=True))
    assert torch.allclose(pooled[:, 4:6], mean.expand(2, 2, 6, 9), atol=1e-6)
    cells = pooling.branches[1](x.unflatten(2, (3, 2)).unflatten(4, (3, 3)).mean((3, 5)))
    corners = pooled[:, 6:, ::5, ::8]  # with aligned corners the outermost pixels are the outermost cells
    assert torch.allclose(corners, cells[:, :, ::2, ::2], atol=1e-6)


def test_a_grid_finer_than_the_map_is_no_mistake() -> None:
    head = PSPHead((Level(4, 32),), 3, width=2).eval()
    assert tuple(head([torch.randn(1, 4, 2, 3)])[0].shape) == (1, 3, 2, 3)


def test_a_boundary_map_is_added_to_the_features_of_the_classifier() -> None:
    head = PSPHead((Level(4, 8),), 3, Level(1, 8), width=6).eval()
    x, boundary = torch.randn(1, 4, 5, 7), torch.rand(1, 1, 5, 7)
    assert head.fusion.embed is not None
    expected = head.classifier(head.entry(head.pooling(x)) + head.fusion.embed(boundary))
    assert torch.allclose(head([x], boundary)[0], expected, atol=1e-6)


def test_no_grid_and_no_level_are_refused() -> None:
    with pytest.raises(ChoiceError, match=r"at least one grid, such as \(1, 2, 3, 6\)"):
        PSPHead((Level(4, 8),), 3, bins=())
    with pytest.raises(WiringError, match="PSPHead needs the last 1 levels"):
        PSPHead((), 3)
