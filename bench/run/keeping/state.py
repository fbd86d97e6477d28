"""The file in which the state of a trial's training is kept while it is under way."""

from __future__ import annotations

import hashlib
import io
import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from bench.records.files import unfinished, write_bytes
from bench.run.keeping.curve import Curve
from bench.run.keeping.place import FORMAT
from bench.run.keeping.unkept import unkept
from bench.run.outcomes.outcome import TimedOutError
from bench.run.processes.stopping import Stopped
from bench.run.search.pruning import Looks, end_if_worse
from bench.training.keeper import State

log = logging.getLogger("bench.run.keeping.state")


class FileKeeper:
    """A :class:`~bench.training.keeper.Keeper` with a file for the state; the last weights stay in memory.

    Args:
        path: the file of the state.
        every_s: the least number of seconds between two states; ``None`` to keep none, and to go on from none.
        iterations: the number of iterations of the whole training.
        curve: the looks at the network while it trains; ``None`` for none.
        rivals: the looks at other settings of a search, worse than which the training is ended; none to end it never.

    Attributes:
        first: the number of iterations that were done by earlier processes.
        resumed_after: the numbers of iterations after which the training went on, over all processes.
        weights: the weights and buffers with which the network was evaluated, on the CPU.
    """

    def __init__(
        self,
        path: Path,
        every_s: float | None,
        iterations: int,
        curve: Curve | None = None,
        rivals: Sequence[Looks] = (),
    ) -> None:
        self.path, self.every_s, self.iterations, self.curve, self.rivals = path, every_s, iterations, curve, rivals
        self.first = 0
        self.resumed_after: list[int] = []
        self.weights: dict[str, Tensor] = {}
        self._state: State | None = None
        self._trained: dict[str, Any] | None = None
        self._unkept: dict[str, str] = {}
        self._started_at = self._kept_at = time.monotonic()
        self._spent_s = self._looked_s = 0.0
        self._is_training = self._is_asked_to_stop = False

    @contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """Inside, SIGTERM lets the iteration of a training end, so that its state is kept, and stops it then.

        Before and after a training it stops at once. However a trial is stopped while its network is tested, or if it
        runs out of time there, the state after the last iteration is kept, so that the next process only tests.

        Raises:
            Stopped: once the state is kept.
        """
        is_heard = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, self._heed) if is_heard else None
        try:
            yield
        except (KeyboardInterrupt, SystemExit, TimedOutError):
            if self._trained is not None:
                self._is_training = True  # another signal does not end the writing
                self._write(self._trained)
            raise
        finally:
            if is_heard:
                signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if not self._is_training:
            raise Stopped(number)
        self._is_asked_to_stop = True

    def resume(self, state: State) -> None:
        """Give a training what the file has of it, if there is one.

        A file that is damaged is left out of account, and the log tells so.
        """
        self._state = state
        self._started_at = self._kept_at = time.monotonic()
        kept = None if self.every_s is None else _read(self.path)
        for file in unfinished(self.path) if self.every_s is not None else ():
            file.unlink(missing_ok=True)
        if kept is not None:
            self.first, self._spent_s = state.restore(kept), kept["spent_s"]
            self.resumed_after = [*kept["resumed_after"], self.first]
            if self.curve is not None:
                self.curve.points = dict(kept["curve"])
            log.info("the training goes on after iteration %d", self.first)
        self._unkept = {} if self.every_s is None else unkept(state)
        self._is_training = self.first < self.iterations

    def after(self, done: int, total: int) -> None:
        """Look at the network if that is due, then keep the state after ``done`` iterations, if the last is old enough.

        After the last iteration of a training that took longer than ``every_s`` it is kept too, so that a process that
        is killed while the network is tested does not cost the training; that of a shorter one is written if the trial
        is stopped then. A file that cannot be written is told in the log alone: the trial does not depend on it. So is
        one of a training that changed what no file can hold, after which none is kept any more.

        Raises:
            PrunedError: if a look shows that the network is worse than its rivals were.
            Stopped: after SIGTERM.
        """
        if self.curve is not None and self._state is not None and self.curve.is_due(done):
            before = time.monotonic()
            self.curve.look(self._state, done)
            if self.rivals:
                end_if_worse(self.curve, self.rivals)
            self._looked_s += time.monotonic() - before
        since = self._started_at if done == total else self._kept_at
        is_due = self.every_s is not None and (self._is_asked_to_stop or time.monotonic() - since >= self.every_s)
        state = self._taken(done) if is_due or done == total else None
        if state is not None and is_due:
            self._write(state)
        elif state is not None and self._state is not None:
            self._trained = _without_change(state, self._state)
        self._is_training = done < total
        if self._is_asked_to_stop:
            raise Stopped(signal.SIGTERM)

    def _taken(self, done: int) -> dict[str, Any] | None:
        """The state after ``done`` iterations; ``None`` if it is not wanted, or if no file can hold it.

        Its tensors are those of the training, not copies.
        """
        if self._state is None or self.every_s is None:
            return None
        now_unkept = unkept(self._state)
        if changed := [name for name, digest in now_unkept.items() if self._unkept.get(name) != digest]:
            log.warning("the state after iteration %d is not kept: no file can hold %s", done, ", ".join(changed[:3]))
            self.every_s = None
            return None
        return self._state.taken(done) | {
            "spent_s": self._spent_s + time.monotonic() - self._started_at - self._looked_s,
            "resumed_after": self.resumed_after,
            "curve": {} if self.curve is None else self.curve.points,
        }

    def _write(self, state: Mapping[str, Any]) -> None:
        """Write a state into the file."""
        try:
            write_bytes(_packed(state), self.path)
        except OSError as error:
            log.warning("the state after iteration %d is not kept: %s", state["done"], error.strerror or error)
        self._kept_at = time.monotonic()

    def facts(self) -> dict[str, Any]:
        """The fields of a record that tell how the training was kept."""
        return {"resumed_after": self.resumed_after, **({} if self.curve is None else self.curve.facts())}

    def earlier_s(self) -> float:
        """The seconds that the iterations before :attr:`first` took, less those of looks at the network since."""
        return self._spent_s - self._looked_s

    def finish(self, model: nn.Module) -> None:
        """Hold a copy of the weights and buffers of a network that was evaluated."""
        self.weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


