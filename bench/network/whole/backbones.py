"""The backbone of a whole network of transformers: entries that follow from others, and images of any size.

**Departures**:
- Swin's absolute positions, which are learnt at one size, are resized to the grid of the image's patches by
  transformers' own function, which its segmentation networks never call. At that size, nothing differs.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor

from bench.parts import ChoiceError


def complete(entries: dict[str, Any]) -> None:
    """Add to the entries of a ``backbone_config`` those that its other entries decide, unless they are given.

    These are the stages whose maps it gives, which are all, and the widths that FocalNet and ConvNeXt have after each
    stage.
    """
    depths = entries.get("depths", range(4))
    stages = len(depths) if isinstance(depths, (list, range)) else 4  # else transformers says what depths must be
    if not {"out_features", "out_indices"} & set(entries):
        entries["out_features"] = [f"stage{index + 1}" for index in range(stages)]
    width = entries.get("embed_dim", 96)
    if entries.get("model_type") == "focalnet" and isinstance(width, int):
        # transformers 5.24 adds these to a list, and by default they are a tuple of the widths for 96 and four stages.
        entries.setdefault("hidden_sizes", [width * 2 ** min(index + 1, stages - 1) for index in range(stages)])
    if entries.get("model_type") in ("convnext", "convnextv2"):
        entries.setdefault("hidden_sizes", [96, 192, 384, 768])  # transformers' own, which are a tuple there too


BY_STAGE = (
    "hidden_sizes", "num_attention_heads", "num_heads", "sr_ratios", "patch_sizes", "strides", "mlp_ratios",
    "focal_levels", "focal_windows",
)  # fmt: skip
"""The entries of hierarchical networks that have a value for each stage, as ``depths`` has."""


def misfits(config: Any) -> str:
    """The entries of a configuration, or of its backbone's, that do not fit each other, with what to do; or nothing."""
    inner = getattr(config, "backbone_config", None)
    called = "backbone_config: " if inner is not None else ""
    config = config if inner is None else inner
    depths = getattr(config, "depths", None)
    if isinstance(depths, (list, tuple)):
        others = {name: getattr(config, name, None) for name in BY_STAGE}
        unlike = [
            name for name, value in others.items() if isinstance(value, (list, tuple)) and len(value) != len(depths)
        ]
        if unlike:
            return (
                f"{called}depths has {len(depths)} values, but {', '.join(unlike)} "
                f"{'has' if len(unlike) == 1 else 'have'} {len(others[unlike[0]] or ())}; give each one value a stage"
            )
    width, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    if isinstance(width, int) and isinstance(heads, int) and heads and width % heads:
        return f"{called}num_attention_heads={heads} does not divide hidden_size={width}; choose numbers that fit"
    return ""


def prepare_backbone(network: Any) -> None:
    """Have a Swin take images of any size, if it has absolute positions.

    Raises:
        ChoiceError: for a Swin of the second version with absolute positions, which transformers cannot run.
    """
    for module in network.modules():
        kind = type(module).__name__
        if kind not in ("SwinEmbeddings", "Swinv2Embeddings") or module.position_embeddings is None:
            continue
        if kind == "Swinv2Embeddings":
            raise ChoiceError(
                "backbone_config (swinv2): transformers has one absolute position more than patches, and cannot add "
                "the two; leave out use_absolute_embeddings"
            )
        module.forward = MethodType(_embed, module)


def _embed(self: Any, image: Tensor, bool_masked_pos: Any = None, interpolate_pos_encoding: bool = True) -> Any:
    """Swin's own embedding of an image, with positions that are resized to the grid of its patches."""
    own = type(self).forward
    is_own_grid = tuple(side // self.patch_size for side in image.shape[2:]) == tuple(self.patch_grid)
    return own(self, image, bool_masked_pos, interpolate_pos_encoding=not is_own_grid)
