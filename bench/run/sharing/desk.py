"""The desk of a run on a cluster: a process beside the driver that stands for the results folder elsewhere.

Nodes that do not see the results folder ask the desk: it claims their trials on their behalf, so that no other run in
that folder does them too, hands out the kept states of trainings, and takes in later ones. It also tells every node
that the run is stopped, so that trainings keep their state and end. :class:`Desk` is the driver's side, which runs as
an actor of Ray, and :class:`Visitor` that of a trial on its node.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from bench.run.keeping.place import FOLDER, state_path
from bench.run.processes.apart import PIECE_BYTES, Arrivals, pieces_of
from bench.run.sharing.claims import Owner, take
from bench.run.sharing.others import ended_since
from bench.run.store import StoreError, storing

NAME = "bench-desk"
"""The name by which workers find the desk. Ray keeps the names of each run apart."""
MOST_AT_ONCE = 10_000
"""Questions that the desk has open at once: one for each trial that is under way."""

Word = Literal["stop", "lost", "over"]
"""The word to a trial: to keep its state and end; that another run has it now; or none any more, as it is over."""


class DeskGoneError(ConnectionError):
    """The desk does not answer any more: its run is over."""


class Ask(Protocol):
    """Asks the desk: the name of a method and its arguments give the answer.

    Raises:
        DeskGoneError: if the desk is gone.
    """

    def __call__(self, method: str, *arguments: Any) -> Any: ...


class Desk:
    """The driver's side.

    Args:
        folder: the results folder.
        run: the name of the run, which its claims tell.
    """

    def __init__(self, folder: str, run: str) -> None:
        self._folder, self._run = Path(folder), run
        self._arrivals = Arrivals(self._folder, (FOLDER,))
        self._claims: dict[str, ExitStack] = {}
        self._at_work: dict[str, asyncio.Future[Word]] = {}
        self._is_stopped = False

    async def come(self, key: str) -> None:
        """Note that a trial is under way, also on a node that sees the results folder."""
        self._say(key, "over")  # to an earlier attempt, whose node was lost
        self._at_work[key] = asyncio.get_running_loop().create_future()
        if self._is_stopped:
            self._say(key, "stop")

    async def claim(self, key: str, before: Mapping[str, int]) -> dict[str, Any] | None:
        """Claim a trial for a node that does not see the results folder.

        Args:
            key: the trial's key, which names its claim.
            before: the records of the trial that were there when the run was planned.

        Returns:
            The message that ends a trial which may not run; ``None`` if it may.
        """
        self._arrivals.drop(key)
        if key in self._claims:  # an earlier attempt, whose node was lost, had it
            return None
        try:
            with storing(self._folder):
                claim = take(self._folder, key, self._run)
        except StoreError as error:
            return {"unstored": str(error)}
        if isinstance(claim, Owner):
            return {"taken": str(claim)}
        loop, kept = asyncio.get_running_loop(), ExitStack()
        kept.enter_context(claim.kept(lambda: loop.call_soon_threadsafe(self._say, key, "lost")))
        if ended_since(self._folder, key, before) is not None:
            kept.close()
            return {"taken": ""}
        self._claims[key] = kept
        return None

    async def word(self, key: str) -> Word:
        """Wait for what there is to tell a trial that is under way."""
        future = self._at_work.get(key)
        return "over" if future is None else await asyncio.shield(future)

    async def leave(self, key: str) -> None:
        """Note that a trial is over, and give its claim back."""
        self._arrivals.drop(key)
        self._say(key, "over")
        self._at_work.pop(key, None)
        claim = self._claims.pop(key, None)
        if claim is not None:
            await asyncio.to_thread(claim.close)

    async def state(self, key: str, start: int) -> bytes:
        """A piece of the kept state of a training from byte ``start`` on; empty at its end, and where there is none."""
        with suppress(FileNotFoundError), state_path(self._folder, key).open("rb") as file:
            file.seek(start)
            return file.read(PIECE_BYTES)
        return b""

    async def keep(self, key: str, piece: Mapping[str, Any]) -> str:
        """Write a piece of the state of a training; returns why that cannot be done, empty if it is done."""
        try:
            self._arrivals.take(key, piece)
        except OSError as error:
            self._arrivals.drop(key)
            return error.strerror or str(error)
        return ""

    async def stop(self, keys: list[str], seconds: float) -> None:
        """Tell all trials to keep their state and end; returns once these ones are over, or after so many seconds."""
        self._is_stopped = True
        for key in list(self._at_work):
            self._say(key, "stop")
        deadline = time.monotonic() + seconds
        while self._at_work.keys() & set(keys) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)  # several trials leave, each in a call of its own

    def _say(self, key: str, word: Word) -> None:
        future = self._at_work.get(key)
        if future is not None and not future.done():
            future.set_result(word)


class Visitor:
    """A trial on its node, as the desk knows it; where the node does not see the results folder, in place of a claim.

    Args:
        ask: asks the desk.
        key: the trial's key.
        apart: the folder of the trial on a node that does not see the results folder; ``None`` on one that does.

    Attributes:
        lost: true once another run has the trial.
    """

    def __init__(self, ask: Ask, key: str, apart: Path | None = None) -> None:
        self._ask, self._key = ask, key
        self._state = None if apart is None else state_path(apart, key)
        self._sent: tuple[int, int] | None = None
        self._one_at_a_time = threading.Lock()
        self.lost = False

    def claim(self, before: Mapping[str, int]) -> dict[str, Any] | None:
        """Claim the trial and fetch the kept state of its training; the result is that of :meth:`Desk.claim`.

        A node that sees the results folder claims by itself, after what the desk has of an earlier attempt is given
        back: the node of that may not have seen it, and was lost.
        """
        if self._state is None:
            self._ask("leave", self._key)
            return None
        refusal: dict[str, Any] | None = self._ask("claim", self._key, before)
        if refusal is None:
            self._fetch()
        return refusal

    @contextmanager
    def kept(self, when_lost: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
        """Inside, a thread waits for what the desk tells the trial.

        Args:
            when_lost: is called if another run has the trial, from that thread.
            stop: is called if the run is stopped, from that thread; it returns once the trial has ended.
        """
        self._ask("come", self._key)

        def listen() -> None:
            with suppress(DeskGoneError):  # the run is over, and Ray ends this process
                word: Word = self._ask("word", self._key)
                if word == "lost":
                    self.lost = True
                    when_lost()
                elif word == "stop":
                    stop()
                    self.send_state()
                    self._ask("leave", self._key)

        thread = threading.Thread(target=listen, name="desk", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with suppress(DeskGoneError):  # as above
                self.send_state()
                self._ask("leave", self._key)
            thread.join()

    def send_state(self) -> None:
        """Send the state of the training, if there is one that was not sent yet."""
        with self._one_at_a_time, suppress(FileNotFoundError):  # it is removed once the trial is done
            if self._state is None or self._version() == self._sent:
                return
            sent = self._version()
            name = f"{FOLDER}/{self._state.name}"
            if not any(self._ask("keep", self._key, piece) for piece in pieces_of(self._state, name)):
                self._sent = sent

    def _fetch(self) -> None:
        if self._state is None:
            return
        start = 0
        while content := self._ask("state", self._key, start):
            self._state.parent.mkdir(parents=True, exist_ok=True)
            with self._state.open("ab") as file:
                file.write(content)
            start += len(content)
        if start:
            self._sent = self._version()

    def _version(self) -> tuple[int, int]:
        assert self._state is not None
        status = self._state.stat()
        return status.st_mtime_ns, status.st_size
