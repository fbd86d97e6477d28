"""A synchronised normalisation computes what the usual one does with the whole batch, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.network.necks.jpu import LocalBatchNorm2d
from bench.training.parallel.group import SharingError, TrainingGroup
from bench.training.parallel.norms import SynchronisedNorm, synchronise
from bench.training.parallel.sums import whole
from tests.training.parallel.workers import CPU, Together

pytestmark = pytest.mark.xdist_group("processes of a training")

NORMS: dict[str, tuple[_BatchNorm, tuple[int, ...]]] = {
    "maps": (nn.BatchNorm2d(3), (6, 3, 5, 4)),
    "vectors, one a process": (nn.BatchNorm1d(3), (2, 3)),
    "sequences, averaged over all batches": (nn.BatchNorm1d(3, momentum=None), (4, 3, 7)),
    "without weights": (nn.BatchNorm2d(3, affine=False, momentum=0.3), (4, 3, 2, 2)),
    "without statistics": (nn.BatchNorm2d(3, track_running_stats=False), (4, 3, 2, 2)),
    "in evaluation": (nn.BatchNorm2d(3).eval(), (4, 3, 2, 2)),
}
Outcome = tuple[Tensor, Tensor, dict[str, Tensor], list[Tensor]]


def computed(group: TrainingGroup | None, name: str) -> Outcome:
    """The outputs, the gradient of the inputs, the state and the gradients of the weights after two batches."""
    norm, shape = NORMS[name]
    norm = type(norm)(
        3, momentum=norm.momentum, affine=norm.affine, track_running_stats=norm.track_running_stats
    ).train(norm.training)
    norm = norm.double()
    draw = torch.Generator().manual_seed(0)
    if norm.affine:
        with torch.no_grad():
            norm.weight.copy_(torch.rand(3, generator=draw, dtype=torch.float64))
    if group is not None:
        synchronise(norm, CPU)
        assert type(norm) is SynchronisedNorm
    for _ in range(2):
        x, weights = (torch.randn(shape, generator=draw, dtype=torch.float64) * 3 + 100 for _ in range(2))
        own = x if group is None else x.chunk(group.size)[group.rank].clone()
        out = norm(own.requires_grad_())
        out = out if group is None else whole(out)
        (out * weights + out**3).sum().backward()
    assert own.grad is not None
    return out.detach(), own.grad, norm.state_dict(), [p.grad for p in norm.parameters() if p.grad is not None]


def computed_in_each(group: TrainingGroup) -> list[Outcome]:
    return [computed(group, name) for name in NORMS]


@pytest.fixture(scope="module")
def outcomes(together: Together) -> list[list[Outcome]]:
    return together(computed_in_each)


@pytest.mark.parametrize("name", NORMS)
def test_it_is_the_usual_one_of_the_whole_batch(name: str, outcomes: list[list[Outcome]]) -> None:
    out, gradient, state, weights = computed(None, name)
    ranks = [of_rank[list(NORMS).index(name)] for of_rank in outcomes]
    torch.testing.assert_close(torch.cat([rank[1] for rank in ranks]), gradient, rtol=1e-6, atol=1e-6)
    for rank in ranks:
        torch.testing.assert_close(rank[0], out, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(rank[2], state, rtol=1e-9, atol=1e-9)
    for index, weight in enumerate(weights):
        torch.testing.assert_close(sum(rank[3][index] for rank in ranks), weight, rtol=1e-9, atol=1e-6)


def test_layers_stay_the_same_objects_and_local_ones_stay_local() -> None:
    shared = nn.BatchNorm2d(3)
    network = nn.Sequential(shared, nn.Sequential(shared), LocalBatchNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3))
    kinds = [type(module) for module in network[2:]]
    weight = shared.weight
    synchronise(network, CPU)
    assert network[0] is network[1][0] is shared
    assert isinstance(shared, SynchronisedNorm)
    assert shared.weight is weight
    assert [type(module) for module in network[2:]] == kinds


def test_on_a_gpu_it_is_that_of_torch() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    synchronise(network, torch.device("cuda"))
    assert type(network[0]) is nn.SyncBatchNorm
    like = nn.SyncBatchNorm(3)
    assert vars(like).keys() == vars(network[0]).keys()


def test_a_layer_that_derives_from_batch_normalisation_is_refused_by_name() -> None:
    class WithActivation(nn.BatchNorm2d):
        pass

    with pytest.raises(SharingError, match="1.0 is a WithActivation, whose statistics cannot be taken over all"):
        synchronise(nn.Sequential(nn.Identity(), nn.Sequential(WithActivation(3))), CPU)
