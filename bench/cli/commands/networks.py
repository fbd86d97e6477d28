"""The commands about trained networks: convert, from other implementations, evaluate in another way, and predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.documents.document import AsJson, only_document
from bench.cli.options import (
    EXIT_OPEN,
    MODES,
    TIMED_PRECISIONS,
    CacheFolder,
    Cpus,
    Final,
    Gpus,
    NoCache,
    Pictures,
    ResultsFolder,
    Retry,
    SizeName,
    StudyFile,
    Timeout,
    words_of,
)
from bench.parts import BenchError
from bench.protocol.testing import PROTOCOLS
from bench.run.handling import Handling


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


def evaluate(
    folder: ResultsFolder,
    protocol: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(PROTOCOLS)}, or fields of the recipe such as "
            "test_flip=true,test_scales=0.75:1:1.25.",
            show_default=False,
        ),
    ] = None,
    final: Final = False,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode",
            "--modes",
            help=f"Test in execution modes, and print the mIoU in each beside that of eager torch: {MODES}. May be "
            "repeated, or hold several with commas.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help=f"With --modes: {TIMED_PRECISIONS}, by default float32; may be repeated, or hold several with commas.",
            show_default=False,
        ),
    ] = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    timeout: Timeout = None,
    retry: Retry = None,
    pictures: Pictures = True,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Test trained networks in another way, by their kept weights, without training again.

    The records and the report go into a folder of their own beside FOLDER, as if the study had been run so. Each mode
    with each precision has such a folder.
    """
    from bench.cli import decoding
    from bench.cli.trials import evaluating

    modes, precisions = words_of(mode), words_of(precision)
    if precisions and not modes:
        raise BenchError("--precision is for --modes; add --modes eager, or other modes")
    asked = evaluating.Asked(
        folder=folder, protocol=protocol, final=final, retry=retry or (), cpus=cpus, gpus=gpus,
        handling=Handling(timeout_s=timeout, pictures=pictures), shelf=decoding.shelf_in(cache, no_cache=no_cache),
    )  # fmt: skip
    with only_document(as_json) as give:
        if modes:
            complete = evaluating.evaluate_in_modes(asked, modes, precisions, give)
        else:
            complete = evaluating.evaluate(asked, give)
    if not complete:
        raise typer.Exit(EXIT_OPEN)


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
