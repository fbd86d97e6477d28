"""The commands about the weights of networks: convert, from other implementations, and predict, of one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.documents.document import AsJson, only_document
from bench.cli.options import EXIT_OPEN, ResultsFolder, SizeName, StudyFile


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A state dict of an original implementation.", show_default=False)],
    study: StudyFile,
    variant: Annotated[str, typer.Argument(help="The variant whose weights they are.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The file for the converted state dict.", show_default=False)],
    classes: Annotated[
        int | None,
        typer.Option(help="The number of classes, if it is not that of the study's data.", show_default=False),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="The checkpoint's origin: danet, fastfcn, gscnn or mmseg; by default the one that fits.",
            show_default=False,
        ),
    ] = None,
    size: SizeName = None,
    as_json: AsJson = False,
) -> None:
    """Convert a checkpoint of DANet, FastFCN, Gated-SCNN or mmsegmentation for a variant of a study.

    danet and fastfcn: ResNet, with the heads DualAttentionHead, FCNHead, PSPHead, DeepLabV3Head and EncNetHead, the
    necks JPU and JPUX, and an auxiliary FCNHead.

    mmseg: ResNet (V1 and V1c in style 'pytorch'; 18 and 34, where dilated, with basic_dilation='first'), with the same
    heads (DeepLabV3Head with projection=False), the neck JPU, and an auxiliary FCNHead. Its networks resize with
    align_corners=False.

    gscnn: WideResNet38 with GatedShapeStream and DeepLabV3PlusHead.

    A checkpoint holds tensors alone. Strides, dilations, pooled sizes and the convention of resizing are the variant's,
    so choose them as the original has them. If any key is not understood, nothing is written. Tensors that are dropped
    on purpose are listed.
    """
    from bench.cli import networks
    from bench.cli.trials import planning

    with only_document(as_json) as give:
        networks.convert(checkpoint, planning.source(study, size), variant, out, classes, layout, give)


def predict(
    folder: ResultsFolder,
    variant: Annotated[str, typer.Argument(help="The variant whose weights are taken.", show_default=False)],
    images: Annotated[Path, typer.Argument(help="An image, or a folder of images.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A new or empty folder for the predictions.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option(help="The seed of the trial; by default the first with weights.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default cuda where there is one.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Segment your own images with the trained weights of a variant.

    OUT gets masks/ (PNG files whose values are class indices), overlays/ to look at, and classes.json with the names
    and colours. Images are tested as the study's recipe says. The exit status is 1 if an image cannot be read.
    """
    from bench.cli import networks

    with only_document(as_json) as give:
        whole = networks.predict(folder, variant, images, out, seed, device, give)
    if not whole:
        raise typer.Exit(EXIT_OPEN)
