"""Keys of the committed studies: edits that keep all of them, and edits that change exactly those that they ought to."""

# ruff: noqa: E501 - lines of source that is edited

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("keys_of_copies")  # one process builds them

ROOT = Path(__file__).parents[3]
LAYERS, LOOP, PLAIN = "bench/network/layers.py", "bench/training/loop.py", "bench/training/plain.py"
FCN, JPU = "bench/network/heads/fcn.py", "bench/network/necks/jpu.py"
CONTROL = "bench/data/control.py"
CONV_NORM_RELU = next(
    part
    for part in (ROOT / LAYERS).read_text(encoding="utf-8").split("\n\n\n")
    if part.startswith("def conv_norm_relu")
)
Edit = tuple[str, str, str]

KEEPING: dict[str, list[Edit]] = {
    "a module moves": [
        ("bench/network/shape_streams/edges.py", "", (ROOT / "bench/network/shape_streams/canny.py").read_text()),
        ("bench/network/shape_streams/gated.py", "shape_streams.canny", "shape_streams.edges"),
    ],
    "a private helper is renamed": [("bench/training/inference.py", "_forward(", "_through(")],
    "a private method is renamed": [("bench/network/losses/segmentation.py", "_side(", "_output(")],
    "a local variable is renamed": [(PLAIN, "stream = _stream(", "pairs = _stream("), (PLAIN, "), stream, strict", "), pairs, strict"),
                                    (LOOP, ") as stream", ") as pairs"), (LOOP, "), stream, strict", "), pairs, strict")],
    "an exception is reworded": [(LOOP, "lower the learning rate", "try a lower learning rate")],
    "an exception is renamed": [(LOOP, "DivergedError", "NotFiniteError"),
                                (PLAIN, "DivergedError", "NotFiniteError"),
                                ("bench/training/late.py", "DivergedError", "NotFiniteError"),
                                ("bench/measure/quality/evaluate.py", "DivergedError", "NotFiniteError"),
                                ("bench/run/outcomes/outcome.py", "DivergedError", "NotFiniteError")],
    "a constant is annotated": [("bench/measure/quality/boundary.py", "FAR =", "FAR: int =")],
    "a local variable is annotated": [(LOOP, "start = time.perf_counter()", "start: float = time.perf_counter()")],
    "a comment": [(LAYERS, "def resize(", "# The only one.\ndef resize(")],
    "a docstring": [(JPU, '"""Joint pyramid upsampling', '"""Upsampling of a pyramid')],
    "a file is split": [
        ("bench/network/blocks.py", "", f"from torch import nn\n\n\n{CONV_NORM_RELU}\n"),
        (LAYERS, CONV_NORM_RELU, "from bench.network.blocks import conv_norm_relu as conv_norm_relu"),
        (FCN, "from bench.network.layers import BoundaryFusion, conv_norm_relu,",
         "from bench.network.blocks import conv_norm_relu\nfrom bench.network.layers import BoundaryFusion,"),
    ],
    "a choice with the old default": [
        (FCN, "        dropout: Fraction = 0.1,\n    )", "        dropout: Fraction = 0.1,\n        deep: bool = False,\n    )"),
        (FCN, "        self.fusion =", "        if deep:\n            self.more = nn.Identity()\n        self.fusion ="),
    ],
    "another value of a choice": [
        (JPU, 'depthwise_norm: Literal["batch", "local", "none"]', 'depthwise_norm: Literal["batch", "local", "group", "none"]'),
    ],
    "a field of the recipe at its neutral value": [
        ("bench/protocol/recipe.py", "    flip: Fraction = 0.5\n",
         '    flip: Fraction = 0.5\n    warm_up: int = field(default=0, metadata={"neutral": 0})\n'),
        (PLAIN, "    history = History()\n",
         "    if recipe.warm_up > 0:\n        step.optimiser.zero_grad()\n    history = History()\n"),
    ],
    "what is kept of a training": [
        (LOOP, "keeper.after(iteration + 1, recipe.iterations)", "keeper.after(iteration + 1, 2 * recipe.iterations)"),
        (LOOP, "else keeper.first", "else keeper.first + 1"),
        ("bench/training/keeper.py", '"done": done,', '"done": done + 1,'),
        ("bench/run/stages.py", "keeper.finish(model)", "keeper.finish(model.eval())"),
    ],
    "a field of the setting at its neutral value": [
        ("bench/protocol/setting.py", "from dataclasses import dataclass", "from dataclasses import dataclass, field"),
        ("bench/protocol/setting.py", "    least_s: Positive = 10.0\n",
         '    least_s: Positive = 10.0\n    threads: int | None = field(default=None, metadata={"neutral": None})\n'),
        ("bench/measure/timing/execution.py", "from __future__ import annotations\n",
         "from __future__ import annotations\n\nimport torch as _torch\n"),
    ],
    "an unused private helper": [(PLAIN, "def _finite(", "def _unused(x: int) -> int:\n    return x\n\n\ndef _finite(")],
    "progress is told in other words": [("bench/run/stages.py", 'Event("train"', 'Event("training"')],
    "a log line": [(LOOP, "import math\n", "import logging\nimport math\n"),
                   (LOOP, "    history.train_s =", '    logging.getLogger("bench").info("trained %s", seed)\n    history.train_s =')],
    "a command changes": [("bench/cli/display.py", "def spell_s(", "SPELT = 1\n\n\ndef spell_s(")],
}  # fmt: skip
"""Edit -> what it replaces. None of them computes anything else."""

EVERY = ("",)
CONTROL_TRIALS = ("positive_control ",)
SPEED_TRIALS = ("jpu_speed ",)
OF_JPU = (*(f"positive_control attention={a},upsampling=jpu" for a in ("off", "on")), *SPEED_TRIALS)

