"""The headline results of one GPU, measured by commands that share a given time: ``nox -s headline``.

Each command writes what it has measured as it goes and, given again, goes on from there. So a time that ends early
loses nothing: run the same command again. The reports at the end need no GPU.

    nox -s headline -- --minutes 25 --camvid /data/CamVid
    nox -s headline -- --minutes 25 --camvid /data/CamVid --weights resnet50.pth  # from these, too
    nox -s headline -- --minutes 0                              # writes the reports and the section
    nox -s headline -- --rehearse                               # small sizes on a CPU, to see that everything runs

The section, in sentences and pictures, is README.md in the folder of the results.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.headline_section import ATTENTION, section
from benchmarks.side_by_side import say

BENCH = ("-m", "bench.cli.app")
GRACE_S = 60.0
"""The seconds that a command may take to record what it was doing, once its time is over."""
FIRST_VARIANTS = tuple(
    f"backbone=resnet{depth},head={head},upsampling=jpu" for depth in (50, 101) for head in ("fcn", "encnet")
)
FIRST_SETTINGS = tuple(
    f"{size} bfloat16 channels_last{mode}" for size in ("512x512", "1024x2048") for mode in ("", " compile")
)
PRETRAINED = """\
\"\"\"The components study with a ResNet-50 that begins with the weights of a file.\"\"\"

from dataclasses import replace

from studies.components import SIZES

