"""The breakdown of one variant, module by module, that ``bench cost`` measures at several image sizes.

Its files lie beside the records and are no part of them: each run of the command replaces them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bench.measure.cost.attribution import NETWORK, QUANTITIES, Growth, ModuleCost, Timed, attribute, growth
from bench.measure.timing.execution import deployed, deployed_setting, memory_format_of
from bench.network.model import SegModel
from bench.parts import BenchError
from bench.protocol.modes import check_setting
from bench.protocol.words import EXTRAPOLATED
from bench.records.files import write_json, write_text
from bench.run import environment
from bench.run.environment import Machine
from bench.study.cells import Cell

SHARES = ("parameters", "macs", "saved_bytes", "time_s")
UNUSED = "of these unused (G)"
"""The head of the column of multiply-accumulates that never reach the output; it is there only if there are any."""

SMALL_SHARE = 0.01
"""A module with less than this share of every quantity is left out of the printed table; the files list all modules."""


SMALLEST_PX = 16
"""The smallest height and width of a measured image: that of recipes and settings."""


class SizeError(BenchError, ValueError):
    """Image sizes that cannot be measured."""


@dataclass(frozen=True)
class Breakdown:
    """The costs of a variant's modules at every image size, and their growth with the size.

    Attributes:
        cell: the variant.
        machine: the machine on which the times were taken.
        forwards: the number of timed forwards at each size.
        precision: the precision of the timed forwards.
        memory_format: their memory format.
        rows: the costs, one row for each module and size.
        growth: the growth, one row for each module and quantity; empty if there is only one size.
    """

    cell: Cell
    machine: Machine
    forwards: int
    precision: str
    memory_format: str
    rows: Sequence[ModuleCost]
    growth: Sequence[Growth]

    def write(self, folder: Path, source: Path) -> list[Path]:
        """Write ``<variant>.json``, ``<variant>.modules.csv`` and, for two sizes or more, ``<variant>.growth.csv``.

        Args:
            folder: the folder for the files, which is created if it is missing.
            source: the study's file, whose commit is part of the environment.

        Returns:
            The paths of the written files.
        """
        stem = folder / self.cell.name.replace(",", "_")
        paths = [Path(f"{stem}.json"), Path(f"{stem}.modules.csv")]
        document = {
            "variant": self.cell.name,
            "choices": {"variant": self.cell.variant.describe(), "recipe": self.cell.recipe.describe()},
            "environment": environment.describe(self.machine, source),
            "batch": 1,
            "training_batch": self.cell.recipe.batch,
            "forwards": self.forwards,
            "precision": self.precision,
            "memory_format": self.memory_format,
            "modules": [_plain(asdict(row)) for row in self.rows],
            "growth": [_plain(asdict(row)) for row in self.growth],
            "extrapolated": self.extrapolated(),
        }
        write_json(document, paths[0])
        write_text(self.modules().to_csv(index=False), paths[1])
        if self.growth:
            paths.append(Path(f"{stem}.growth.csv"))
            write_text(pd.DataFrame(self.growth).to_csv(index=False), paths[2])
        return paths

    def extrapolated(self) -> dict[str, dict[str, str]]:
        """Quantity -> size -> how it was extrapolated; without the sizes for which it was counted."""
        network = [row for row in self.rows if row.module == NETWORK]
        found = {
            quantity: {f"{row.input_px[0]}x{row.input_px[1]}": how for row in network if (how := _how(row, quantity))}
            for quantity in ("macs", "saved_bytes")
        }
        return {quantity: sizes for quantity, sizes in found.items() if sizes}

    def modules(self) -> pd.DataFrame:
        """The costs as a frame, one row for each module and size.

        The columns are the fields of :class:`~bench.measure.cost.attribution.ModuleCost`.
        """
        frame = pd.DataFrame(self.rows)
        frame[["height_px", "width_px"]] = frame.pop("input_px").tolist()
        return frame

    def shown(self) -> tuple[list[str], list[list[str]]]:
        """The heads and the rows of the printed table: costs at the largest size, their shares, exponents of growth."""
        largest = max(math.prod(row.input_px) for row in self.rows)
        rows = [row for row in self.rows if math.prod(row.input_px) == largest]
        timed = self.forwards > 0
        heads = [
            "module",
            "parameters (M)",
            "MACs (G)",
            "share",
            f"saved (MiB, batch {self.cell.recipe.batch})",
            "share",
        ]
        wasted = any(row.wasted_macs for row in rows)
        heads[4:4] = [UNUSED] if wasted else []
        heads += ["time (ms)", "share"] if timed else []
        quantities = [name for name in ("macs", "saved_bytes", "time_s") if self.growth and (timed or name != "time_s")]
        heads += [f"{_WORDS[name]} ~ px^" for name in quantities]
        grown = {(row.module, row.quantity): row.exponent for row in self.growth}
        followed = self.extrapolated()
        return heads, [
            [
                *_cells(row, rows[0], timed, wasted),
                *(_power(grown[row.module, name], name in followed) for name in quantities),
            ]
            for row in rows
            if any(share >= SMALL_SHARE for share in _shares(row, rows[0]))
        ]


def break_down(
    cell: Cell,
    num_classes: int,
    sizes: Sequence[tuple[int, int]],
    machine: Machine,
    *,
    depth: int,
    forwards: int,
    tell: Callable[[str], None],
    conditions: Mapping[str, Any] | None = None,
) -> Breakdown:
    """Measure every module's cost at every size on ``machine``. Torch keeps the machine's number of threads afterwards.

    Args:
        cell: the variant.
        num_classes: the number of classes that it predicts.
        sizes: the heights and widths of the images.
        machine: the machine on which times are taken.
        depth: the number of levels of modules; 1 lists slots alone.
        forwards: the number of timed forwards at each size; 0 only counts.
        tell: a function that is called with the progress, as a text.
        conditions: fields of a setting in which forwards are timed, such as ``precision``, in place of the recipe's
            precision and the device's memory format.

    Raises:
        ChoiceError: if the device does not have the precision.
        SizeError: if two sizes have the same number of pixels.
    """
    if len({math.prod(size) for size in sizes}) < len(sizes):
        raise SizeError(f"sizes {', '.join(f'{h}x{w}' for h, w in sizes)}: some have as many pixels; give each once")
    torch.set_num_threads(machine.threads)
    device = machine.torch_device
    setting = replace(deployed_setting(cell.recipe, *sizes[0], device), **(conditions or {}))
    check_setting(setting, device.type)
    model = SegModel(cell.variant, num_classes).to(device)
    timed = Timed(deployed(SegModel(cell.variant, num_classes), setting, device), setting.precision)

    def measured(height: int, width: int) -> list[ModuleCost]:
        tell(f"{height}×{width}")
        return attribute(
            model,
            torch.zeros(1, 3, height, width).to(device, memory_format=memory_format_of(setting)),
            batch=cell.recipe.batch,
            depth=depth,
            forwards=forwards,
            timed=timed,
            progress=lambda done, total: tell(f"{height}×{width}, forward {done}/{total}"),
        )

    rows = [row for size in sorted(sizes, key=math.prod) for row in measured(*size)]
    grown = growth(rows) if len(sizes) > 1 else []
    return Breakdown(cell, machine, forwards, setting.precision, setting.memory_format, rows, grown)


def smaller_sizes(px: tuple[int, int]) -> list[tuple[int, int]]:
    """Three sizes, with half, three quarters and all of each side."""
    return [(max(SMALLEST_PX, px[0] * part // 4), max(SMALLEST_PX, px[1] * part // 4)) for part in (2, 3, 4)]


_WORDS: Mapping[str, str] = dict(zip(QUANTITIES, ("MACs", "outputs", "saved", "time"), strict=True))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with ``None`` in place of NaN, which JSON does not have."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _cells(row: ModuleCost, whole: ModuleCost, timed: bool, wasted: bool) -> Iterator[str]:
    yield "  " * row.depth + (row.module if row.depth < 2 else row.module.partition(".")[2])
    yield f"{row.parameters / 1e6:.4g}"
    for name, scale, form in (("macs", 1e-9, ".4g"), ("saved_bytes", 2**-20, ".1f"), ("time_s", 1e3, ".2f")):
        if name == "time_s" and not timed:
            return
        value, total = getattr(row, name), getattr(whole, name)
        mark = f"{EXTRAPOLATED} " if _how(row, name) else ""
        yield f"{mark}{value * scale:{form}}"
        yield f"{value / total:.1%}" if total else ""
        if name == "macs" and wasted:
            yield f"{mark}{row.wasted_macs * scale:{form}}" if row.wasted_macs else ""


def _how(row: ModuleCost, quantity: str) -> str:
    """How a quantity of a row was extrapolated; empty if it was not."""
    return str(getattr(row, f"{quantity}_extrapolated", ""))


def _power(exponent: float, followed: bool) -> str:
    return "" if math.isnan(exponent) else f"{f'{EXTRAPOLATED} ' if followed else ''}{exponent:.2f}"


def _shares(row: ModuleCost, whole: ModuleCost) -> Iterator[float]:
    for name in SHARES:
        value, total = getattr(row, name), getattr(whole, name)
        yield 1.0 if row.module == NETWORK else value / total if total else 0.0
