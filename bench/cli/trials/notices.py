"""The lines that several commands print about a study: what is excluded, cannot be built or cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable

from bench.cli.console import PlainConsole
from bench.protocol.text import plain
from bench.run.check import Faulty
from bench.study.fractions import aliases_in_words, broken_in_words
from bench.study.study import Study


def print_excluded(study: Study, console: PlainConsole) -> None:
    """Print the cells that are not run, with the reasons."""
    for cell in study.excluded():
        console.print(f"excluded: {cell.name}: {cell.reason}", soft_wrap=True)


def print_aliases(study: Study, console: PlainConsole) -> None:
    """Print the effects that a fraction of a factorial design cannot tell from each other, or that it is broken."""
    cells = [cell.levels for cell in study.cells()]
    if lines := aliases_in_words(cells, study.baseline):
        console.print("Effects of up to two factors that these cells cannot tell from each other:")
        for line in lines:
            console.print(f"  {line}", soft_wrap=True)
    if sentence := broken_in_words(cells, [cell.levels for cell in study.excluded()], study.baseline):
        console.print(sentence, soft_wrap=True)


def print_faulty(faulty: Iterable[Faulty], console: PlainConsole) -> None:
    """Print one line for each variant that cannot be built, computed or trained."""
    for variant in faulty:
        console.print(plain(str(variant)), soft_wrap=True)
