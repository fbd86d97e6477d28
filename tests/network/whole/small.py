"""A small configuration of each architecture of transformers, which a CPU trains in milliseconds."""

from __future__ import annotations

from typing import Any

from bench.network.whole.config import hub_config
from bench.network.whole.huggingface import HuggingFace
from bench.parts import Part, part

SWIN = hub_config(model_type="swin", embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 4), window_size=4)
DETR = hub_config(
    model_type="detr", d_model=32, encoder_layers=0, decoder_layers=2, encoder_attention_heads=4,
    decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=10,
)  # fmt: skip
VIT = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 64, "patch_size": 16}
DECODER = {"dim_feedforward": 32, "encoder_feedforward_dim": 32, "encoder_layers": 1, "num_attention_heads": 4}
EOMT = {**VIT, "num_blocks": 2, "num_queries": 10, "train_num_points": 64, "num_register_tokens": 1}

CONFIGS = {
    "segformer": hub_config(
        depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 24, 32), num_attention_heads=(1, 2, 2, 4), decoder_hidden_size=16
    ),
    "upernet": hub_config(backbone_config=SWIN, hidden_size=16, auxiliary_channels=8),
    "dpt": hub_config(
        **VIT, intermediate_size=32, neck_hidden_sizes=(8, 12, 16, 20), fusion_hidden_size=16,
    ),
    "beit": hub_config(**VIT, intermediate_size=32, auxiliary_channels=8, use_relative_position_bias=True),
    "maskformer": hub_config(backbone_config=SWIN, fpn_feature_size=32, mask_feature_size=32, decoder_config=DETR),
    "mask2former": hub_config(
        **DECODER, backbone_config=SWIN, hidden_dim=32, feature_size=32, mask_feature_size=32, decoder_layers=2,
        num_queries=10, train_num_points=64,
    ),
    "oneformer": hub_config(
        **DECODER, backbone_config=SWIN, hidden_dim=64, conv_dim=64, mask_dim=64, decoder_layers=3, query_dec_layers=1,
        num_queries=10, train_num_points=64, text_encoder_width=64, text_encoder_num_layers=1,
        text_encoder_vocab_size=64, text_encoder_context_length=8, text_encoder_n_ctx=2,
    ),
    "eomt": hub_config(**EOMT, mlp_ratio=2),
    "eomt-dinov3": hub_config(**EOMT, intermediate_size=32),
}  # fmt: skip


def network(architecture: str, **choices: Any) -> Part[Any]:
    """The small network of an architecture."""
    return part(HuggingFace, architecture=architecture, config=CONFIGS[architecture], **choices)
