"""The calendar of planned windows: instants that ought to be one are one, and phases repeat."""

from __future__ import annotations

import numpy as np
import pytest

from hasim.engines.montecarlo.calendar import LONG, common_period, make_calendar
from hasim.model.system import Window


def test_windows_that_meet_do_so_at_one_instant_whatever_the_rounding() -> None:
    first, lasting, every = 0.1, 0.3, 7.7
    windows = [Window(f"w{i}", i, first + i * lasting, every, lasting) for i in range(3)]
    calendar = make_calendar(windows, 1000 * every)
    per_period = np.histogram(calendar.instants, bins=np.arange(0, 1000) * every)[0]
    assert (per_period == 4).all()
    # One window at a time, and none of them missing.
    down = (~calendar.in_service).sum(axis=0)
    assert set(down.tolist()) == {0, 1}
    for window in range(3):
        starts, ends = calendar.spans(window)
        assert np.allclose((ends - starts)[:900], lasting, atol=1e-9)


def test_the_common_period_is_the_least_one() -> None:
    def every(*periods: float) -> float:
        return common_period([Window("w", 0, 0.0, period, 1.0) for period in periods], 0.0)

    assert every(86400.0, 7 * 86400.0) == 7 * 86400.0
    assert every(4.0, 6.0) == 12.0
    assert every(0.5, 0.75) == 1.5


def test_without_a_common_period_the_phase_is_spread_over_a_long_time() -> None:
    windows = [Window("a", 0, 0.0, 86400.0, 60.0), Window("b", 1, 0.0, 86399.999, 60.0)]
    assert 1000 * 86400 < common_period(windows, 86400.0) <= LONG


@pytest.mark.parametrize("span", [10.0, 1000.0])
def test_the_calendar_reaches_to_the_end_of_a_history_that_begins_last(span: float) -> None:
    calendar = make_calendar([Window("w", 0, 1.0, 10.0, 2.0)], span)
    assert calendar.period == 10.0
    assert calendar.instants[-1] >= calendar.period + span - 10.0
