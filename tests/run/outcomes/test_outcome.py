"""The outcome of an exception: the phase, what people can do, the traceback, and no folder of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.run.handling import Handling
from bench.run.outcomes.outcome import outcome_of, relative
from bench.run.outcomes.progress import Event

REACHED = Event("train", 3, 800)


def ended(error: Exception, gpu_share: float = 1.0, *, beside_others: bool = False) -> dict[str, object]:
    """The outcome of an error of a trial with batch 4, which is raised so that it has a traceback."""
    try:
        raise error
    except type(error) as raised:
        handling = Handling(gpu_share=gpu_share, beside_others=beside_others)
        return outcome_of(raised, {"recipe": {"batch": 4}}, REACHED, torch.device("cuda"), handling)


def test_memory_that_is_not_enough_keeps_the_phase_and_the_traceback() -> None:
    outcome = ended(torch.OutOfMemoryError("CUDA out of memory"))
    assert (outcome["status"], outcome["phase"]) == ("out_of_memory", "train at 3/800")
    assert str(outcome["reason"]).startswith("GPU memory, at batch 4, in train at 3/800; take a smaller batch or image")
    assert "in ended" in str(outcome["traceback"])
    assert "shared" not in outcome


def test_memory_of_a_shared_gpu_is_to_be_tried_again() -> None:
    outcome = ended(torch.OutOfMemoryError("CUDA out of memory"), 0.5)
    assert outcome["shared"] == "it had 0.5 of the GPU"
    assert "it had 0.5 of the GPU, so it is to be run again alone" in str(outcome["reason"])
    assert "shared" not in ended(MemoryError(), 0.5), "a share of a GPU says nothing about the host's memory"


def test_memory_of_a_machine_that_others_use_is_to_be_tried_again() -> None:
    outcome = ended(MemoryError(), beside_others=True)
    assert outcome["shared"] == "other trials could run beside it on its machine"
    assert str(outcome["reason"]) == (
        "host memory, at batch 4, in train at 3/800; other trials could run beside it on its machine, so it is to be "
        "run again alone: MemoryError"
    )
    assert "shared" not in ended(torch.OutOfMemoryError("CUDA out of memory"), beside_others=True)


def test_memory_that_is_not_enough_before_anything_is_known_is_told_too() -> None:
    outcome = outcome_of(MemoryError(), {}, None, torch.device("cpu"), Handling())
    assert (outcome["status"], outcome["phase"]) == ("out_of_memory", None)
    assert str(outcome["reason"]).startswith("host memory, before its first step; ")


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), "interrupted"), (ZeroDivisionError(), "failed")])
def test_any_other_end_keeps_its_phase(error: BaseException, status: str) -> None:
    outcome = outcome_of(error, {}, REACHED, torch.device("cpu"), Handling())
    assert (outcome["status"], outcome["phase"]) == (status, "train at 3/800")


def test_tracebacks_lose_what_is_particular_to_a_machine() -> None:
    home = Path.cwd()
    text = f'File "{home}/bench/run/trial.py"\nFile "/opt/x/lib/python3.11/site-packages/torch/nn.py"'
    assert relative(text) == 'File "bench/run/trial.py"\nFile "site-packages/torch/nn.py"'
