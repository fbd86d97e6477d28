"""Predictions of a trained network for images that belong to no data set: index masks, and pictures to look at."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from bench.data.base import DataError
from bench.data.pixels import Colour, read_image
from bench.network.model import SegModel
from bench.parts import BenchError
from bench.protocol.recipe import Recipe
from bench.protocol.testing import WHOLE
from bench.training.inference import Prediction
from bench.training.inference import predict as predict_whole
from bench.training.protocols import predict_by_views

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif"})
"""The endings of the names of image files that are looked for in a folder, in lower case."""

MASKS, OVERLAYS, CLASSES = "masks", "overlays", "classes.json"
"""The two folders of predictions and the file of the names and colours of classes."""


class PredictionError(BenchError, ValueError):
    """Images that cannot be found, or predictions that cannot be written."""


def images_in(place: Path) -> list[tuple[Path, Path]]:
    """The image files of a folder and the folders in it, or one file; each with its path from the folder on.

    Hidden files are left out.

    Raises:
        PredictionError: if there are none, or if two of them would have the same mask.
    """
    if place.is_file():
        return [(place, Path(place.name))]
    if not place.is_dir():
        raise PredictionError(f"{place} is neither an image nor a folder of images")
    relative = [path.relative_to(place) for path in sorted(place.rglob("*")) if path.suffix.lower() in SUFFIXES]
    named = [path for path in relative if not any(name.startswith(".") for name in path.parts)]
    if not named:
        raise PredictionError(f"{place} has no images; their names end with {', '.join(sorted(SUFFIXES))}")
    masks: dict[Path, Path] = {}
    for path in named:
        if (other := masks.setdefault(path.with_suffix(".png"), path)) != path:
            raise PredictionError(f"{place / other} and {place / path} would have the same mask; rename one of them")
    return [(place / path, path) for path in named]


def predict(
    model: SegModel,
    recipe: Recipe,
    classes: list[str],
    images: list[tuple[Path, Path]],
    out: Path,
    published: Sequence[Colour] = (),
) -> Iterator[tuple[Path, str]]:
    """Predict images one by one, and write a mask and an overlay of each.

    A mask is a PNG of the image's size whose values are class indices, with a palette so that it can be looked at; an
    overlay is the image with the classes' colours laid over it. ``classes.json`` has the names and the colours.

    Args:
        model: the network, in evaluation mode.
        recipe: how images are tested: the whole image or windows, at one scale or several, with or without a flip.
        classes: the names of the classes.
        images: the files, each with its path from the folder of images on.
        out: the folder to write.
        published: the colours that the classes have where their data set is published; if they are not as many as the
            classes, colours are chosen.

    Yields:
        Each image with what is wrong with it; with an empty text if it was predicted.

    Raises:
        PredictionError: if ``out`` cannot be written to.
    """
    device = next(model.parameters()).device
    by_views = any(getattr(recipe, name) != value for name, value in WHOLE.items())
    colours = list(published) if len(published) == len(classes) else class_colours(len(classes))
    described = [{"index": index, "name": name, "colour": list(colours[index])} for index, name in enumerate(classes)]
    _written(out / CLASSES, lambda path: path.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8"))
    for path, relative in images:
        try:
            image = read_image(path)
        except DataError as error:
            yield path, str(error)
            continue
        batch = image[None].to(device)
        prediction = predict_by_views(model, batch, recipe) if by_views else predict_whole(model, batch)
        if not bool(prediction.finite.all()):
            yield path, "the network's scores for it are not finite numbers"
            continue
        mask = _mask(prediction, colours)
        _written(out / MASKS / relative.with_suffix(".png"), mask.save)
        _written(out / OVERLAYS / relative.with_suffix(".jpg"), _overlay(image, mask).save)
        yield path, ""


def class_colours(count: int) -> list[Colour]:
    """Colours that neighbours in a list of classes do not share: hues a golden angle apart, in two lightnesses."""
    hues = [(index * 0.618034) % 1 for index in range(count)]
    rgb = [colorsys.hls_to_rgb(hue, 0.35 if index % 2 else 0.6, 0.85) for index, hue in enumerate(hues)]
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in rgb]


def _mask(prediction: Prediction, colours: list[Colour]) -> Image.Image:
    mask = Image.fromarray(prediction.classes[0].cpu().numpy())
    mask.putpalette([value for colour in colours for value in colour])
    return mask


def _overlay(image: Tensor, mask: Image.Image) -> Image.Image:
    below = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    return Image.blend(below, mask.convert("RGB"), 0.5)


def _written(path: Path, write: Callable[[Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        raise PredictionError(f"{path} cannot be written ({error.strerror or error})") from error
