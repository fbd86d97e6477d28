"""Damages what `bench` reads, at random but repeatably, and judges what it says about it (nox -s fuzz).

Six kinds of input are damaged: records, plans, arrays and pictures beside records (artifacts), checkpoints, studies and
folders of data. After each mutation of one file the same commands run in this process. Either they give what they gave
before, or they refuse in one line that names the file. Anything else is a fault: an exception that reaches the user, a
hang, several lines, a line that names no file, or another number without a word.

    python tests/fuzz.py [TARGET …] [--mutations 1000] [--seed 0] [--only NUMBER]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import tokenize
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import bench
from bench.cli import app
from bench.data import CamVid
from bench.evidence.evidence import evidence_of
from bench.network import FCNHead, ResNet, SegmentationLoss
from bench.network.checkpoints.convert import LAYOUTS, convert_file
from bench.network.model import SegModel, Variant
from bench.parts import BenchError, part
from bench.records.files import write_zip
from bench.report.gallery.gallery import pictures
from tests.conftest import plant
from tests.report.planted_pictures import counted, plant_pictures

LONGEST_S = 5.0
MOST_BYTES = 2**30  # more than what is mapped already: a file without an end must not take the machine's memory
LONGEST_LINE = 600
CLASSES = 5
EXAMPLES = 5  # printed of each kind of fault

Json = Any
Mutation = Callable[[random.Random, Path], str]


class HangError(BaseException):
    """A mutation after which nothing came back in time; what is told of a user's code does not tell it."""


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        make: writes the whole input into an empty folder.
        files: patterns of the files that are damaged.
        mutations: ways to damage a file; each returns what it did.
        observe: what `bench` makes of the input, as comparable values.
        same: whether two observations are the same but for what is said to be missing.
        places: what a refusal may name in place of a file.
    """

    make: Callable[[Path], None]
    files: tuple[str, ...]
    mutations: tuple[Mutation, ...]
    observe: Callable[[Path], Any]
    same: Callable[[Any, Any], bool]
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """A mutation after which `bench` did neither of what it may."""

    number: int
    what: str
    mutation: str

    def __str__(self) -> str:
        return f"  {self.number}: {self.what}   [{self.mutation}]"


# What damages any file.


def flip_a_byte(draw: random.Random, path: Path) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    place = draw.randrange(len(content))
    content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return f"bit flipped in byte {place}"


def cut_off(draw: random.Random, path: Path) -> str:
    content = path.read_bytes()
    kept = draw.randrange(len(content) + 1)
    path.write_bytes(content[:kept])
    return f"cut off after byte {kept} of {len(content)}"


def fill_with_zeros(draw: random.Random, path: Path) -> str:
    content = path.read_bytes()
    start = draw.randrange(len(content) + 1)
    path.write_bytes(content[:start] + bytes(len(content) - start))
    return f"zeros from byte {start} on"


def insert_bytes(draw: random.Random, path: Path) -> str:
    content, place = path.read_bytes(), draw.choice((0, None))
    inserted = draw.randbytes(draw.randrange(1, 9))
    place = draw.randrange(len(content) + 1) if place is None else place
    path.write_bytes(content[:place] + inserted + content[place:])
    return f"{inserted!r} inserted at byte {place}"


def replace_by_something_else(draw: random.Random, path: Path) -> str:
    path.unlink()
    kind = draw.choice(("folder", "dangling link", "endless link", "pipe", "empty file", "device"))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty file":
        path.touch()
    else:
        path.symlink_to({"dangling link": "/gone/file", "endless link": path.name, "device": "/dev/zero"}[kind])
    return f"replaced by: {kind}"


ANY_FILE: tuple[Mutation, ...] = (
    flip_a_byte,
    flip_a_byte,
    cut_off,
    fill_with_zeros,
    insert_bytes,
    replace_by_something_else,
)


# What damages JSON.


def _places(content: Json) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON document with each of its keys or indices."""
    for key, value in list(content.items()) if isinstance(content, dict) else list(enumerate(content)):
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _change_json(change: Callable[[random.Random, Any, Any], str]) -> Mutation:
    def mutate(draw: random.Random, path: Path) -> str:
        content = json.loads(path.read_text(encoding="utf-8"))
        container, key = draw.choice(list(_places(content)))
        before = repr(container[key])[:60]
        said = change(draw, container, key)
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        return f"{key!r}: {before} {said}"

    return mutate


