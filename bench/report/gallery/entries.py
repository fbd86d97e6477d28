"""One image of two variants as the gallery shows it: three panels of layers. Every picture is stored only once."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from bench.protocol.columns import JUDGED, column
from bench.protocol.words import plural
from bench.records.files import RecordError
from bench.records.pictures import Picture, read_pictures, read_predictions
from bench.report.gallery import layers as gallery_layers
from bench.report.gallery.ranking import ExampleKind, Ranked

DISPLAYED: Sequence[ExampleKind] = ("better", "worse", "median")


@dataclass(frozen=True)
class Layer:
    """A picture that lies over the layers below it.

    Attributes:
        picture: the name of the picture in :attr:`Pool.uris`.
        kind: ``input``, ``label``, ``classes``, ``errors``, ``truth`` (the label's boundaries) or ``boundaries``.
        says: the description for people who cannot see the picture; empty for a layer that another panel describes.
    """

    picture: str
    kind: str
    says: str = ""


@dataclass(frozen=True)
class Panel:
    """A stack of layers with a title and a score. The first layer is the lowest."""

    title: str
    score: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Entry:
    """One image of a variant and the baseline. All values of mIoU are fractions of this image alone.

    Attributes:
        seed: the seed of the trials whose predictions are shown.
        miou: the mIoU of the variant in this seed.
        miou_baseline: the mIoU of the baseline in this seed.
        delta: the variant's mIoU minus the baseline's in this seed.
        mean_delta: the mean of that difference over all seeds.
        change: both differences in words.
        stride: the step at which rows and columns of the image were kept, so 2 for every other one.
    """

    image: str
    kind: ExampleKind
    seed: int
    miou: float
    miou_baseline: float
    delta: float
    mean_delta: float
    change: str
    stride: int
    height: int
    width: int
    label: Panel
    baseline: Panel
    variant: Panel


@dataclass
class Pool:
    """The pictures as data URIs, each stored once, with at most ``limit_bytes`` together."""

    limit_bytes: int = 0
    used_bytes: int = 0
    uris: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def add(self, files: Sequence[tuple[str, bytes]]) -> list[str] | None:
        """Add files, each a type and a content, and return their names; ``None``, and none is added, without room."""
        uris = [f"data:image/{kind};base64,{base64.b64encode(content).decode()}" for kind, content in files]
        more = sum(map(len, set(uris) - set(self._names)))
        if self.used_bytes + more > self.limit_bytes:
            return None
        self.used_bytes += more
        for uri in uris:
            self.uris[self._names.setdefault(uri, f"picture-{len(self._names)}")] = uri
        return [self._names[uri] for uri in uris]


@dataclass(frozen=True)
class Shown:
    """The scores of two variants image by image, their names on the page, and the number of classes."""

    ranked: Ranked
    variant: str
    baseline: str
    classes: int


def entries(pair: Shown, pool: Pool) -> list[Entry]:
    """The most telling entries of a pair, as many as ``pool`` has room for, in the order of the page."""
    chosen = []
    for index, kind in pair.ranked.chosen():
        entry = _entry(pair, index, kind, pool)
        if entry is None:
            break
        chosen.append(entry)
    return sorted(chosen, key=lambda entry: (DISPLAYED.index(entry.kind), -abs(entry.mean_delta)))


def _entry(pair: Shown, index: int, kind: ExampleKind, pool: Pool) -> Entry | None:
    """The entry of one image; ``None`` if ``pool`` has no room for its pictures."""
    ranked, seed = pair.ranked, pair.ranked.seed_of(index)
    row = ranked.seeds.index(seed)
    miou, miou_baseline = float(ranked.variant[row, index]), float(ranked.baseline[row, index])
    delta = miou - miou_baseline
    picture = read_pictures(ranked.pictured[seed].images, [index])[index]
    drawn = list(_drawn(pair, index, seed, picture))
    names = pool.add([(kind, content) for _, kind, content in drawn])
    if names is None:
        return None
    at = {role: name for (role, _, _), name in zip(drawn, names, strict=True)}
    image, mean = ranked.names[index], float(ranked.mean_delta[index])
    with Image.open(io.BytesIO(picture.jpeg)) as opened:
        width, height = opened.size
    return Entry(
        image, kind, seed, miou, miou_baseline, delta, mean, _change(pair, seed, delta, mean), picture.stride,
        height, width,
        label=Panel(
            "label",
            "",
            (
                Layer(at["input"], "input", f"Image {image}"),
                Layer(at["label"], "label", f"Label of image {image}"),
                Layer(at["truth"], "truth", f"Boundaries of the label of image {image}"),
            ),
        ),
        baseline=_panel(pair.baseline, miou_baseline, image, at, "baseline"),
        variant=_panel(pair.variant, miou, image, at, "variant"),
    )  # fmt: skip


def _drawn(pair: Shown, index: int, seed: int, picture: Picture) -> Iterator[tuple[str, str, bytes]]:
    """Yield every picture of an entry as its role, its type and its content."""
    label, count = picture.label, pair.classes
    archives = pair.ranked.pictured[seed]
    guesses = {
        side: read_predictions(path, [index])[index]
        for side, path in (("baseline", archives.baseline), ("variant", archives.variant))
    }
    for path, guess in ((archives.baseline, guesses["baseline"]), (archives.variant, guesses["variant"])):
        if guess.shape != label.shape:
            raise RecordError(f"{path} holds a prediction of another size than its label; delete it")
    yield "input", "jpeg", picture.jpeg
    yield "label", "png", gallery_layers.classes(label, label, count)
    yield "truth", "png", gallery_layers.boundaries(label, gallery_layers.LABEL_COLOUR)
    for side, other in (("baseline", "variant"), ("variant", "baseline")):
        guess = guesses[side]
        yield f"{side} classes", "png", gallery_layers.classes(guess, label, count)
        yield f"{side} errors", "png", gallery_layers.errors(guess, guesses[other], label)
        yield f"{side} boundaries", "png", gallery_layers.boundaries(guess, gallery_layers.PREDICTION_COLOUR)


def _panel(name: str, miou: float, image: str, at: Mapping[str, str], side: str) -> Panel:
    score = f"{column(JUDGED).shown(miou)}\N{NO-BREAK SPACE}{column(JUDGED).shown_unit}"
    what = f"of {name} for image {image}: mIoU {score}"
    return Panel(
        name,
        score,
        (
            Layer(at["input"], "input"),
            Layer(at[f"{side} classes"], "classes", f"Prediction {what}"),
            Layer(at[f"{side} errors"], "errors", f"Errors {what}"),
            Layer(at["truth"], "truth"),
            Layer(at[f"{side} boundaries"], "boundaries", f"Boundaries {what}"),
        ),
    )


def _change(pair: Shown, seed: int, delta: float, mean: float) -> str:
    judged, seeds = column(JUDGED), len(pair.ranked.seeds)
    if seeds == 1:
        return f"{judged.signed(mean)} {judged.difference_unit} (seed {seed})"
    over_seeds = f"{judged.signed(mean)} {judged.difference_unit}, mean of {plural(seeds, 'seed')}"
    return f"{over_seeds}; seed {seed}, shown: {judged.signed(delta)}"