DRAWN = SIZES["headline"]
BACKBONE = DRAWN.base.backbone.having(stem={stem!r}, weights={weights!r}, weights_sha256={sha256!r})
STUDY = DRAWN.having(name="components-pretrained", base=replace(DRAWN.base, backbone=BACKBONE))
"""
"""The study that is written for a file of weights."""
OWN_TABLES = {
    "danet": ("studies/danet_attention.py", "DANet's ablation"),
    "fastfcn": ("studies/fastfcn_jpu.py", "FastFCN's ablation"),
    "gscnn": ("studies/gscnn_gates.py", "Gated-SCNN's ablation"),
}
"""The steps that come last, as far as the time goes."""


@dataclass(frozen=True)
class Step:
    """One command of the headline.

    Attributes:
        name: the name by which ``--only`` chooses it.
        about: what it measures, for people.
        arguments: the arguments of Python.
        share: the part that it may take of the time that is left when it begins.
    """

    name: str
    about: str
    arguments: tuple[str, ...]
    share: float


def steps(out: Path, camvid: Path | None, pretrained: Path | None = None, *, rehearse: bool = False) -> list[Step]:
    """The commands in their order: what matters most comes first.

    Args:
        out: the folder of the results.
        camvid: the folder of CamVid; without it, nothing is trained.
        pretrained: the study of the same components on a pretrained backbone, if there is one.
        rehearse: ``True`` for the small sizes.
    """
    speed, results = "studies/jpu_speed.py", ("--results", str(out))
    chosen = ("head=fcn,upsampling=jpu",) if rehearse else FIRST_VARIANTS
    settings = ("256x256",) if rehearse else FIRST_SETTINGS
    first = [word for variant in chosen for word in ("--variant", variant)]
    first += [word for setting in settings for word in ("--setting", setting)]
    size = ("--size", "cpu" if rehearse else "gpu")
    attention = ("--out", str(out / ATTENTION), *(("--tiny",) if rehearse else ()))
    planned = [
        Step(
            "speed",
            "JPU against dilation: the first variants and settings",
            (*BENCH, "speed", speed, *size, *first, *results),
            0.35,
        ),
        Step(
            "attention",
            "position attention: the plain form, blocks and fused kernels",
            ("-m", "benchmarks", "attention_cuda", *attention),
            0.2,
        ),
    ]
    trained = ("--data", f"camvid={camvid}", "--final", *results)
    if camvid is not None:
        components = ("studies/components.py", "--size", "small" if rehearse else "headline")
        planned.append(
            Step(
                "quality",
                "attention, JPU and gates on CamVid's test split, with controls",
                (*BENCH, "run", *components, *trained),
                0.6,
            )
        )
    if camvid is not None and pretrained is not None:
        about = "the same with a pretrained backbone"
        planned.append(Step("pretrained", about, (*BENCH, "run", str(pretrained), *trained), 0.6))
    planned.append(
        Step(
            "widened",
            "JPU against dilation: all heads, sizes, precisions and modes, with memory and MACs",
            (*BENCH, "run", speed, *size, *results),
            0.6 if camvid is not None and not rehearse else 1.0,
        )
    )
    if camvid is not None and not rehearse:
        planned += [
            Step(name, about, (*BENCH, "run", study, *trained), 0.5) for name, (study, about) in OWN_TABLES.items()
        ]
    return planned


def pretrained_study(out: Path, weights: Path, stem: str) -> Path:
    """Write the study of the components on a backbone that begins with a file of weights, and return its place."""
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    path = out / "components_pretrained.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRETRAINED.format(stem=stem, weights=str(weights.resolve()), sha256=sha256), encoding="utf-8")
    return path


def run(step: Step, limit_s: float) -> str:
    """Run the command of a step for so many seconds at most, and return how it ended, in words."""
    say(f"\n== {step.name}: {step.about} ({limit_s / 60:.1f} minutes at most)")
    process = subprocess.Popen([sys.executable, *step.arguments])
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        _stop(process)
        return "not finished: its time was over; the same command goes on"
    except BaseException:  # Ctrl-C, or what else ends this process: the command must not outlive it
        _stop(process)
        raise
    return "finished" if status == 0 else f"ended with status {status}; see above"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def report(out: Path) -> None:
    """Write the report of every study below ``out``, and the section about all of them."""
    for plan in sorted(out.glob("*/study.json")):
        subprocess.run([sys.executable, *BENCH, "report", str(plan.parent)], check=False)
    if out.is_dir():
        (out / "README.md").write_text(section(out), encoding="utf-8")
        say(f"Section: {out / 'README.md'}")


def main(arguments: Sequence[str]) -> int:
    """Run the headline; returns 0 if all of it is measured, 1 if something is left, and 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="nox -s headline --", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=25.0, help="the time for all of it (default: 25)")
    parser.add_argument("--out", type=Path, default=Path("results/headline"), help="the folder of the results")
    parser.add_argument("--camvid", type=Path, help="the folder of CamVid; without it, quality is left out")
    parser.add_argument("--weights", type=Path, help="a state dict of a ResNet-50, pretrained on ImageNet")
    parser.add_argument("--stem", choices=("plain", "deep"), default="plain", help="its stem (default: plain)")
    parser.add_argument("--only", action="append", help="a step to run, instead of all; may be repeated")
    parser.add_argument("--rehearse", action="store_true", help="small sizes, on whatever device there is")
    chosen = parser.parse_args(arguments)
    if chosen.minutes > 0 and not chosen.rehearse and not torch.cuda.is_available():
        sys.stderr.write("headline: there is no GPU here; --rehearse runs small sizes on a CPU\n")
        return 2
    if chosen.weights is not None and not chosen.weights.is_file():
        sys.stderr.write(f"headline: --weights {chosen.weights}: there is no such file\n")
        return 2
    pretrained = None if chosen.weights is None else pretrained_study(chosen.out, chosen.weights, chosen.stem)
    planned = steps(chosen.out, chosen.camvid, pretrained, rehearse=chosen.rehearse)
    if unknown := set(chosen.only or ()) - {step.name for step in planned}:
        known = ", ".join(step.name for step in planned)
        sys.stderr.write(f"headline: no step {', '.join(sorted(unknown))}; there are {known}\n")
        return 2
    end = time.monotonic() + 60 * chosen.minutes
    outcomes: dict[str, str] = {}
    for step in planned:
        if not chosen.only or step.name in chosen.only:
            left = end - time.monotonic()
            outcomes[step.name] = run(step, step.share * left) if left > 0 else "not begun: no time was left"
    report(chosen.out)
    if chosen.camvid is None:
        say("quality was left out: --camvid names no folder")
    for name, outcome in outcomes.items():
        say(f"headline {name}: {outcome}")
    return 0 if all(outcome == "finished" for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
