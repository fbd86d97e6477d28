"""What do position and channel attention add to a dilated FCN, and how much of it is the convolutions that come along?

This is DANet's ablation (Fu et al., 2019, tables 1 and 2) with hidden changes made explicit: the number of losses,
which the paper changed together with the attention, and multi-grid. There are two controls: attention whose γ stays at
0, and an FCN with the same number of parameters.

    bench run studies/danet_attention.py --data /path/to/CamVid
    bench run studies/danet_attention.py --recipe danet-cityscapes --data cityscapes=/path   # as in the paper
"""

from dataclasses import replace

from bench import Exclude, Factor, Published, Recipe, Study, Variant, adding, change, choose, part
from bench.data import CamVid
from bench.network import AuxiliaryLoss, DualAttentionHead, FCNHead, ResNet, SegmentationLoss, matched_head

ONE_BRANCH = "one attention branch, or none, has no second and third output to supervise"
BOTH = part(DualAttentionHead, branch_logits=False)

BASE = Variant(
    backbone=part(ResNet, depth=50, output_stride=8),
    head=part(FCNHead),
    losses=(part(SegmentationLoss),),
)
MATCHED = matched_head(part(FCNHead), replace(BASE, head=BOTH), len(CamVid.classes))
PAPER = {
    "attention=none": {"attention": "none"},
    "attention=both": {"attention": "both"},
    "multi_grid=off": {"multi_grid": "off"},
    "multi_grid=on": {"multi_grid": "on"},
    "supervised=one": {"losses": "one cross-entropy"},
    "supervised=three": {"losses": "three cross-entropies"},
}
TOOLBOX = {
    "attention=both": {"attention": "both"},
    "multi_grid=off": {"multi_grid": "off"},
    "supervised=three": {"losses": "three cross-entropies, auxiliary on C4"},
}
PLAIN = {"attention": "none", "supervised": "one"}

STUDY = Study(
    name="danet_attention",
    question="What do position and channel attention add, beyond the convolutions, losses and dilation they came with?",
    base=BASE,
    factors=(
        Factor(
            "attention",
            {
                "none": change(),
                "position": change(head=BOTH.having(channel=False)),
                "channel": change(head=BOTH.having(position=False)),
                "both": change(head=BOTH),
                "both-frozen": change(head=BOTH.having(gamma="frozen")),
                "none-matched": change(head=MATCHED),
            },
            against={"both": "both-frozen"},  # the effect of attention beyond that of the convolutions around it
        ),
        Factor("multi_grid", {"off": change(), "on": change(backbone=choose(multi_grid=(4, 8, 16)))}),
        Factor(
            "supervised",
            {
                "one": change(),
                "three": change(
                    head=choose(branch_logits=True),
                    losses=adding(part(AuxiliaryLoss, outputs=("pam", "cam"), weight=1.0)),
                ),
            },
            about=("head", "losses"),
        ),
    ),
    baseline={"attention": "none", "multi_grid": "off", "supervised": "one"},
    exclude=tuple(
        Exclude({"attention": level, "supervised": "three"}, ONE_BRANCH)
        for level in ("none", "position", "channel", "none-matched")
    ),
    recipe=Recipe(
        data=part(CamVid),
        crop_px=(352, 480),
        iterations=20_000,
        batch=8,
        learning_rate=0.01,
        precision="bfloat16",
        eval_batch=4,
    ),
    published=(
        Published("DANet", PLAIN, PAPER, {"backbone": "resnet50"}),
        Published("mmsegmentation", PLAIN, TOOLBOX, {"backbone": "resnet50"}),
    ),
)
