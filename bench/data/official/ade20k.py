"""ADE20K in the form of the Scene Parsing Challenge 2016, 150 classes: 20210 training and 2000 validation images.

**Source**: Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017; the folders and values are described by
the README of the official CSAILVision/sceneparsing (commit 07a8e27), the names by its ``objectInfo150.txt`` (commit
4ce20bd), of whose synonyms the first is taken.

**Cross-checked** (names, order, shift by one): mmseg/datasets/ade.py of open-mmlab/mmsegmentation at 088894b, which
calls the class 90 "television receiver", and detectron2/data/datasets/builtin_meta.py of facebookresearch/detectron2
at 0dd2b65, which shortens some names.

**Departures**: none. The published numbers of images are not enforced.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.base import IGNORE, SplitName
from bench.data.official.foldered import FolderedFiles
from bench.data.official.layout import beginning, coding_of
from bench.parts import Count

NAMES = """
wall; building; sky; floor; tree; ceiling; road; bed; windowpane; grass; cabinet; sidewalk; person; earth; door;
table; mountain; plant; curtain; chair; car; water; painting; sofa; shelf; house; sea; mirror; rug; field; armchair;
seat; fence; desk; rock; wardrobe; lamp; bathtub; railing; cushion; base; box; column; signboard; chest of drawers;
counter; sand; sink; skyscraper; fireplace; refrigerator; grandstand; path; stairs; runway; case; pool table; pillow;
screen door; stairway; river; bridge; bookcase; blind; coffee table; toilet; flower; book; hill; bench; countertop;
stove; palm; kitchen island; computer; swivel chair; boat; bar; arcade machine; hovel; bus; towel; light; truck;
tower; chandelier; awning; streetlight; booth; television; airplane; dirt track; apparel; pole; land; bannister;
escalator; ottoman; bottle; buffet; poster; stage; van; ship; fountain; conveyer belt; canopy; washer; plaything;
swimming pool; stool; barrel; basket; waterfall; tent; bag; minibike; cradle; oven; ball; food; step; tank; trade
name; microwave; pot; animal; bicycle; lake; dishwasher; screen; blanket; sculpture; hood; sconce; vase; traffic
light; tray; ashcan; fan; pier; crt screen; plate; monitor; bulletin board; shower; radiator; glass; clock; flag
"""
"""The classes in the order of the bytes 1 to 150."""

FOLDERS = {"train": "training", "val": "validation"}


class ADE20K(FolderedFiles):
    """ADE20K as ADEChallengeData2016: ``images/training`` with ``annotations/training``, likewise ``validation``.

    Args:
        folder: the folder that holds ``images`` and ``annotations``, or the one that ``ADEChallengeData2016`` lies in.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
    """

    name = "ade20k"
    title = "ADE20K"
    classes: tuple[str, ...] = tuple(" ".join(name.split()) for name in NAMES.split(";"))

    def __init__(self, folder: Path | None, *, train_images: Count | None = None) -> None:
        super().__init__(folder, train_images)
        self.folder = beginning(self.folder, ("ADEChallengeData2016",), ("images", "annotations"), self.name)
        shifted = {index + 1: index for index in range(len(self.classes))}
        self.coding = coding_of({0: IGNORE} | shifted, f"0 to {len(self.classes)}")

    def folders(self, name: SplitName) -> tuple[Path, Path] | None:
        if name not in FOLDERS:
            return None
        return self.folder / "images" / FOLDERS[name], self.folder / "annotations" / FOLDERS[name]
