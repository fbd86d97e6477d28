"""COCO-Stuff 164k, 171 classes: 118287 training and 5000 validation images with 80 kinds of things and 91 of stuff.

**Source**: Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018; the folders and
values are described by the README of the official nightrome/cocostuff (commit 03a2b2b), the names by its
``labels.txt`` (commit cad9456), and the eleven of them that COCO took out by its ``labels.md`` (commit 0f0cb3f).

**Cross-checked** (names, order, bytes): tools/dataset_converters/coco_stuff164k.py of open-mmlab/mmsegmentation at
b7fcd9e with mmseg/utils/class_names.py at 0c87f7a, and data/datasets of kazuto1011/deeplab-pytorch:
cocostuff10k/labels.txt at 6a03e8c and the layout in cocostuff/README.md at 3a634f2.

**Departures**: none. The published numbers of images are not enforced.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.base import IGNORE, SplitName
from bench.data.files import Naming
from bench.data.official.foldered import FolderedFiles
from bench.data.official.layout import beginning, coding_of
from bench.parts import Count

NAMES = """
person; bicycle; car; motorcycle; airplane; bus; train; truck; boat; traffic light; fire hydrant; street sign; stop
sign; parking meter; bench; bird; cat; dog; horse; sheep; cow; elephant; bear; zebra; giraffe; hat; backpack;
umbrella; shoe; eye glasses; handbag; tie; suitcase; frisbee; skis; snowboard; sports ball; kite; baseball bat;
baseball glove; skateboard; surfboard; tennis racket; bottle; plate; wine glass; cup; fork; knife; spoon; bowl;
banana; apple; sandwich; orange; broccoli; carrot; hot dog; pizza; donut; cake; chair; couch; potted plant; bed;
mirror; dining table; window; desk; toilet; door; tv; laptop; mouse; remote; keyboard; cell phone; microwave; oven;
toaster; sink; refrigerator; blender; book; clock; vase; scissors; teddy bear; hair drier; toothbrush; hair brush;
banner; blanket; branch; bridge; building-other; bush; cabinet; cage; cardboard; carpet; ceiling-other; ceiling-tile;
cloth; clothes; clouds; counter; cupboard; curtain; desk-stuff; dirt; door-stuff; fence; floor-marble; floor-other;
floor-stone; floor-tile; floor-wood; flower; fog; food-other; fruit; furniture-other; grass; gravel; ground-other;
hill; house; leaves; light; mat; metal; mirror-stuff; moss; mountain; mud; napkin; net; paper; pavement; pillow;
plant-other; plastic; platform; playingfield; railing; railroad; river; road; rock; roof; rug; salad; sand; sea;
shelf; sky-other; skyscraper; snow; solid-other; stairs; stone; straw; structural-other; table; tent; textile-other;
towel; tree; vegetable; wall-brick; wall-concrete; wall-other; wall-panel; wall-stone; wall-tile; wall-wood;
water-other; waterdrops; window-blind; window-other; wood
"""
"""The labels 1 to 182 in order. A label file holds each less one: the bytes 0 to 181."""

REMOVED = (
    "street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender", "hair brush",
)  # fmt: skip
"""The labels that were removed from COCO, so that no pixel has them."""

ALL_NAMES = tuple(" ".join(name.split()) for name in NAMES.split(";"))
CONVERTED = "_labelTrainIds"
"""The ending of the label files that mmsegmentation's converter writes beside the published ones."""


class COCOStuff(FolderedFiles):
    """COCO-Stuff 164k: ``images/train2017`` with ``annotations/train2017``, likewise ``val2017``.

    Args:
        folder: the folder that holds ``images`` and ``annotations``, or one in which ``dataset`` lies.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
    """

    name = "coco_stuff"
    title = "COCO-Stuff"
    naming = Naming((".jpg", ".jpeg"), (".png",), other_label_ending=CONVERTED)
    classes: tuple[str, ...] = tuple(name for name in ALL_NAMES if name not in REMOVED)

    def __init__(self, folder: Path | None, *, train_images: Count | None = None) -> None:
        super().__init__(folder, train_images)
        self.folder = beginning(self.folder, ("dataset",), ("images", "annotations"), self.name)
        indices = {ALL_NAMES.index(name): index for index, name in enumerate(self.classes)}
        self.coding = coding_of(indices | {255: IGNORE}, "0 to 181 but for eleven removed things, and 255")

    def folders(self, name: SplitName) -> tuple[Path, Path] | None:
        if name == "test":
            return None
        return self.folder / "images" / f"{name}2017", self.folder / "annotations" / f"{name}2017"
