"""The names that ``bench.network`` offers, each imported when it is first used."""

from .backbones.resnet import ResNet as ResNet
from .backbones.shallow import ShallowBackbone as ShallowBackbone
from .backbones.simple_pyramid import SimplePyramid as SimplePyramid
from .backbones.timm import Timm as Timm
from .backbones.wide_resnet import WideResNet38 as WideResNet38
from .controls import matched_head as matched_head
from .heads.aspp import DeepLabV3Head as DeepLabV3Head
from .heads.aspp import DeepLabV3PlusHead as DeepLabV3PlusHead
from .heads.dual_attention import DualAttentionHead as DualAttentionHead
from .heads.encoding import EncNetHead as EncNetHead
from .heads.fcn import FCNHead as FCNHead
from .heads.psp import PSPHead as PSPHead
from .layers import (
    BoundaryFusion as BoundaryFusion,
)
from .layers import (
    Resize as Resize,
)
from .layers import (
    need_levels as need_levels,
)
from .layers import (
    need_stride as need_stride,
)
from .layers import (
    resize as resize,
)
from .losses.dual_task import DualTaskLoss as DualTaskLoss
from .losses.gscnn import BoundaryRestrictedLoss as BoundaryRestrictedLoss
from .losses.gscnn import ClassWeightedLoss as ClassWeightedLoss
from .losses.hard_pixels import OHEMLoss as OHEMLoss
from .losses.matched_masks import MatchedMasksLoss as MatchedMasksLoss
from .losses.regions import DiceLoss as DiceLoss
from .losses.regions import LovaszLoss as LovaszLoss
from .losses.segmentation import (
    AuxiliaryLoss as AuxiliaryLoss,
)
from .losses.segmentation import (
    BoundaryLoss as BoundaryLoss,
)
from .losses.segmentation import (
    SegmentationLoss as SegmentationLoss,
)
from .losses.segmentation import (
    SemanticEncodingLoss as SemanticEncodingLoss,
)
from .model import Output as Output
from .model import SegModel as SegModel
from .model import Variant as Variant
from .necks.bilinear import Bilinear as Bilinear
from .necks.fpn import FPN as FPN
from .necks.jpu import JPU as JPU
from .necks.jpu import JPUX as JPUX
from .necks.path_aggregation import PathAggregation as PathAggregation
from .own_losses import own_losses as own_losses
from .shape_streams.gated import GatedShapeStream as GatedShapeStream
from .trained import load as load
from .whole.config import hub_config as hub_config
from .whole.config import hub_config_of as hub_config_of
from .whole.huggingface import HuggingFace as HuggingFace
from .whole.smp import SMP as SMP
from .whole.without import Without as Without

__all__ = [
    "FPN",
    "JPU",
    "JPUX",
    "SMP",
    "AuxiliaryLoss",
    "Bilinear",
    "BoundaryFusion",
    "BoundaryLoss",
    "BoundaryRestrictedLoss",
    "ClassWeightedLoss",
    "DeepLabV3Head",
    "DeepLabV3PlusHead",
    "DiceLoss",
    "DualAttentionHead",
    "DualTaskLoss",
    "EncNetHead",
    "FCNHead",
    "GatedShapeStream",
    "HuggingFace",
    "LovaszLoss",
    "MatchedMasksLoss",
    "OHEMLoss",
    "Output",
    "PSPHead",
    "PathAggregation",
    "ResNet",
    "Resize",
    "SegModel",
    "SegmentationLoss",
    "SemanticEncodingLoss",
    "ShallowBackbone",
    "SimplePyramid",
    "Timm",
    "Variant",
    "WideResNet38",
    "Without",
    "hub_config",
    "hub_config_of",
    "load",
    "matched_head",
    "need_levels",
    "need_stride",
    "own_losses",
    "resize",
]