CHANGING: dict[str, tuple[list[Edit], tuple[str, ...]]] = {
    "a default": ([(JPU, '"none"] = "batch"', '"none"] = "local"')], OF_JPU),
    "a constant": ([(CONTROL, "CONTRAST = 60", "CONTRAST = 61")], CONTROL_TRIALS),
    "an operator": (
        [("bench/network/heads/dual_attention.py", "x + attended.view_as(x)", "x - attended.view_as(x)")],
        ("positive_control attention=on", "jpu_speed head=dual-attention"),
    ),
    "the body of a function that is called": (
        [("bench/network/backbones/shallow.py", "nn.ReLU(inplace=True)", "nn.ReLU()")], CONTROL_TRIALS
    ),
    "the weight of a loss": (
        [("studies/positive_control.py", "part(BoundaryLoss, weight=1)", "part(BoundaryLoss, weight=2)")],
        ("positive_control attention=off,upsampling=jpu,gate=on",),
    ),
    "a base class": (
        [(FCN, "class FCNHead(nn.Module)", "class FCNHead(nn.Identity)")],
        ("positive_control attention=off", "jpu_speed head=fcn"),
    ),
    "a decorator": (
        [("bench/network/heads/encoding.py", "    def forward(self, x: Tensor, features", "    @torch.no_grad()\n    def forward(self, x: Tensor, features"),
         ("bench/network/heads/encoding.py", "    def forward(\n", "    @torch.no_grad()\n    def forward(\n")],
        ("jpu_speed head=encnet",),
    ),
    "an entry of a table": (
        [("bench/network/backbones/resnet.py", "50: (3, 4, 6, 3)", "50: (3, 4, 6, 4)")], SPEED_TRIALS
    ),
    "an alternative that is imported": (
        [("bench/data/other.py", "", "from bench.data.cache import Remembered as Base\n\n\nclass Remembered(Base):\n    pass\n"),
         (CONTROL, "from bench.data.cache import Remembered", "from bench.data.other import Remembered")],
        CONTROL_TRIALS,
    ),
    "a step of the plain form of training": ([(PLAIN, "            schedule.step()\n", "")], CONTROL_TRIALS),
    "a step of training": ([(LOOP, "                schedule.step()\n", "")], CONTROL_TRIALS),
    "the reading of losses": (
        [("bench/training/late.py", "block.tolist()", "block.abs().tolist()")], CONTROL_TRIALS
    ),
    "a statement at the top level": (
        [("studies/jpu_speed.py", "SIDES =", "import torch\n\ntorch.set_default_dtype(torch.float64)\nSIDES =")], SPEED_TRIALS
    ),
    "a class that is patched": (
        [("studies/positive_control.py", "STUDY = Study(", "FCNHead.forward = DualAttentionHead.forward\nSTUDY = Study(")],
        ("positive_control attention=off",),
    ),
    "the recipe": ([("studies/positive_control.py", "batch=8", "batch=4")], CONTROL_TRIALS),
    "a choice of the data": (
        [("studies/positive_control.py", "part(ControlScenes)", "part(ControlScenes, seed=1)")], CONTROL_TRIALS
    ),
}  # fmt: skip
"""Edit -> what it replaces, and how the trials begin whose keys it changes; all others are kept."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Edit -> trial -> key; the copy without an edit is called ``unchanged``, that with all that keep ``kept``."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("bench", "studies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    copies = {"unchanged": [], "kept": [edit for edits in KEEPING.values() for edit in edits]}
    copies |= {name: edits for name, (edits, _) in CHANGING.items()}
    script = Path(__file__).with_name("keys_of_copies.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(folder)],
        input=json.dumps(copies), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, dict[str, str]] = json.loads(done.stdout)
    return answer


def test_edits_that_compute_the_same_keep_every_key_of_the_committed_studies(keys: dict[str, dict[str, str]]) -> None:
    assert len(KEEPING) >= 10
    assert len(keys["unchanged"]) == 5 + 11
    assert keys["kept"] == keys["unchanged"]


@pytest.mark.parametrize("edit", CHANGING)
def test_an_edit_changes_exactly_the_keys_of_what_it_computes(edit: str, keys: dict[str, dict[str, str]]) -> None:
    before, after = keys["unchanged"], keys[edit]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.startswith(CHANGING[edit][1])}


COMMITTED = sorted(plan.parent.name for plan in (ROOT / "results").glob("*/study.json"))
OF_MODES = [name for name in COMMITTED if name.endswith("_modes")]
"""The results whose keys hold the versions of ONNX Runtime and OpenVINO: `nox -s extras` has these."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.extras] * (name in OF_MODES)) for name in COMMITTED]
)
def test_committed_records_have_the_keys_of_the_present_source(name: str, tmp_path: Path) -> None:
    from bench.run.resources import here
    from bench.run.schedule.making import make_schedule
    from bench.study.source import Source, load

    planned = json.loads((ROOT / "results" / name / "study.json").read_text(encoding="utf-8"))
    path = ROOT / "studies" / f"{planned['name']}.py"
    plan = make_schedule(load(Source(str(path), planned["size"], None, tuple(planned["seeds"]))), tmp_path, here(1, 0))
    rows = planned.get("trials", planned.get("cells"))
    assert [trial.key for trial in plan.trials] == [row["key"] for row in rows], (
        f"the records of results/{name} are stale: the code, settings or versions that they were made with have "
        f"changed. Unintended? `bench plan {path.relative_to(ROOT)}` says what changed. Intended? Run the study again "
        "and commit its records, or, if the new code provably computes the same numbers, put it so that its key stays"
    )
    files = {file.name.partition(".")[0].partition("-")[0] for file in (ROOT / "results" / name / "records").iterdir()}
    assert files == {row["key"] for row in rows}
