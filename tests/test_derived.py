"""Columns that are derived from a trial's raw measurements."""

from __future__ import annotations

import math

import pytest

from bench.derived import latency_columns


def test_a_percentile_needs_as_many_samples_as_it_takes_to_be_one() -> None:
    measured = {"latency_s": [float(value) for value in range(1, 64)], "batch": 2}
    few = latency_columns(measured)
    assert few["latency_s"] == 32.0
    assert few["latency_iqr_s"] == 47.5 - 16.5
    assert math.isnan(few["latency_p90_s"])
    assert math.isnan(few["energy_j"])
    more = latency_columns(
        {**measured, "latency_s": [float(v) for v in range(661)], "isolation": {"gpu_energy_j": 6.61}}
    )
    assert more["latency_p90_s"] == 594.0
    assert math.isnan(more["latency_p99_s"])
    assert more["energy_j"] == pytest.approx(0.005)
    assert latency_columns({**measured, "latency_s": [float(v) for v in range(701)]})["latency_p99_s"] == 693.0
