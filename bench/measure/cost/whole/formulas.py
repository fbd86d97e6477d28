"""The closed forms of attention that torch's counter lacks: kernels by their name, deformable attention by its module.

``torch.utils.flop_counter`` has forms for products of matrices, for convolutions and for the attention kernels of CUDA.
It has none for attention on a CPU, and for deformable attention there is none anywhere: in torch it is written with
``grid_sample``, elsewhere it is a kernel of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry, sdpa_flop, shape_wrapper

from bench.measure.cost.shapes import FLOPS

DEFORMABLE_ATTENTION = "deformable_attention"
"""The name under which the closed form of deformable attention is counted."""

INTERPOLATION_MACS = 4
"""The multiply-accumulates of one bilinear sample: one for each neighbour. fvcore counts ``grid_sample`` so, too."""


def attention_macs(queries: int, keys: int, channels: int, value_channels: int | None = None) -> int:
    """The MACs of plain attention of all heads: energies ``L S D`` and the weighted sum ``L S E``.

    Args:
        queries: the number of queries, ``L``.
        keys: the number of keys, ``S``; all heads read all keys.
        channels: the channels of queries and keys over all heads, ``D``.
        value_channels: the channels of the values over all heads, ``E``; ``None`` for ``D``.
    """
    return queries * keys * (channels + (channels if value_channels is None else value_channels))


def windowed_attention_macs(height: int, width: int, window: int, channels: int) -> int:
    """The MACs of attention within windows (Liu et al., 2021): every token reads the tokens of its own window.

    The map is padded to whole windows, and padded tokens take part. Shifting the windows changes nothing.

    Args:
        height: the height of the map in tokens.
        width: its width.
        window: the side of a window in tokens.
        channels: the channels over all heads.
    """
    windows = math.ceil(height / window) * math.ceil(width / window)
    return windows * attention_macs(window**2, window**2, channels)


def deformable_attention_macs(queries: int, channels: int, samples: int) -> int:
    """The MACs of deformable attention (Zhu et al., 2021, appendix A.1): ``5 N K C``.

    Every channel of every query is a weighted sum of ``K`` bilinear samples: four MACs to interpolate each, and one to
    weigh it. The projections of values, offsets, weights and output are linear layers, counted as such.

    Args:
        queries: the number of queries, ``N``.
        channels: the channels over all heads, ``C``.
        samples: the samples of one head over all levels of the pyramid, ``K``.
    """
    return queries * channels * samples * (INTERPOLATION_MACS + 1)


def kernels() -> Mapping[Any, Callable[..., int]]:
    """Operator -> its FLOPs from its arguments and ``out_val``: torch's forms, ours, and those of CPU attention."""
    aten = torch.ops.aten
    others = (aten._scaled_dot_product_flash_attention_for_cpu, aten._scaled_dot_product_fused_attention_overrideable)
    ours = {operator: shape_wrapper(form) for operator, form in FLOPS.items()}
    return {**flop_registry, **ours, **dict.fromkeys(others, sdpa_flop)}


def module_macs(module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> int | None:
    """The MACs of a module that its operators do not show; ``None`` for a module without such a form.

    Deformable attention is known by the names that the code of Deformable DETR gave to it and to its sizes: a module
    that gets the ``sampling_locations``, ``N L heads levels points 2``, or one that has the projections, too.
    """
    kind = type(module).__name__.lower()
    if not kind.endswith(("deformableattention", "msdeformattn")):
        return None
    locations = named.get("sampling_locations", inputs[4] if len(inputs) > 4 else None)
    value = named.get("value", inputs[0] if inputs else None)
    if isinstance(locations, Tensor) and isinstance(value, Tensor) and locations.ndim == 6 and value.ndim == 4:
        batch, queries, heads, levels, points, _ = locations.shape
        return batch * deformable_attention_macs(queries, heads * value.shape[-1], levels * points)
    if any(type(inner).__name__.lower().endswith("deformableattention") for inner in list(module.modules())[1:]):
        return None  # the module inside is counted
    sizes = [getattr(module, name, None) for name in ("n_levels", "n_points")]
    query = named.get("hidden_states", named.get("query", inputs[0] if inputs else None))
    if not all(isinstance(size, int) for size in sizes) or not isinstance(query, Tensor) or query.ndim != 3:
        return None
    batch, queries, channels = query.shape
    return batch * deformable_attention_macs(queries, channels, math.prod(size for size in sizes if size is not None))
