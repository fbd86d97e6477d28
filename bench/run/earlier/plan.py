"""The plan that an earlier run left in a results folder, and the contents of the keys of its trials."""

from __future__ import annotations

from pathlib import Path

from bench.records.files import RecordError
from bench.records.plan.plan import Plan, read_plan
from bench.run.identity.explained import Explained, unpacked


def earlier_keys(folder: Path) -> dict[str, Explained]:
    """The parts of the keys of the plan that a folder holds; empty if it holds no plan, or one without these parts."""
    plan = earlier_plan(folder)
    return unpacked(plan.identity) if plan is not None else {}


def earlier_plan(folder: Path) -> Plan | None:
    """The plan that a folder holds; ``None`` if it holds none that can be read."""
    try:
        return read_plan(folder)
    except (OSError, RecordError):
        return None
