"""Networks of transformers: two counters that agree, closed forms of their attention, and what they run for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.cost.whole.counters import counted_whole
from bench.measure.cost.whole.dispatched import record_on_meta, record_with_values
from bench.measure.cost.whole.formulas import attention_macs, deformable_attention_macs, windowed_attention_macs
from bench.measure.cost.whole.reach import Counts, summed
from bench.measure.cost.whole.sizes import count_at
from bench.network.model import SegModel, Variant
from bench.network.whole.without import Without
from bench.parts import ChoiceError, Part, part
from tests.measure.networks import LOSSES
from tests.network.whole.small import CONFIGS, network

pytestmark = pytest.mark.extras

CLASSES, HEIGHT, WIDTH = 7, 64, 96


def built(whole: Part[Any], classes: int = CLASSES) -> SegModel:
    return SegModel(Variant(whole=whole, losses=LOSSES), classes).eval()


def macs_of(counts: Counts, ending: str) -> Iterator[int]:
    """The MACs of the modules whose names end so."""
    names = dict.fromkeys(name for name, _ in counts.executed)
    around = dict.fromkeys(".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2))
    yield from (counts.macs(name) for name in around if name.endswith(ending))


@pytest.mark.parametrize("architecture", CONFIGS)
def test_fvcore_and_our_counter_agree_on_every_architecture(architecture: str) -> None:
    model = built(network(architecture))
    record = counted_whole(model, HEIGHT, WIDTH)
    assert record["macs_difference"] == ""
    assert record["macs_compared_px"] == [HEIGHT, WIDTH]
    assert record["macs_extrapolated"] == ""
    assert summed(record_with_values(model, HEIGHT, WIDTH)).macs() == record["macs"]["whole"]


@pytest.mark.parametrize("architecture", ["segformer", "dpt", "beit", "eomt", "eomt-dinov3"])
@pytest.mark.parametrize("kernel", ["eager", "sdpa", "flex_attention"])
def test_the_count_is_the_same_whatever_kernel_computes_attention(architecture: str, kernel: str) -> None:
    model = built(network(architecture))
    plain = count_at(model, HEIGHT, WIDTH).counts.macs()
    try:
        model.get_submodule("whole.network").set_attn_implementation(kernel)  # type: ignore[operator]  # transformers' own
    except ValueError:
        assert kernel == "flex_attention", "only that one is refused by some networks"
        return
    assert count_at(model, HEIGHT, WIDTH).counts.macs() == plain


def test_windows_of_swin_equal_their_closed_form() -> None:
    """UPerNet on a Swin of 12 channels: maps of 16x24 to 2x3 tokens, all padded to windows of 4."""
    counts = count_at(built(network("upernet")), HEIGHT, WIDTH).counts
    form = sum(windowed_attention_macs(16 // scale, 24 // scale, 4, 12 * scale) for scale in (1, 2, 4, 8))
    backbone = counts.by_operator("whole.network.backbone")
    assert backbone["bmm"] == form


def test_masked_attention_equals_its_closed_form() -> None:
    """Mask2Former with one decoder layer: 10 queries read the 2x3 tokens of stride 32 in 32 channels."""
    counts = count_at(built(network("mask2former")), HEIGHT, WIDTH).counts
    queries, keys, width = 10, 2 * 3, 32
    projections = 2 * queries * width**2 + 2 * keys * width**2
    assert list(macs_of(counts, "cross_attn")) == [attention_macs(queries, keys, width) + projections]


@pytest.mark.parametrize(("architecture", "width"), [("mask2former", 32), ("oneformer", 64)])
def test_deformable_attention_equals_its_closed_form(architecture: str, width: int) -> None:
    """One encoder layer: each token of the strides 8, 16 and 32 reads 4 points of 3 levels."""
    queries = 8 * 12 + 4 * 6 + 2 * 3
    form = deformable_attention_macs(queries, width, 3 * 4)
    record = counted_whole(built(network(architecture)), HEIGHT, WIDTH)
    assert record["macs_formulas"] == {"deformable_attention": {"macs": form, "fvcore": 4 * form // 5, "torch": 0}}


def test_oneformer_is_counted_although_torchs_own_counter_ends_with_an_assertion() -> None:
    model = built(network("oneformer"))
    image, theirs = torch.zeros(1, 3, HEIGHT, WIDTH), FlopCounterMode(display=False)
    with pytest.raises(AssertionError, match="Expected gradient function"), theirs, torch.no_grad():
        model(image)
    assert count_at(model, HEIGHT, WIDTH).counts.macs() > 0


def test_counting_at_a_small_size_leaves_swins_windows_as_they_were() -> None:
    model = built(network("upernet"))
    before = count_at(model, 128, 192).counts.macs()
    count_at(model, 32, 32)
    record_with_values(model, 32, 32)
    assert count_at(model, 128, 192).counts.macs() == before


class AsItComes(nn.Module):
    """A network of transformers by its own forward, which runs its auxiliary head in evaluation, too."""

    def __init__(self, num_classes: int, *, build: Callable[[int], Any]) -> None:
        super().__init__()
        self.network = build(num_classes)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


def dpt_small(num_classes: int) -> Any:
    from transformers import DPTConfig, DPTForSemanticSegmentation

    return DPTForSemanticSegmentation(
        DPTConfig(
            hidden_size=384, num_attention_heads=6, intermediate_size=1536, image_size=256,
            backbone_out_indices=[2, 5, 8, 11], num_labels=num_classes,
        )
    )  # fmt: skip


def upernet_swin_tiny(num_classes: int) -> Any:
    from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation

    stages = [f"stage{stage}" for stage in (1, 2, 3, 4)]
    config = UperNetConfig(backbone_config=SwinConfig(out_features=stages), num_labels=num_classes)
    return UperNetForSemanticSegmentation(config)


@pytest.mark.parametrize(("build", "wasted_gmac", "gmac"), [(dpt_small, 9.7, 42.3), (upernet_swin_tiny, 0.228, None)])
def test_the_auxiliary_heads_of_transformers_run_for_nothing(
    build: Callable[[int], Any], wasted_gmac: float, gmac: float | None
) -> None:
    with torch.device("meta"):
        model = built(part(AsItComes, build=build), 19)
    counts = summed(record_on_meta(model, 256, 256))
    (idle,) = counts.idle()
    assert idle.module == "whole.network.auxiliary_head"
    assert idle.macs == idle.executed
    assert idle.macs / 1e9 == pytest.approx(wasted_gmac, rel=0.01)
    assert gmac is None or counts.macs() / 1e9 == pytest.approx(gmac, rel=0.01)


def test_they_are_switched_off_around_a_network_as_it_comes() -> None:
    """DPT-S by transformers' own forward: 9.7 of 42.3 GMAC, and the same logits without them."""
    as_it_comes = part(AsItComes, build=dpt_small)
    whole = part(
        Without, network=as_it_comes, in_evaluation=("network.auxiliary_head",), verified_px=(256, 256)
    )  # fmt: skip
    before, after = built(as_it_comes, 19), built(whole, 19)
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        assert torch.equal(before(image).logits, after(image).logits)
    counts = count_at(after, 256, 256).counts
    assert counts.wasted_macs() == 0
    assert counts.macs() / 1e9 == pytest.approx(42.3 - 9.7, rel=0.01)
    with pytest.raises(ChoiceError, match=r"cannot be without network\.neck"):
        built(whole.having(in_evaluation=("network.auxiliary_head", "network.neck")), 19)


@pytest.mark.parametrize("architecture", ["upernet", "dpt", "beit", "maskformer", "mask2former", "oneformer"])
def test_what_no_logits_depend_on_can_be_taken_out_of_every_architecture(architecture: str) -> None:
    """A last normalisation, a pooler, BEiT's last blocks: no loss reads them either."""
    whole = network(architecture)
    before = built(whole)
    unused = count_at(before, HEIGHT, WIDTH).counts.unused
    names = tuple(name.removeprefix("whole.") for name in unused)
    after = built(part(Without, network=whole, everywhere=names))
    assert names
    assert count_at(after, HEIGHT, WIDTH).counts.unused == ()
    assert sum(p.numel() for p in after.parameters()) < sum(p.numel() for p in before.parameters())
    image = torch.randn(1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        assert torch.equal(before(image).logits, after(image).logits)


def test_the_part_leaves_them_out_in_evaluation() -> None:
    for architecture in ("upernet", "dpt"):
        assert count_at(built(network(architecture)), HEIGHT, WIDTH).counts.idle() == []