@_change_json
def drop_a_value(draw: random.Random, container: Any, key: Any) -> str:
    del container[key]
    return "is left out"


@_change_json
def set_a_value(draw: random.Random, container: Any, key: Any) -> str:
    others = (None, True, -1, 0, 1.5, 10**30, 1e308, "", "x", "../../x", "\x1b[2J", [], [[]], {}, {"x": 1}, math.nan)
    container[key] = draw.choice(others)
    return f"becomes {container[key]!r}"


@_change_json
def nudge_a_number(draw: random.Random, container: Any, key: Any) -> str:
    """A number changes a little; a text loses a character, and a list or an object its last entry."""
    value = container[key]
    if isinstance(value, bool) or value is None:
        container[key] = not value
    elif isinstance(value, int | float):
        container[key] = value + draw.choice((1, -1)) if isinstance(value, int) else value * draw.choice((0.9, 1.1))
    elif isinstance(value, str):
        container[key] = value[:-1] or "a"
    elif value:
        value.pop() if isinstance(value, list) else value.popitem()
    return f"becomes {container[key]!r}"[:80]


@_change_json
def swap_two_values(draw: random.Random, container: Any, key: Any) -> str:
    other = draw.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key], container[other] = container[other], container[key]
    return f"changes places with {other!r}"


@_change_json
def double_a_value(draw: random.Random, container: Any, key: Any) -> str:
    if isinstance(container, list):
        container.append(container[key])
    else:
        container[f"{key}_"] = container[key]
    return "is there twice"


JSON_FILE = (drop_a_value, set_a_value, nudge_a_number, nudge_a_number, swap_two_values, double_a_value)


# What damages a study.


def _tokens(path: Path) -> tuple[list[str], list[tuple[int, int, str]]]:
    """The lines of a Python file, and row, column and text of each word, number and text in it."""
    text = path.read_text(encoding="utf-8")
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP)
    words = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type in kinds]
    return text.splitlines(keepends=True), [(*t.start, t.string) for t in words if "\n" not in t.string]


def _write_token(path: Path, lines: list[str], token: tuple[int, int, str], new: str) -> None:
    row, column, old = token
    line = lines[row - 1]
    lines[row - 1] = line[:column] + new + line[column + len(old) :]
    path.write_text("".join(lines), encoding="utf-8")


def replace_a_word(draw: random.Random, path: Path) -> str:
    lines, tokens = _tokens(path)
    token, other = draw.choice(tokens), draw.choice(tokens)[2]
    new = draw.choice((other, other, "0", "-1", "1.5", '"x"', "None", "()", "10000", "[]", "object()", "float('nan')"))
    _write_token(path, lines, token, new)
    return f"line {token[0]}: {token[2]} becomes {new}"


def misspell_a_word(draw: random.Random, path: Path) -> str:
    lines, tokens = _tokens(path)
    token = draw.choice([token for token in tokens if len(token[2]) > 3])
    place = draw.randrange(len(token[2]) - 1)
    word = token[2]
    new = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    _write_token(path, lines, token, new)
    return f"line {token[0]}: {word} becomes {new}"


def drop_a_word(draw: random.Random, path: Path) -> str:
    lines, tokens = _tokens(path)
    token = draw.choice(tokens)
    _write_token(path, lines, token, "")
    return f"line {token[0]}: {token[2]} is left out"


