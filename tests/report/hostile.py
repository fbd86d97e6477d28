"""A study with everything that a page can show, and text that would run if it were not escaped wherever text comes from
outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.record import read_all, write
from bench.report.figures.cost import GROWN
from tests.report.planted_pictures import plant_pictures

RUNS = "window.hacked = 1"
SCRIPT, END = f"<script>{RUNS}</script>", f"</script><script>{RUNS}</script>"
IMAGE, COMMENT = f"<img src=x onerror='{RUNS}'>", "<!-- \"both\" 'quotes' & <b>bold</b>"
BREAK = f"</script><img src=x onerror='{RUNS}'>"
NECK, HEAD = f"neck{SCRIPT}", f"head{IMAGE}"
NAMES = (SCRIPT, BREAK, f"</style>{IMAGE}", COMMENT)
"""Of images."""


def variant(neck: str, head: str) -> str:
    return f"{NECK}={neck}, {HEAD}={head}"


OFF, ON = variant(END, "off"), variant(END, COMMENT)
WIDE, BOTH = variant(IMAGE, "off"), variant(IMAGE, COMMENT)
SEEDS: dict[str, list[float | str | None]] = {
    OFF: [0.60, 0.62, 0.61], ON: [0.65, 0.671, 0.659], WIDE: [0.605, 0.612, "failed"], BOTH: [0.64, None, 0.66],
}  # fmt: skip
WRONG = {OFF: [10, 10, 10, 10], ON: [4, 12, 9, 10], WIDE: [11, 8, 10, 13], BOTH: [2, 12, 10, 7]}
"""Wrong pixels of each image, in every seed."""
LEVELS = {
    f"{NECK}={END}": {"upsampling": "dilated-8"}, f"{NECK}={IMAGE}": {"upsampling": "jpu"},
    f"{HEAD}=off": {}, f"{HEAD}={COMMENT}": {},
}  # fmt: skip
PUBLISHED = {"system": SCRIPT, "against": {NECK: END}, "levels": LEVELS, "settings": {"head": "dual-attention"}}
MEMORY: dict[str, Any] = dict.fromkeys(
    [f"{what}_bytes" for what in ("weight", "buffer", "gradient", "optimiser", "input", "peak")], 2**20
)
MEMORY |= {"saved_bytes": {END: 2**20, "head": 2**21}}


def plant(folder: Path, planted_results: Callable[..., Path], plant_speed: Callable[..., None]) -> None:
    """Every kind of finding, note, table and figure, a gallery among them."""
    one, other = (
        facts({HEAD: level}, f"heads.{SCRIPT}Head", kernel, kernel) for level, kernel in (("off", 3), (COMMENT, 1))
    )
    planted_results(
        folder,
        factors={NECK: [END, IMAGE], HEAD: ["off", COMMENT]},
        scores=SEEDS,
        costs={BOTH: "out_of_memory", OFF: {"training_memory": MEMORY}},
        classes=[SCRIPT, END, IMAGE, COMMENT, "road", "pole", "sky"],
        boundary_px=(3,),
        plan={
            "name": f"study {IMAGE}", "question": f"Why {BREAK}?", "command": f"bench run {END}", "size": COMMENT,
            "recipe": {SCRIPT: END, "optimiser": {IMAGE: COMMENT}, "crop_px": [64, 64]}, "margin": 0.005,
            "audit": {"about": {HEAD: ["neck"]}, "touched": {HEAD: ["head"]}, "input_px": [64, 64],
                      "variants": {OFF: one, ON: other}},
            "published": [PUBLISHED],
        },
    )  # fmt: skip
    for record in read_all(folder / "records"):
        outcome = dict(record.outcome)
        if record.status == "failed":
            outcome |= {"reason": SCRIPT, "traceback": "\n".join(["Traceback", SCRIPT, END, IMAGE, COMMENT, BREAK])}
        write(
            record.having(outcome=outcome, environment={**record.environment.as_json(), "device": SCRIPT}),
            folder / "records",
        )
    plant_pictures(folder, {name: [counts] * len(SEEDS[name]) for name, counts in WRONG.items()}, NAMES)
    _attribute(folder)
    write(read_all(folder / "records")[0].having(key=f"stale{IMAGE.replace('/', '')}"), folder / "records")
    plant_speed(folder, WIDE, OFF, {256: True, 512: True, 1024: False}, IMAGE)


def published(genuine: Callable[[str], pd.DataFrame]) -> Callable[[str], pd.DataFrame]:
    """Reads published tables whose text is hostile."""

    def read(name: str) -> pd.DataFrame:
        return genuine(name).assign(system=SCRIPT, flaw=IMAGE, source=f"{BREAK} {COMMENT}", hardware=END)

    return read


def facts(levels: dict[str, str], name: str, kernel: int, macs: int) -> dict[str, Any]:
    """A network as an audit keeps it, which has a head alone; ``name`` is that of the head's class."""
    head = {"class": name, "choices": {"kernel": kernel}, "macs": macs}
    unset: dict[str, Any] = {"losses": [], "recipe": {}, "learning_rates": {}, "conventions": {}}
    return {"levels": levels, "slots": {"head": head}, **unset}


def _attribute(folder: Path) -> None:
    """What ``bench cost`` writes, of two sizes: every quantity of a part with a hostile name is that of its pixels."""
    rows = [
        {"module": BREAK, "depth": 1, "input_px": [side, side], **dict.fromkeys(GROWN, side**2)} for side in (32, 64)
    ]
    grown = [{"module": BREAK, "quantity": name, "exponent": 1.0} for name in GROWN]
    path = folder / "attribution" / "variant.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"variant": OFF, "modules": rows, "growth": grown}))