def _without_change(taken: Mapping[str, Any], state: State) -> dict[str, Any]:
    """A state that was taken, with copies of all that a test of the network may change: buffers and attributes."""
    modules = {}
    for name, module in state.modules.items():
        parts, buffers = taken["modules"][name], dict(module.named_buffers())
        saved = {key: _copied(tensor) if key in buffers else tensor for key, tensor in parts["saved"].items()}
        others = {kind: _copied(values) for kind, values in parts.items() if kind != "saved"}
        modules[name] = {"saved": saved, **others}
    return {**taken, "modules": modules}


def _copied(value: Any) -> Any:
    """A copy of plain values and tensors, as deep as they are nested."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return type(value)(map(_copied, value)) if isinstance(value, (list, tuple)) else value


def _packed(state: Mapping[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    body = content.getvalue()
    return b"\n".join((FORMAT + f" {state['done']}".encode(), hashlib.sha256(body).hexdigest().encode(), body))


def _read(path: Path) -> dict[str, Any] | None:
    """The state in a file; ``None`` where there is none that can be trusted."""
    try:
        parts = path.read_bytes().split(b"\n", 2)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read (%s): the training begins anew", path.name, error.strerror or error)
        return None
    if len(parts) < 3 or not parts[0].startswith(FORMAT) or hashlib.sha256(parts[2]).hexdigest().encode() != parts[1]:
        log.warning("%s is damaged, or of another version: the training begins anew", path.name)
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(parts[2]), map_location="cpu", weights_only=True)
    return state