def change_lines(draw: random.Random, path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    one, other, kind = draw.randrange(len(lines)), draw.randrange(len(lines)), draw.choice(("drop", "double", "swap"))
    if kind == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one : one + 1] = [] if kind == "drop" else [lines[one]] * 2
    path.write_text("".join(lines), encoding="utf-8")
    return f"{kind} line {one + 1}" + (f" and {other + 1}" if kind == "swap" else "")


# What damages images.


def save_as_another_kind(draw: random.Random, path: Path) -> str:
    """Another mode, another size, or another format under the same name."""
    image = Image.open(path)
    image.load()
    kind = draw.choice(("L", "RGB", "RGBA", "P", "1", "I;16", "smaller", "larger", "GIF"))
    if kind == "I;16":
        Image.fromarray(np.array(image.convert("L")).astype(np.uint16) * 257).save(path, format="PNG")
    elif kind in ("smaller", "larger"):
        step = -1 if kind == "smaller" else 1
        image.resize((image.width + step, image.height), Image.Resampling.NEAREST).save(path)
    elif kind == "GIF":
        image.convert("P").save(path, format="GIF")
    else:
        image.convert(kind).save(path, format="PNG")
    return f"saved as {kind}"


def set_a_pixel(draw: random.Random, path: Path) -> str:
    pixels = np.array(Image.open(path))
    place, value = tuple(draw.randrange(size) for size in pixels.shape), draw.randrange(256)
    before = pixels[place]
    pixels[place] = value
    Image.fromarray(pixels).save(path)
    return f"value at {place}: {before} becomes {value}"


def rename_or_leave_out(draw: random.Random, path: Path) -> str:
    kind = draw.choice(("left out", "renamed", "copied", "other suffix", "upper case"))
    other = {"other suffix": path.with_suffix(".tif"), "upper case": path.with_name(path.name.upper())}
    target = other.get(kind, path.with_name(f"other{path.suffix}"))
    if kind == "left out":
        path.unlink()
    elif kind == "copied":
        shutil.copyfile(path, target)
    else:
        path.rename(target)
    return kind


# What damages the files in an archive.


