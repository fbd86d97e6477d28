"""The names that ``bench.data`` offers, each imported when it is first used."""

from .base import IGNORE as IGNORE
from .base import DataError as DataError
from .base import Dataset as Dataset
from .base import Sample as Sample
from .base import Split as Split
from .camvid import CamVid as CamVid
from .composed.corrupted import Corrupted as Corrupted
from .composed.transfer import Transfer as Transfer
from .control import ControlScenes as ControlScenes
from .official.ade20k import ADE20K as ADE20K
from .official.cityscapes import Cityscapes as Cityscapes
from .official.coco_stuff import COCOStuff as COCOStuff
from .official.coco_stuff_10k import COCOStuff10k as COCOStuff10k
from .official.mapillary_vistas import MapillaryVistas as MapillaryVistas
from .official.pascal_context import PascalContext as PascalContext
from .official.voc2012 import VOC2012 as VOC2012
from .own.folder import Folder as Folder
from .synthetic import Synthetic as Synthetic

__all__ = [
    "ADE20K", "IGNORE", "VOC2012", "COCOStuff", "COCOStuff10k", "CamVid", "Cityscapes", "ControlScenes", "Corrupted",
    "DataError", "Dataset", "Folder", "MapillaryVistas", "PascalContext", "Sample", "Split", "Synthetic", "Transfer",
]  # fmt: skip
