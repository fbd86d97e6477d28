"""What necks that upsample to the third level from the end have in common."""

from __future__ import annotations

from torch import nn

from bench.layers import WiringError, need_levels
from bench.parts import Levels


def need_coarser_levels(owner: nn.Module, levels: Levels) -> None:
    """Reject a pyramid whose last three levels do not become coarser.

    Raises:
        WiringError: for fewer than three levels, or three that leave nothing to upsample.
    """
    need_levels(owner, levels, 3, "take a backbone with more stages")
    strides = tuple(level.stride for level in levels[-3:])
    if not strides[0] <= strides[1] <= strides[2] or strides[0] == strides[2]:
        raise WiringError(
            f"{type(owner).__name__} upsamples to the third level from the end, so the last three must become coarser, "
            f"as in strides 8, 16, 32; got strides {', '.join(map(str, strides))}; take a backbone with "
            "output_stride=32, or neck=None"
        )
