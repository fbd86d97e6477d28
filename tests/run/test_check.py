"""The check of a study's cells: a faulty component is one line of its cell, and the other cells go on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import AuxiliaryLoss, SegmentationLoss
from bench.network.model import Variant
from bench.network.whole.without import Without
from bench.parts import Level, Part, part
from bench.protocol.recipe import Recipe
from bench.run.check import Checked, Faulty, check_cells, facts
from bench.study.cells import Cell
from bench.study.factors import Change, Factor, StudyError, adding, change, choose
from bench.study.study import Study
from tests.measure.networks import Pixelwise, TwoLayers, WithUnusedHead

PX = (32, 48)
CLASSES = 5
BASE = Variant(
    backbone=part(ResNet, depth=18, width=4, output_stride=32),
    head=part(FCNHead, width=8),
    losses=(part(SegmentationLoss),),
)


class Head(nn.Module):
    """A head of one convolution, from which faulty ones are derived."""

    def __init__(self, levels: tuple[Level, ...], num_classes: int, boundary: Level | None = None) -> None:
        super().__init__()
        self.classify = nn.Conv2d(levels[-1].channels, num_classes, 1)

    def forward(self, features: list[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False):
        return self.classify(self.changed(features[-1])), {}

    def changed(self, x: Tensor) -> Tensor:
        return x


class WrongConvolution(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.classify = nn.Conv2d(512, num_classes, 1)


class WrongNormalisation(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.normalise = nn.BatchNorm2d(512)

    def changed(self, x: Tensor) -> Tensor:
        return self.normalise(x)


class WrongLinear(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.linear = nn.Linear(512, 4)

    def changed(self, x: Tensor) -> Tensor:
        return x + self.linear(x.mean((2, 3)))[..., None, None]


class RefusesItsFacts(Head):
    def __init__(self, levels, num_classes, boundary=None):
        raise ValueError("I want\nfour levels")


class LogitsAlone(Head):
    def forward(self, features, boundary=None, *, with_aux=False):
        return self.classify(features[-1])


class LogitsInADict(Head):
    def forward(self, features, boundary=None, *, with_aux=False):
        return {"logits": self.classify(features[-1])}


class TooManyChannels(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes + 1)


class LostImport(Head):
    def changed(self, x: Tensor) -> Tensor:
        return lost.relu(x)  # noqa: F821 - a mistake


class Lazy(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.entry = nn.LazyConv2d(8, 1)


class LeftTheDevice(Head):
    def changed(self, x: Tensor) -> Tensor:
        return x.view(-1).nothing_like_this()


class NoGpu(Head):
    def changed(self, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class EndsTheProgram(Head):
    def __init__(self, levels, num_classes, boundary=None):
        raise SystemExit(3)


class TakesNothing(Head):
    def __init__(self) -> None:
        super().__init__((Level(4, 4),), CLASSES)


class TakesNoAux(Head):
    def forward(self, features, boundary=None):
        return self.classify(features[-1]), {}


class Term(nn.Module):
    """A loss term, from which faulty ones are derived."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, output, label):
        return output.logits.square()


class ItsValue(Term):
    def forward(self, output, label):
        return 3.0


class OfTheBest(Term):
    def forward(self, output, label):
        return output.logits.argmax(1).float().mean()


class WeighsItself(Term):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.uncertainty = nn.Parameter(torch.zeros(()))

    def forward(self, output, label):
        return output.logits.square().mean() * (-self.uncertainty).exp() + self.uncertainty


class GoesThroughNumpy(Pixelwise):
    def forward(self, image: Tensor):
        return torch.from_numpy(self.classify(image).detach().numpy())


class GivesADict(Pixelwise):
    def forward(self, image: Tensor):
        return {"out": self.classify(image), "aux": image}


class GivesATuple(Pixelwise):
    def forward(self, image: Tensor):
        return self.classify(image), image


class GivesOneImage(Pixelwise):
    def forward(self, image: Tensor):
        return self.classify(image)[0]


class WrongNeck(nn.Module):
    """A neck that announces another number of channels than it gives."""

    def __init__(self, levels: tuple[Level, ...]) -> None:
        super().__init__()
        self.out_levels = (*levels[:-1], Level(7, levels[-1].stride))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features


