"""Canny's edge detector as tensor operations. It equals OpenCV's, and runs on the image's device without synchronising.

Shapes: image ``N 3 H W``, map ``N 1 H W`` boolean.

**Source**: Canny, A Computational Approach to Edge Detection, 1986, in the form of OpenCV's ``Canny`` with aperture 3
and the L1 magnitude: integer Sobel derivatives over a replicated frame, at each pixel those of the channel with the
largest magnitude (the first one of equals), non-maximum suppression in four sectors by a fixed-point tangent, strict on
one side only, and hysteresis over the eight neighbours. Written from that description and compared with it.

Hysteresis follows chains of weak edges of any length. Here each connected component is labelled by its smallest pixel,
in a number of rounds that depends on the image's size alone (:func:`_components`). So the host never waits for a result
of the device, and a CUDA graph can include the detector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

TANGENT_SHIFT = 15
TANGENT_22 = 13573
"""The fixed-point tangent of 22.5 degrees, round(tan * 2**15), as in OpenCV."""


@torch.no_grad()
def canny(image: Tensor, low: int = 10, high: int = 100) -> Tensor:
    """The edges of a colour image, as ``cv2.Canny(image, low, high)`` finds them.

    Args:
        image: the image, ``N C H W`` of whole numbers from 0 to 255, of any integer dtype.
        low: a local maximum of the gradient above this value is an edge if it is connected to a strong one.
        high: a local maximum above this value is a strong edge. Gated-SCNN has 10 and 100.

    Returns:
        The edges, ``N 1 H W``, boolean.
    """
    across, down = _strongest_channel(image)
    magnitude = across.abs() + down.abs()
    thin = _is_maximum(across, down, magnitude) & (magnitude > low)
    return _connected(thin, thin & (magnitude > high)).unsqueeze(1)


def wrapped_bytes(image: Tensor) -> Tensor:
    """The numbers truncated toward zero and wrapped to 0 … 255, so that -1.7 gives 255; ``N C H W`` int32.

    A cast of float to an unsigned byte does the same on x86. The C language leaves it undefined, so it is written out.
    """
    return image.detach().to(torch.int32) & 255


def _strongest_channel(image: Tensor) -> tuple[Tensor, Tensor]:
    """The Sobel derivatives along x and y, ``N H W`` int32, of the channel in which they are largest."""
    padded = _replicated(image.detach().to(torch.int32))
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    across, down = rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :]
    best, best_down = across[:, 0], down[:, 0]
    for channel in range(1, image.shape[1]):
        x, y = across[:, channel], down[:, channel]
        larger = x.abs() + y.abs() > best.abs() + best_down.abs()
        best, best_down = torch.where(larger, x, best), torch.where(larger, y, best_down)
    return best, best_down


def _replicated(image: Tensor) -> Tensor:
    """The image with one more pixel on each side, equal to its neighbour; ``F.pad`` lacks this for integers."""
    image = torch.cat([image[..., :1, :], image, image[..., -1:, :]], dim=-2)
    return torch.cat([image[..., :1], image, image[..., -1:]], dim=-1)


def _is_maximum(across: Tensor, down: Tensor, magnitude: Tensor) -> Tensor:
    """The pixels whose magnitude is largest along the gradient, ``N H W`` boolean; outside the image it counts as 0."""
    height, width = magnitude.shape[-2:]
    padded = F.pad(magnitude, (1, 1, 1, 1))

    def at(y: int, x: int) -> Tensor:
        return padded[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    x, y = across.abs().long(), down.abs().long() << TANGENT_SHIFT
    flat = y < x * TANGENT_22
    steep = y > x * TANGENT_22 + (x << (TANGENT_SHIFT + 1))  # tan 67.5° = tan 22.5° + 2
    horizontal = (magnitude > at(0, -1)) & (magnitude >= at(0, 1))
    vertical = (magnitude > at(-1, 0)) & (magnitude >= at(1, 0))
    falling = (magnitude > at(-1, -1)) & (magnitude > at(1, 1))
    rising = (magnitude > at(-1, 1)) & (magnitude > at(1, -1))
    diagonal = torch.where((across ^ down) < 0, rising, falling)
    return torch.where(flat, horizontal, torch.where(steep, vertical, diagonal))


def _connected(weak: Tensor, strong: Tensor) -> Tensor:
    """The pixels of ``weak`` whose eight-connected component holds a pixel of ``strong``. ``N H W`` boolean."""
    height, width = weak.shape[-2:]
    # The pixels of a 2 x 2 block touch each other, so blocks can be the nodes, which needs a quarter of the labels.
    corners = _blocks(weak)
    labels = _components(corners)
    is_strong = torch.zeros(labels.numel(), dtype=torch.int32, device=weak.device)
    held = _blocks(strong).any(dim=0).flatten().int()
    is_strong = is_strong.scatter_reduce(0, labels, held, "amax")
    kept = is_strong.index_select(0, labels).bool().view(corners.shape[1:])
    return weak & kept.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width]


def _blocks(mask: Tensor) -> Tensor:
    """The upper left, upper right, lower left and lower right pixels of 2 x 2 blocks.

    Shapes: ``N H W`` -> ``4 N ceil(H/2) ceil(W/2)``.
    """
    height, width = mask.shape[-2:]
    mask = F.pad(mask, (0, width % 2, 0, height % 2))
    return torch.stack([mask[..., y::2, x::2] for y in (0, 1) for x in (0, 1)])


def _components(corners: Tensor) -> Tensor:
    """The smallest index in the component of each node, flat; a node is a block of ``corners`` (:func:`_blocks`).

    A round joins each tree to the smallest label that one of its nodes touches, then lets every node point at its root.
    A tree that neither joined another nor was joined touches only trees that joined smaller ones than itself, so it
    joins one of them in the next round. So two rounds at least halve the number of trees of an unfinished component,
    and 2 log2(nodes) rounds finish it. After r rounds at most nodes / 2**(r // 2) trees can form a chain, which bounds
    the number of steps to a root.
    """
    shape = corners.shape[1:]
    nodes = math.prod(shape[1:])
    labels = torch.arange(math.prod(shape), device=corners.device)
    edges = list(_edges(corners))
    depth = max(1, math.ceil(math.log2(nodes)))
    for turn in range(2 * depth):
        grid = labels.view(shape)
        smallest = grid.clone()
        for here, there, joined in edges:
            one, other = grid[here], grid[there]
            least = torch.where(joined, torch.minimum(one, other), labels.numel())
            smallest[here] = torch.minimum(smallest[here], least)
            smallest[there] = torch.minimum(smallest[there], least)
        labels = labels.scatter_reduce(0, labels, smallest.flatten(), "amin")
        for _ in range(depth - turn // 2):
            labels = labels.index_select(0, labels)
    return labels


Slices = tuple[slice, slice, slice]


def _edges(corners: Tensor) -> Iterator[tuple[Slices, Slices, Tensor]]:
    """Yield the pairs of neighbouring blocks as slices of both, and a mask of the pairs whose pixels touch."""
    upper_left, upper_right, lower_left, lower_right = corners
    whole, first, second = slice(None), slice(None, -1), slice(1, None)
    right, left = upper_right | lower_right, upper_left | lower_left
    yield (whole, whole, first), (whole, whole, second), right[..., :-1] & left[..., 1:]
    lower, upper = lower_left | lower_right, upper_left | upper_right
    yield (whole, first, whole), (whole, second, whole), lower[:, :-1] & upper[:, 1:]
    yield (whole, first, first), (whole, second, second), lower_right[:, :-1, :-1] & upper_left[:, 1:, 1:]
    yield (whole, first, second), (whole, second, first), lower_left[:, :-1, 1:] & upper_right[:, 1:, :-1]
