"""How levels, outcomes, verdicts, p-values and ratios are written in tables, figures and sentences.

How the value of a measured column is written, is known to that :class:`~bench.protocol.columns.Column`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

NOTHING = "—"
"""The text of a cell without a value."""


EXTRAPOLATED = "≈"
"""The mark of a count that was not made at the size itself, but follows from smaller ones."""


REPEAT = "repeat with --retry not_alone"
"""The remedy for a timing that was left out because other work ran on the machine: an option of the same command."""

REPEAT_UNKNOWN = "repeat with --retry maybe_not_alone"
"""The remedy for a timing of which it is not known whether it was alone, once that can be known."""


def maybe_not_alone(*unknown: str) -> str:
    """The remark on a timing, or several, of which it is not known whether it was alone; empty if it is known.

    Args:
        unknown: for each timing, what is not known, as :attr:`bench.records.measured.Measured.maybe_not_alone` says it.
    """
    phrases = "; ".join(dict.fromkeys(phrase for phrase in unknown if phrase))
    return f"not known whether it was alone: {phrases}" if phrases else ""


LEAST_P = 0.001
"""Smaller p-values are only said to be below it."""


OFF = frozenset({"off", "none", "no", "false", "absent"})
"""Levels that mean "without it"."""


def ratio(value: float) -> str:
    """A ratio to the baseline: ``×1.20``; a dash for NaN."""
    return NOTHING if math.isnan(value) else f"×{value:.2f}"


def status(name: str) -> str:
    """An outcome in words: ``out of memory``."""
    return name.replace("_", " ")


def tally(statuses: Iterable[str]) -> str:
    """Outcomes counted: ``2 done, 1 out of memory``."""
    return ", ".join(f"{count} {status(name)}" for name, count in Counter(statuses).items())


def level(value: str, levels: Sequence[str]) -> str:
    """A level in a table: ✓ or ✗ for a factor of two levels of which one is off-like, its name otherwise."""
    off = [level for level in levels if str(level).lower() in OFF]
    if len(levels) == 2 and len(off) == 1 and value in levels:
        return "✗" if value == off[0] else "✓"
    return value


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """Fields of a recipe with their values: ``learning_rate 0.0123, decayed all``."""
    return ", ".join(
        f"{name} {value:.4g}" if type(value) is float else f"{name} {value}" for name, value in settings.items()
    )


def bytes_in_words(count: int) -> str:
    """Bytes in a unit that people read: ``254 MB``."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def in_sentence(label: str) -> str:
    """A label of a column inside a sentence: ``latency``, but ``MACs``."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def joined(texts: Sequence[str], word: str = "and") -> str:
    """``a, b and c``, or with another word before the last text; empty for none."""
    return f" {word} ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def first_few(texts: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of some texts, and the number of the others: ``a, b and 3 more``."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return between.join(texts[:most]) + more


def verdict(row: Mapping[str, Any]) -> str:
    """A row of effects' verdict with its reason."""
    return f"{row['verdict']} ({row['reason']})" if row["reason"] else str(row["verdict"])


def p_value(value: float) -> str:
    """``0.012``, ``< 0.001``; a dash for NaN."""
    if math.isnan(value):
        return NOTHING
    return f"< {LEAST_P}" if value < LEAST_P else f"{value:.3f}"


def bounds(low: float, high: float) -> str:
    """Both ends of the interval of a ratio: ``[1.020, 1.080]``; a dash for NaN."""
    return NOTHING if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def times(value: float) -> str:
    """A ratio of times, how many times as fast: ``1.204``; a dash for NaN."""
    return NOTHING if math.isnan(value) else f"{value:.3f}"


def percent(share: float) -> str:
    """A share from 0 to 1 in per cent, with three digits."""
    return f"{100 * share:.3g} %"


def size(pixels: Iterable[int]) -> str:
    """Height and width: ``64 × 96``."""
    return " × ".join(str(side) for side in pixels)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of a nested mapping as text, by their names: ``optimiser.momentum`` and ``0.9``."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            text = "none" if value is None else json.dumps(value, ensure_ascii=False)
            yield f"{prefix}{name}", value if isinstance(value, str) else text


def differing(one: Mapping[str, Any], other: Mapping[str, Any], absent: str = "none") -> Iterator[tuple[str, str, str]]:
    """The values in which two nested mappings differ: the name, and the text on both sides, as :func:`leaves` has them.

    Args:
        one: the one mapping.
        other: the other mapping.
        absent: the text for a value that only one side has.
    """
    sides = dict(leaves(one)), dict(leaves(other))
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        texts = sides[0].get(name, absent), sides[1].get(name, absent)
        if texts[0] != texts[1]:
            yield name, *texts
