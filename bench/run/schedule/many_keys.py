"""The keys of a study's many trials, made side by side, and some of them once more by themselves."""

from __future__ import annotations

from bench.protocol.setting import Setting, Stage
from bench.run.identity.many.templates import Made, MadeKeys, Templates
from bench.run.stages import SourceError, asked_of, present_keys
from bench.study.cells import Cell

MOST_CHECKED = 2
"""The keys of a plan that are made a second time, by themselves, which takes a fifth of a second each."""


class KeysOfMany:
    """Makes the keys of a study's many trials, each equal to that of :func:`key_of`, in a fraction of the time.

    Attributes:
        made: key -> the key with its contents, for all trials so far.
    """

    def __init__(self) -> None:
        self._templates = Templates(present_keys())
        self._copied: list[Made] = []
        self.made = MadeKeys()

    def key_of(
        self,
        cell: Cell,
        stage: Stage,
        seed: int | None,
        fingerprint: str,
        *,
        against: Cell | None = None,
        setting: Setting | None = None,
        modules: tuple[str, ...] = (),
        processes: int = 1,
    ) -> Made:
        """The key of one more trial, made when its text is asked for; the arguments are those of :func:`key_of`.

        Raises:
            SourceError: for a component whose source cannot be found.
        """
        try:
            made = self._templates.key(asked_of(cell, stage, seed, fingerprint, against, setting, modules, processes))
        except ValueError as error:
            raise SourceError(str(error)) from error
        if not made.is_read:
            self._copied.append(made)
        self.made.add(made)
        return made

    def check(self) -> None:
        """Make some keys once more by themselves, spread over the trials whose code was not read.

        Raises:
            RuntimeError: if one of them is another key, which would be a mistake of this package.
        """
        count = len(self._copied)
        for made in {self._copied[index * count // MOST_CHECKED] for index in range(min(count, MOST_CHECKED))}:
            alone = self._templates.keys.key(made.asked)
            if alone.text != made.text:
                raise RuntimeError(f"a trial has the key {made.text} beside others and {alone.text} by itself")