def damage_a_file_inside(draw: random.Random, path: Path) -> str:
    """A few bytes of one of its files, whose checksum is right: mostly of the first ones, which say what it holds."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice(sorted(files))
    content = bytearray(files[name])
    start = draw.randrange(min(len(content), draw.choice((60, 140, len(content)))))
    kind = draw.choice(("bit flipped", "byte set", "bytes inserted", "bytes left out"))
    if kind == "bit flipped":
        content[start] ^= 1 << draw.randrange(8)
    elif kind == "byte set":
        content[start] = draw.choice((*b"\0 '(),[]0", 255))
    elif kind == "bytes inserted":
        content[start:start] = draw.randbytes(draw.randrange(1, 5))
    else:
        del content[start : start + draw.randrange(1, 9)]
    write_zip({**files, name: bytes(content)}, path)
    return f"{kind} in {name} at {start}"


def lose_or_swap_files_inside(draw: random.Random, path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    one, other = draw.choice(sorted(files)), draw.choice(sorted(files))
    if draw.random() < 0.5:
        del files[one]
        other = "nothing"
    else:
        files[one], files[other] = files[other], files[one]
    write_zip(files, path)
    return f"{one} changes places with {other}"


# The six kinds of input, and what `bench` makes of them.


def run_bench(*arguments: str | Path) -> tuple[int, str]:
    """Run a command in this process; returns exit status and standard output.

    Raises:
        BenchError: for status 2, with all that was written to standard error: it must be one line.
    """
    sys.argv = ["bench", *map(str, arguments)]
    output, errors, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            app.main()
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    if status == 2:
        raise BenchError(errors.getvalue().removesuffix("\n").removeprefix("bench: "))
    return status, output.getvalue()


def make_results(folder: Path) -> None:
    scores: dict[str, list[float | str | None]] = {"attention=off": [0.60, 0.62], "attention=on": [0.65, 0.66]}
    plant(folder / "planted", factors={"attention": ["off", "on"]}, scores=scores, boundary_px=(3,))


def observe_results(folder: Path) -> tuple[pd.DataFrame, str]:
    frame = bench.results(folder / "planted")
    return frame, run_bench("report", folder / "planted", "--table", "ablation", "--format", "csv")[1]


def observe_results_and_page(folder: Path) -> tuple[pd.DataFrame, str]:
    observation = observe_results(folder)
    run_bench("report", folder / "planted", "--methods")
    run_bench("report", folder / "planted")
    return observation


def same_results(before: tuple[pd.DataFrame, str], after: tuple[pd.DataFrame, str]) -> bool:
    """Equal rows whatever their order, but for those whose status says that they are missing or excluded.

    The order of the plan is that of the study, which a table keeps; a plan in another order is no other number.
    """
    (old, old_table), (new, new_table) = before, after
    if list(old.columns) != list(new.columns) or len(old) != len(new):
        return False
    trial = ["variant", "stage", "seed"]
    old, new = (frame.sort_values(trial, ignore_index=True).drop(columns=["study", "key"]) for frame in (old, new))
    if not old[trial].equals(new[trial]):
        return False
    told = new["status"].isin(["missing", "excluded"]) & (old["status"] == "done")
    same_rows = sorted(old_table.splitlines()) == sorted(new_table.splitlines())
    return bool(old[~told].equals(new[~told])) and (bool(told.any()) or same_rows)


def make_artifacts(folder: Path) -> None:
    wrong = {"attention=off": [[10, 8, 6, 4], [9, 8, 7, 4]], "attention=on": [[4, 9, 6, 3], [5, 9, 3, 4]]}
    scores = {variant: [counted(counts, 3).sum(0).tolist() for counts in seeds] for variant, seeds in wrong.items()}
    factors = {"attention": ["off", "on"]}
    plant(folder / "planted", factors=factors, scores=scores, stages=("quality",), images=4)
    plant_pictures(folder / "planted", wrong, ["one", "two", "three", "four"])


Observed = tuple[dict[tuple[str, int], list[float]], list[tuple[str, str, int]], dict[str, str]]


def observe_artifacts(folder: Path) -> Observed:
    """The scores of each image, and the entries and pictures of the gallery."""
    evidence = evidence_of(folder / "planted")
    scores = {
        (variant, seed): trial.miou.tolist()
        for variant, by_seed in evidence.image_scores.items()
        for seed, trial in by_seed.items()
    }
    shown = pictures(folder / "planted", evidence)
    entries = [(entry.image, entry.kind, entry.seed) for pair in shown.pairs for entry in pair.entries] if shown else []
    return scores, entries, dict(shown.pictures) if shown else {}


def same_artifacts(before: Observed, after: Observed) -> bool:
    """Equal scores, but for trials whose file is gone, which the report tells by their number of seeds.

    Pictures have no digest: one of other colours, or other images to show, is no other number.
    """
    return all(before[0][trial] == scores for trial, scores in after[0].items())


def network() -> Variant:
    backbone = part(ResNet, depth=18, width=4, stem="plain", output_stride=8, basic_dilation="first")
    return Variant(backbone=backbone, head=part(FCNHead, width=8), losses=(part(SegmentationLoss),))


def make_checkpoint(folder: Path) -> None:
    names = LAYOUTS["mmseg"]({"decode_head.convs.0.conv.weight"})
    ours = SegModel(network(), CLASSES, seed=1).state_dict()
    torch.save({str(names.source_name(name)): tensor for name, tensor in ours.items()}, folder / "original.pth")


def observe_checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    source, out = folder / "original.pth", folder / "ours.pth"
    convert_file(source, network(), CLASSES, out, "mmseg")
    return dict(torch.load(out, weights_only=True))


def same_checkpoint(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


STUDY = '''
"""Does my head help?"""

from torch import nn

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss


class Mine(nn.Module):
    """A head of one convolution."""

    def __init__(self, levels, num_classes, boundary=None, *, kernel: int = 1):
        super().__init__()
        self.classify = nn.Conv2d(levels[-1].channels, num_classes, kernel, padding=kernel // 2)

    def forward(self, features, boundary=None, *, with_aux=False):
        return self.classify(features[-1]), {}


STUDY = Study(
    name="fuzzed",
    question="Does my head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(
        Factor("head", {"fcn": change(), "mine": change(head=part(Mine)), "wide": change(head=choose(width=16))}),
    ),
    baseline={"head": "fcn"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4, test_images=4),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
    ),
    seeds=(0, 1),
    stages=("quality",),
)
'''


def make_study(folder: Path) -> None:
    (folder / "study.py").write_text(STUDY.lstrip(), encoding="utf-8")


def observe_study(folder: Path) -> int:
    """A study that is changed may be another study: only what is said when it is refused counts, cell by cell."""
    status, _ = run_bench("check", folder / "study.py")
    return 0 if status == 1 else status


def make_data(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for index in range(2):
            label = np.kron(draw.integers(0, 12, (4, 6)), np.ones((8, 8))).astype(np.uint8)
            image = np.stack([label * 20 + draw.integers(0, 20, label.shape).astype(np.uint8)] * 3, -1)
            name = f"{split}{index}"
            suffix = ("png", "jpg")[index]
            Image.fromarray(image).save(folder / "images" / split / f"{name}.{suffix}")
            Image.fromarray(label).save(folder / "labels" / split / f"{name}.png")


def observe_data(folder: Path) -> tuple[str, list[Any]]:
    """The fingerprint, which is part of every key, and all samples."""
    data = CamVid(folder)
    data.check()
    samples = [sample for name in ("train", "val", "test") for sample in data.split(name)]
    values = [(sample.name, sample.image.tolist(), sample.label.tolist()) for sample in samples]
    return data.fingerprint(), values


def same_data(before: tuple[str, list[Any]], after: tuple[str, list[Any]]) -> bool:
    """Equal samples, or another fingerprint: then the trials have other keys, and no old number stands for them."""
    return before[1] == after[1] or before[0] != after[0]


TARGETS = {
    "records": Target(
        make_results, ("planted/records/*.json",), ANY_FILE[1:] + 2 * JSON_FILE, observe_results, same_results
    ),
    "plans": Target(make_results, ("planted/study.json",), ANY_FILE[1:] + 2 * JSON_FILE, observe_results, same_results),
    "artifacts": Target(
        make_artifacts,
        ("planted/artifacts/*", "planted/pictures/*"),
        (*ANY_FILE, *2 * (damage_a_file_inside, damage_a_file_inside, lose_or_swap_files_inside)),
        observe_artifacts,
        same_artifacts,
    ),
    "checkpoints": Target(make_checkpoint, ("original.pth",), ANY_FILE, observe_checkpoint, same_checkpoint),
    "studies": Target(
        make_study,
        ("study.py",),
        (*ANY_FILE[1:], *2 * (replace_a_word, replace_a_word, misspell_a_word, drop_a_word, change_lines)),
        observe_study,
        lambda before, after: True,
        ("cell head=",),
    ),
    "data": Target(
        make_data,
        ("images/*/*", "labels/*/*"),
        (*ANY_FILE, save_as_another_kind, set_a_pixel, rename_or_leave_out),
        observe_data,
        same_data,
    ),
}


@contextlib.contextmanager
def within(seconds: float, more_bytes: int) -> Iterator[None]:
    """Limits what is done inside: after ``seconds`` a HangError, beyond the memory a MemoryError."""

    def stop(number: int, frame: object) -> None:
        raise HangError(f"nothing after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    memory = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + more_bytes, memory[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.signal(signal.SIGALRM, before)


def complaint(message: str, names: Collection[str]) -> str:
    """What is wrong with a refusal; empty if it is one line that has one of the names."""
    if "\n" in message.strip():
        return f"{len(message.strip().splitlines())} lines: {message.strip().splitlines()[-1][:120]}"
    if len(message) > LONGEST_LINE:
        return f"a line of {len(message)} characters: {message[:120]}"
    if not any(name in message for name in names):
        return f"no file is named: {message[:200]}"
    return ""


def fuzz(
    name: str,
    numbers: Sequence[int],
    seed: int,
    observe: Callable[[Path], Any] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> tuple[Counter[str], list[Fault]]:
    """Damage one kind of input, over and over.

    Args:
        numbers: of the mutations; a number and a seed always give the same one.
        observe: in place of the target's own.
        say: is called with every refusal that is as it should be.

    Returns:
        How often the result was the same (``right``), refused (``refused``) or a ``fault``; and the faults.
    """
    target, counts, faults = TARGETS[name], Counter[str](), list[Fault]()
    observe = observe or target.observe
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        target.make(whole)
        expected = target.observe(whole)
        for number in numbers:
            draw = random.Random(f"{name} {seed} {number}")
            folder = Path(temporary) / f"damaged-{number}"  # a process imports the file of one path once
            shutil.copytree(whole, folder)
            path = draw.choice(sorted(path for pattern in target.files for path in whole.glob(pattern)))
            path = folder / path.relative_to(whole)
            mutation = f"{path.relative_to(folder)}: {draw.choice(target.mutations)(draw, path)}"
            what = ""
            try:
                with within(LONGEST_S, MOST_BYTES):
                    if target.same(expected, observe(folder)):
                        counts["right"] += 1
                    else:
                        what = "another number without a word"
            except (BenchError, OSError) as error:
                what = complaint(_told(error), _names(target, folder, path))
                counts["refused"] += not what
                if not what:
                    say(f"  {number}: refused: {_told(error)}   [{mutation}]\n")
            except HangError as error:
                what = str(error)
            except Exception as error:  # noqa: BLE001 -- any exception is a fault to be told
                last = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
                what += f" ({Path(last.filename).name}:{last.lineno})"
            if what:
                counts["fault"] += 1
                faults.append(Fault(number, what, mutation))
            shutil.rmtree(folder)
    return counts, faults


def _names(target: Target, folder: Path, path: Path) -> set[str]:
    """The damaged file, the files that it may disagree with, and other places."""
    return {path.name, *target.places, *(other.name for other in folder.rglob("*") if other.suffix)}


def _told(error: BenchError | OSError) -> str:
    """What the command line prints for an error."""
    if isinstance(error, OSError) and not isinstance(error, BenchError):
        return f"{error.filename2 or error.filename}: {error.strerror}"
    return str(error)


def listed(faults: Sequence[Fault]) -> str:
    """The faults by their first word, the most frequent first, each with its first examples."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.what.split(":")[0], []).append(fault)
    text = ""
    for kind, of_a_kind in sorted(kinds.items(), key=lambda item: -len(item[1])):
        text += f" {len(of_a_kind)} of the kind {kind!r}\n"
        text += "".join(f"{fault}\n" for fault in of_a_kind[:EXAMPLES])
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if there was a fault."""
    parser = argparse.ArgumentParser(description="Damage what bench reads, and look at what it says.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="by default all")
    parser.add_argument("--mutations", type=int, default=1000, help="of each kind of input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one mutation")
    parser.add_argument("--pages", action="store_true", help="write the whole report too (1 s a mutation)")
    parser.add_argument("--refusals", action="store_true", help="print every refusal, also of those that are right")
    options = parser.parse_args(arguments)
    numbers = range(options.mutations) if options.only is None else [options.only]
    worst = 0
    for name in options.targets or TARGETS:
        pages = observe_results_and_page if options.pages and name in ("records", "plans") else None
        say = sys.stdout.write if options.refusals else lambda line: None
        counts, faults = fuzz(name, numbers, options.seed, pages, say)
        told = ", ".join(f"{counts[word]} {word}" for word in ("right", "refused", "fault"))
        sys.stdout.write(f"{name}: {len(numbers)} mutations: {told}\n")
        sys.stdout.write(listed(faults))
        sys.stdout.flush()
        worst = max(worst, len(faults))
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
