"""Every mode is compared with eager torch: the same network in the same precision is alike, another is told apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.measure.timing.outputs import difference
from bench.measure.timing.runtimes.runtime import PreparationError, preparing


def test_a_difference_counts_pixels_of_another_class() -> None:
    eager = torch.tensor([[[[3.0, 1.0]], [[1.0, 2.0]]]])  # N K H W: one row of two pixels, of classes 0 and 1
    found = difference(eager + torch.tensor([0.0, 2.5]).view(1, 2, 1, 1), eager)
    assert (found.max_abs, found.largest, found.changed) == (2.5, 3.0, 0.5)
    assert difference(eager, eager).changed == 0


def test_a_logit_that_is_no_number_differs_as_far_as_can_be() -> None:
    eager = torch.zeros(1, 2, 1, 1)
    assert difference(torch.full_like(eager, torch.nan), eager).max_abs == torch.finfo(torch.float32).max


def test_an_error_of_a_compiler_is_one_line_with_its_cause() -> None:
    @preparing("the export")
    def export() -> None:
        try:
            nn.Conv2d(1, 1, 1)(torch.zeros(1, 2, 3, 3))
        except RuntimeError as error:
            raise ValueError("a long report\nof several lines") from error

    with pytest.raises(PreparationError) as raised:
        export()
    assert str(raised.value).startswith("the export failed: RuntimeError: Given groups=1")
    assert "\n" not in str(raised.value)


def test_running_out_of_memory_stays_what_it_is() -> None:
    with pytest.raises(MemoryError), preparing("the export"):
        raise MemoryError
