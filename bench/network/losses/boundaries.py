"""The boundaries between the regions of a label map, computed on the device of the labels.

Shapes: label ``N H W`` with :data:`~bench.data.base.IGNORE` for void; a boundary map is boolean, ``N H W``.

**Source**: Takikawa et al., Gated-SCNN, 2019, section 3.2, and a description of the targets in its release.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE

PublishedForm = Literal["as_intended", "as_published"]


def boundary_target(label: Tensor, radius_px: int = 2, *, form: PublishedForm = "as_intended") -> Tensor:
    """The target of a network's boundary logits, ``N H W``, boolean.

    Args:
        label: the labels, ``N H W``.
        radius_px: half the width of the band; Gated-SCNN has 2.
        form: ``as_intended`` is :func:`boundary_band`. ``as_published`` is the form of the release. Its one-hot map is
            off by one, so that class 0 has no boundary of its own: its outline shows where it meets another class, but
            not where it meets void. The outside of the image is void, so that every other class has a boundary along
            the frame. Its last plane is always empty, which from a radius of 3 on marks a few pixels in the upper left
            corner (:func:`_corner_of_an_empty_plane`).
    """
    if form == "as_intended":
        return boundary_band(label, radius_px)
    band = boundary_band(label.masked_fill(label == 0, IGNORE), radius_px, frame=True)
    return band | _corner_of_an_empty_plane(label, radius_px)


def class_boundaries(
    label: Tensor, num_classes: int, radius_px: int = 2, *, form: PublishedForm = "as_intended"
) -> Tensor:
    """The boundaries of each class separately, ``N K H W``, boolean; their union is :func:`boundary_target`.

    In the published form, plane ``k`` is that of class ``k + 1``.
    """
    published = form == "as_published"
    corner = _corner_of_an_empty_plane(label, radius_px)
    bands = []
    for plane in class_planes(label, num_classes, form=form).unbind(1):
        band = boundary_band(torch.where(plane, 0, IGNORE), radius_px, frame=published)
        if published:
            band |= corner & ~plane.flatten(1).any(dim=1).view(-1, 1, 1)
        bands.append(band)
    return torch.stack(bands, dim=1)


def class_planes(label: Tensor, num_classes: int, *, form: PublishedForm = "as_intended") -> Tensor:
    """The mask of each class, ``N K H W``, boolean. In the published form, plane ``k`` is that of class ``k + 1``."""
    classes = torch.arange(num_classes, device=label.device) + (form == "as_published")
    return label.unsqueeze(1) == classes.view(-1, 1, 1)


def _corner_of_an_empty_plane(label: Tensor, radius_px: int) -> Tensor:
    """The pixels at which SciPy's distance transform reports a small distance in a plane without any pixel, ``H W``.

    Such a plane has no distances. SciPy then returns those to the place above the first pixel, and the release pads the
    plane by one.
    """
    height, width = label.shape[-2:]
    down = torch.arange(2, height + 2, device=label.device).unsqueeze(1)
    right = torch.arange(1, width + 1, device=label.device)
    return down * down + right * right <= radius_px * radius_px


def boundary_band(label: Tensor, radius_px: int, *, frame: bool = False) -> Tensor:
    """The pixels at a Euclidean distance of at most ``radius_px`` from a pixel with another label.

    At these pixels an exact distance transform of some class, inside or outside, lies between 0 and the radius. Void is
    a label too, so the outline of a region is a boundary on both sides, whatever the neighbouring region is.

    Args:
        label: the labels, ``N H W``.
        radius_px: half the width of the band.
        frame: ``True`` if the outside of the image is void, so that regions that touch the frame have a boundary there.

    Returns:
        The band, ``N H W``, boolean.
    """
    if frame:
        padded = F.pad(label, [radius_px] * 4, value=IGNORE)
        return boundary_band(padded, radius_px)[..., radius_px:-radius_px, radius_px:-radius_px]
    height, width = label.shape[-2:]
    band = torch.zeros_like(label, dtype=torch.bool)
    for down, right in _half_disk(radius_px):
        if down >= height or abs(right) >= width:
            continue
        left = max(0, -right)
        here = (..., slice(0, height - down), slice(left, width - max(0, right)))
        there = (..., slice(down, height), slice(left + right, width - max(0, right) + right))
        differ = label[here] != label[there]
        band[here] |= differ
        band[there] |= differ
    return band


def _half_disk(radius: int) -> list[tuple[int, int]]:
    """The offsets (down, right) within the radius, one of each pair of opposite offsets."""
    span = range(-radius, radius + 1)
    return [
        (y, x) for y in range(radius + 1) for x in span if 0 < y * y + x * x <= radius * radius and (y > 0 or x > 0)
    ]
