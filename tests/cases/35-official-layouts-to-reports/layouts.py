"""Writes tiny copies of published data sets in the layouts that their archives unpack to, and a folder of one's own."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (40, 56)
random = np.random.default_rng(0)


def image(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    coarse.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path)


def values(allowed: list[int]) -> np.ndarray:
    """A map of blocks, each of one of the allowed values."""
    blocks = random.choice(allowed, (5, 7))
    return blocks.repeat(8, 0).repeat(8, 1)


def label(path: str, allowed: list[int], palette: bool = False) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values(allowed).astype(np.uint8))
    if palette:
        picture.putpalette(list(range(256)) * 3)
    picture.save(path)


def names(path: str, listed: list[str]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n".join(listed) + "\n")


def camvid() -> None:
    for split in ("train", "val", "test"):
        for index in range(4):
            image(f"camvid/images/{split}/{split}{index}.png")
            label(f"camvid/labels/{split}/{split}{index}.png", list(range(12)))


def cityscapes() -> None:
    for split, city in (("train", "aachen"), ("val", "lindau")):
        for index in range(4):
            stem = f"{city}_{index:06d}_000019"
            image(f"cityscapes/leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
            label(f"cityscapes/gtFine/{split}/{city}/{stem}_gtFine_labelIds.png", list(range(34)))
            label(f"cityscapes/gtFine/{split}/{city}/{stem}_gtFine_color.png", list(range(34)))


def ade20k() -> None:
    for split in ("training", "validation"):
        for index in range(4):
            image(f"ade20k/images/{split}/ADE_{split}_{index:08d}.jpg")
            label(f"ade20k/annotations/{split}/ADE_{split}_{index:08d}.png", list(range(151)))


def voc2012() -> None:
    for split in ("train", "val"):
        stems = [f"2007_{split}{index}" for index in range(4)]
        names(f"voc2012/ImageSets/Segmentation/{split}.txt", stems)
        for stem in stems:
            image(f"voc2012/JPEGImages/{stem}.jpg")
            label(f"voc2012/SegmentationClass/{stem}.png", [*range(21), 255], palette=True)


def pascal_context() -> None:
    for split in ("train", "val"):
        stems = [f"2008_{split}{index}" for index in range(4)]
        names(f"pascal_context/ImageSets/Main/{split}.txt", stems)
        for stem in stems:
            image(f"pascal_context/JPEGImages/{stem}.jpg")
            Path("pascal_context/trainval").mkdir(exist_ok=True)
            savemat(f"pascal_context/trainval/{stem}.mat", {"LabelMap": values(list(range(1, 460))).astype(np.uint16)})


def coco_stuff() -> None:
    things = [index for index in range(182) if index not in (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)]
    for split in ("train2017", "val2017"):
        for index in range(4):
            image(f"coco_stuff/images/{split}/{index:012d}.jpg")
            label(f"coco_stuff/annotations/{split}/{index:012d}.png", [*things, 255])


def coco_stuff_10k() -> None:
    for split in ("train", "test"):
        stems = [f"COCO_train2014_{split}{index}" for index in range(4)]
        names(f"coco_stuff_10k/imageLists/{split}.txt", stems)
        for stem in stems:
            image(f"coco_stuff_10k/images/{stem}.jpg")
            Path("coco_stuff_10k/annotations").mkdir(exist_ok=True)
            things = [index for index in range(1, 183) if index not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)]
            savemat(f"coco_stuff_10k/annotations/{stem}.mat", {"S": values([0, *things]).astype(np.uint16)})


def mapillary_vistas() -> None:
    labels = [{"name": f"object--{index}", "evaluate": index != 5, "color": [index, 0, 0]} for index in range(6)]
    for split in ("training", "validation"):
        for index in range(4):
            image(f"mapillary_vistas/{split}/images/{split}{index}.jpg")
            label(f"mapillary_vistas/{split}/v1.2/labels/{split}{index}.png", list(range(6)), palette=True)
    Path("mapillary_vistas/config_v1.2.json").write_text(json.dumps({"labels": labels}))


def own() -> None:
    """Forty photographs with masks in colours, in one folder each and without splits."""
    colours = np.array([[128, 64, 128], [70, 130, 180], [107, 142, 35]], dtype=np.uint8)
    for index in range(40):
        image(f"own/images/photo {index} ü.jpg")
        Path("own/masks").mkdir(exist_ok=True)
        file = io.BytesIO()
        Image.fromarray(colours[values([0, 1, 2])]).save(file, "PNG")
        Path(f"own/masks/photo {index} ü.png").write_bytes(file.getvalue())


for make in (
    camvid, cityscapes, ade20k, voc2012, pascal_context, coco_stuff, coco_stuff_10k, mapillary_vistas, own,
):  # fmt: skip
    make()
