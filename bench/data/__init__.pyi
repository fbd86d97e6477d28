"""The names that ``bench.data`` offers, each imported when it is first used."""

from .base import IGNORE as IGNORE
from .base import DataError as DataError
from .base import Dataset as Dataset
from .base import Sample as Sample
from .base import Split as Split
from .camvid import CamVid as CamVid
from .control import ControlScenes as ControlScenes
from .official.cityscapes import Cityscapes as Cityscapes
from .own.folder import Folder as Folder
from .synthetic import Synthetic as Synthetic

__all__ = [
    "IGNORE",
    "CamVid",
    "Cityscapes",
    "ControlScenes",
    "DataError",
    "Dataset",
    "Folder",
    "Sample",
    "Split",
    "Synthetic",
]
