"""Columns: how a measured quantity writes its values, and which of them are counted or judged."""

from __future__ import annotations

import math

import pytest

from bench.protocol.columns import COUNTED, JUDGED, ColumnError, column


def test_values_are_written_in_the_shown_unit_with_the_columns_digits() -> None:
    miou, latency = column("miou"), column("latency_s")
    assert (miou.title, miou.shown(0.71234)) == ("mIoU (%) ↑", "71.23")
    assert (latency.title, latency.shown(0.0123)) == ("Latency (ms) ↓", "12.3")
    assert (miou.shown(math.nan), miou.signed(math.nan), miou.exact(math.nan)) == ("—", "—", "—")
    assert miou.spread(0.7, math.nan) == "70.00"
    assert miou.spread(0.7, 0.0045) == "70.00 ± 0.45"


def test_a_cost_below_one_keeps_two_significant_digits() -> None:
    assert column("parameters").shown(1234) == "0.0012"
    assert column("parameters").exact(33_004_112) == "33,004,112"
    assert column("ece").shown(0.00012) == "0.01", "only costs are lengthened"


def test_a_difference_has_a_sign_and_of_percentages_it_is_points() -> None:
    miou = column("miou")
    assert miou.difference_title == "Δ mIoU (points)"
    assert miou.signed(-0.0123) == "−1.23"
    assert miou.signed(-0.00001) == "0.00", "what rounds to nothing has no sign"
    assert miou.interval(-0.01, 0.02) == "[−1.00, +2.00]"
    assert miou.interval(math.nan, math.nan) == ""
    assert column("latency_s").difference_unit == "ms"
    assert column("final_loss").difference_title == "Δ Final loss"


def test_a_difference_that_no_share_can_reach_is_not_resolvable() -> None:
    assert column("miou").resolvable(0.012) == "≥ 1.20"
    assert column("miou").resolvable(1.2) == "none"
    assert column("final_loss").resolvable(1.2) == "≥ 1.200"


def test_one_column_is_judged_and_the_counted_ones_are_costs() -> None:
    assert JUDGED == "miou"
    assert COUNTED == ("parameters", "macs", "macs_unused", "train_state_bytes", "activation_bytes")
    assert {column(name).stage for name in COUNTED} == {"cost"}


def test_a_misspelt_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ColumnError, match=r"no column 'latency' \(did you mean 'latency_s'\?\); measured columns: miou"
    ):
        column("latency")