class OneMap(WrongNeck):
    def forward(self, features: list[Tensor]):
        return features[-1]


def classes_of(cell: Cell) -> int:
    return CLASSES


def study(faulty: Change, base: Variant = BASE) -> Study:
    """Two right cells, with one that may be faulty between them."""
    return study_of({"one": change(), "mine": faulty, "two": change(head=part(FCNHead, width=4))}, base)


def study_of(levels: dict[str, Change], base: Variant) -> Study:
    """A study with one factor, whose first level is the baseline."""
    return Study(
        name="checked",
        question="Which cells are right?",
        base=base,
        factors=(Factor("part", levels),),
        baseline={"part": next(iter(levels))},
        recipe=Recipe(data=part(Synthetic), crop_px=PX, iterations=1, batch=2),
    )


def with_head(cls: type[nn.Module]) -> Change:
    return change(head=part(cls))


def whole(cls: type[nn.Module]) -> Change:
    return change(backbone=None, head=None, whole=part(cls))


FAULTS = {
    "a wrong number of channels of a convolution": (
        with_head(WrongConvolution), r"test_check\.py:\d+: RuntimeError: .*512 channels.*levels\[-1\]\.chan"
    ),
    "a wrong number of channels of a normalisation": (
        with_head(WrongNormalisation), r"test_check\.py:\d+: RuntimeError: .*512.*levels\[-1\]\.channels"
    ),
    "a wrong number of channels of a linear layer": (
        with_head(WrongLinear), r"test_check\.py:\d+: RuntimeError: .*512.*levels\[-1\]\.channels"
    ),
    "an error of the constructor": (with_head(RefusesItsFacts), r"test_check\.py:\d+: ValueError: I want four levels$"),
    "a head that returns its logits alone": (
        with_head(LogitsAlone), r"the head LogitsAlone returns a tensor;.*return logits, \{\}"
    ),
    "a head that returns a dict": (
        with_head(LogitsInADict), r"the head LogitsInADict returns a dict with 'logits'.*return logits, \{\}"
    ),
    "logits of another number of classes": (
        with_head(TooManyChannels), r"TooManyChannels returns logits of the shape \(2, 6, 1, 2\).*K = 5"
    ),
    "an auxiliary head that returns its logits alone": (
        change(auxiliary=part(LogitsAlone), losses=adding(part(AuxiliaryLoss, outputs=("c4",)))),
        r"the auxiliary head LogitsAlone returns a tensor",
    ),
    "a lost import": (with_head(LostImport), r"test_check\.py:\d+: NameError: name 'lost' .*import it"),
    "a limit of a class's share that no crop can meet": (
        change(recipe=choose(largest_class_share=0.2)), "largest_class_share=0.2 can be met by no crop: of 5 classes"
    ),
    "an end of the program": (with_head(EndsTheProgram), r"test_check\.py:\d+: SystemExit: 3"),
    "a constructor without the facts": (
        with_head(TakesNothing), r"TypeError: TakesNothing\.__init__\(\) takes 1 positional .*docs/components"
    ),
    "a forward without side outputs": (
        with_head(TakesNoAux), r"TypeError: TakesNoAux\.forward\(\) got an unexpected .*docs/components"
    ),
    "a loss that is a map": (
        change(losses=(part(Term),)), r"the loss Term returns a tensor of the shape \(2, 5, 32, 48\).*one number"
    ),
    "a loss that is no tensor": (change(losses=(part(ItsValue),)), r"the loss ItsValue returns float"),
    "a loss without a gradient": (change(losses=(part(OfTheBest),)), r"no loss depends on a parameter"),
    "a loss with parameters": (
        change(losses=(part(WeighsItself),)), r"the loss WeighsItself has parameters of its own \(uncertainty\), which"
    ),
    "logits of values without a gradient": (whole(GoesThroughNumpy), r"no loss depends on a parameter"),
    "a lazy layer": (with_head(Lazy), r"the head Lazy has a lazy layer, entry \(LazyConv2d\)"),
    "a method that a tensor lacks": (with_head(LeftTheDevice), r"test_check\.py:\d+: AttributeError: "),
    "not enough memory": (with_head(NoGpu), r"test_check\.py:\d+: OutOfMemoryError: CUDA out of memory"),
    "a network that returns a dict": (
        whole(GivesADict), r"the network GivesADict returns a dict with 'out', 'aux';.*return output\['out'\]"
    ),
    "a network that returns a tuple": (
        whole(GivesATuple), r"the network GivesATuple returns a tuple of 2 tensors;.*return the logits alone"
    ),
    "a network that returns one image": (whole(GivesOneImage), r"returns logits of the shape \(5, 32, 48\); .*N K H W"),
    "a neck of another number of channels": (
        change(neck=part(WrongNeck)), r"the neck WrongNeck returns a map of the shape \(2, 32, 1, 2\) for out_levels"
    ),
    "a neck that returns one map": (change(neck=part(OneMap)), r"the neck OneMap returns a tensor; it must return"),
    "a loss of an output that is not there": (
        change(losses=adding(part(AuxiliaryLoss, outputs=("pam",)))), r"AuxiliaryLoss reads the side output 'pam'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_component_is_one_line_of_its_cell_and_the_others_go_on(name: str) -> None:
    faulty, message = FAULTS[name]
    one, mine, two = check_cells(study(faulty), classes_of, *PX)
    assert isinstance(one, Checked)
    assert isinstance(two, Checked)
    assert isinstance(mine, Faulty)
    assert mine.cell.name == "part=mine"
    assert re.search(message, mine.reason), mine.reason
    assert "\n" not in str(mine)
    assert "Traceback" in mine.traceback


class DropRates(Head):
    """Spreads rates over its depth by ``.item()``, as many transformers do."""

    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]


class LooksAtAValue(Head):
    def changed(self, x: Tensor) -> Tensor:
        return x.clamp(-100, 100) if x.abs().max() > 100 else x


class CountsInNumpy(Head):
    def changed(self, x: Tensor) -> Tensor:
        return x * float(x.detach().numpy().size > 0)


class DrawnByNumpy(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        import numpy as np

        drawn = np.ones(self.classify.weight.shape, np.float32)
        self.classify.weight = nn.Parameter(torch.from_numpy(drawn))


class BufferOfValues(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.register_buffer("steps", torch.arange(3))
        assert self.steps.tolist() == [0, 1, 2]


@pytest.mark.parametrize("head", [DropRates, LooksAtAValue, CountsInNumpy, DrawnByNumpy, BufferOfValues])
def test_a_component_that_reads_values_is_built_for_real_and_counted_alike(head: type[nn.Module]) -> None:
    plain, mine = (list(check_cells(study(with_head(cls)), classes_of, *PX))[1] for cls in (Head, head))
    assert isinstance(plain, Checked)
    assert isinstance(mine, Checked), mine
    assert (mine.parameters, mine.macs, mine.output_shape) == (plain.parameters, plain.macs, plain.output_shape)


def notes(changed: Change, base: Variant = BASE) -> Iterator[tuple[str, ...]]:
    for network in check_cells(study(changed, base), classes_of, *PX):
        assert isinstance(network, Checked), network
        yield network.notes


class Unused(Head):
    def __init__(self, levels, num_classes, boundary=None):
        super().__init__(levels, num_classes)
        self.attention = nn.Conv2d(levels[-1].channels, 16, 1)


class UnusedNeck(nn.Module):
    def __init__(self, levels: tuple[Level, ...]) -> None:
        super().__init__()
        self.out_levels = levels
        self.left_over = nn.Linear(2, 2, bias=False)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features


C4 = part(AuxiliaryLoss, outputs=("c4",))


def test_an_auxiliary_head_that_no_loss_reads_is_said() -> None:
    _, (note,), _ = notes(change(auxiliary=part(FCNHead, width=4)))
    assert note.startswith("no loss reads the auxiliary head FCNHead, so it is never trained; give losses adding(")
    assert list(notes(change(auxiliary=part(FCNHead, width=4), losses=adding(C4)))) == [(), (), ()]


def test_the_layers_that_a_forward_leaves_out_are_said() -> None:
    _, (note,), _ = notes(with_head(Unused))
    assert note.startswith("no loss reads attention.weight, attention.bias of the head Unused")
    _, (note,), _ = notes(change(neck=part(UnusedNeck)))
    assert "the neck UnusedNeck" in note


def test_a_note_is_of_the_losses_of_its_own_cell() -> None:
    aux = Variant(BASE.backbone, BASE.head, auxiliary=part(FCNHead, width=4), losses=BASE.losses)
    one, mine, two = notes(change(losses=adding(C4)), aux)
    assert (len(one), len(mine), len(two)) == (1, 0, 1)


@pytest.mark.parametrize(
    "head", [part(DualAttentionHead, width=8), part(Head), part(FCNHead, width=8, dropout=0.0)], ids=str
)
def test_nothing_is_said_of_a_head_that_is_read(head: Part[nn.Module]) -> None:
    assert [*notes(change(head=head))][1] == () or head.cls is DualAttentionHead


def test_a_study_whose_data_have_one_class_is_refused_where_quality_is_measured() -> None:
    with pytest.raises(StudyError, match="one class, .*name the background as a second class"):
        list(check_cells(study(with_head(Head)), lambda cell: 1, *PX))
    timed = study(with_head(Head)).having(stages=("cost",))
    assert all(isinstance(network, Checked) for network in check_cells(timed, lambda cell: 1, *PX))


def test_the_audit_compares_the_right_cells_and_none_if_the_baseline_is_faulty() -> None:
    checked_study = study(with_head(LogitsAlone))
    networks = [network for network in check_cells(checked_study, classes_of, *PX) if isinstance(network, Checked)]
    assert list(facts(checked_study, networks, *PX).variants) == ["part=one", "part=two"]
    assert facts(checked_study, networks[1:], *PX).variants == {}


class QueriesAlone(nn.Module):
    """A whole network whose logits have no gradient in training, but whose side output has one."""

    has_side_outputs = True

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Conv2d(3, num_classes, 1)

    def forward(self, image: Tensor, *, with_aux: bool = False):
        logits = self.classify(image)
        return (logits.detach(), {"own": logits}) if with_aux else logits


class QueriesOfValues(QueriesAlone):
    """The same, with a forward that reads a value, so that it is not computed from shapes alone."""

    def forward(self, image: Tensor, *, with_aux: bool = False):
        return super().forward(image * (1 + bool(image.sum() > 0)), with_aux=with_aux)


@pytest.mark.parametrize("network", [QueriesAlone, QueriesOfValues])
def test_a_loss_that_trains_nothing_beside_one_that_does_is_named(network: type[nn.Module]) -> None:
    own = (part(AuxiliaryLoss, outputs=("own",)),)
    base = Variant(whole=part(network), losses=own)
    levels = {"own": change(), "mixed": change(losses=(*own, part(SegmentationLoss)))}
    mixed = study_of(levels, base)
    fine, faulty = check_cells(mixed, lambda cell: CLASSES, *PX)
    assert isinstance(fine, Checked), fine
    assert isinstance(faulty, Faulty)
    assert "the loss SegmentationLoss reads the logits, which have no gradient in training" in faulty.reason


def test_modules_that_run_for_nothing_are_said() -> None:
    network = list(check_cells(study(whole(WithUnusedHead)), classes_of, *PX))[1]
    assert isinstance(network, Checked), network
    assert network.wasted == {"whole.auxiliary_head": 32 * 48 * 27 * 8}
    assert any("GMAC never reach the output, those of whole.auxiliary_head:" in note for note in network.notes)
    assert network.extrapolated == ""
    way_out = "whole=part(Without, network=…, everywhere=('auxiliary_head',)) leaves out what it runs for nothing"
    assert network.notes[-1] == way_out
    switched = part(Without, network=part(WithUnusedHead), everywhere=("auxiliary_head",))
    network = list(check_cells(study(change(backbone=None, head=None, whole=switched)), classes_of, *PX))[1]
    assert isinstance(network, Checked), network
    assert (network.wasted, network.notes) == ({}, ())


def test_a_module_that_logits_depend_on_is_refused_although_shapes_stay_the_same() -> None:
    switched = part(Without, network=part(TwoLayers), in_evaluation=("norm",))
    network = list(check_cells(study(change(backbone=None, head=None, whole=switched)), classes_of, *PX))[1]
    assert isinstance(network, Faulty), network
    assert network.reason == "TwoLayers cannot be without norm: the logits depend on it"
