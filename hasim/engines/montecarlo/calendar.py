"""Planned windows as one common list of instants, so that windows that meet do so at exactly the same float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from hasim.model.system import Window
from hasim.units import YEAR

LONG = 1000 * YEAR  # how far the phase of windows without a common period is spread
INSTANTS_MAX = 400_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calendar:
    """When windows begin and end, from phase 0 up to `period` and one history more.

    `instants` ascends, shape (n,); `in_service[w, i]` says whether window w is not going on from instant i to
    the next. Before the first instant every window is in service. A stationary history begins at a phase that is
    uniform from 0 to `period`.
    """

    period: float
    instants: Floats
    in_service: NDArray[np.bool_]

    def spans(self, window: int) -> tuple[Floats, Floats]:
        """Starts and ends of one window in calendar time, both shape (k,); the last end may be infinite."""
        state = np.concatenate([[True], self.in_service[window]])
        changes = np.flatnonzero(state[1:] != state[:-1])
        starts, ends = self.instants[changes[::2]], self.instants[changes[1::2]]
        return starts, np.append(ends, np.inf) if ends.size < starts.size else ends


def make_calendar(windows: Sequence[Window], span: float) -> Calendar:
    """The calendar of these windows for histories of `span` seconds (their warm-up included)."""
    period = common_period(windows, span)
    edges: list[tuple[Floats, int, int]] = []
    for row, window in enumerate(windows):
        count = int((period + span - window.start) // window.every) + 1
        starts: Floats = window.start + np.arange(max(count, 0), dtype=np.float64) * window.every
        edges += [(starts, row, 1), (starts + window.lasting, row, -1)]
    times = np.concatenate([each for each, _, _ in edges])
    instants = np.unique(times)
    # Instants that differ by rounding only are one.
    apart = np.concatenate([[True], np.diff(instants) > 4 * np.spacing(instants[-1])])
    place = np.cumsum(apart) - 1
    kept = instants[apart]
    going_on = np.zeros((len(windows), kept.size), dtype=np.int8)
    for each, row, step in edges:
        np.add.at(going_on[row], place[np.searchsorted(instants, each)], step)
    return Calendar(period, kept, np.cumsum(going_on, axis=1) == 0)


def common_period(windows: Sequence[Window], span: float) -> float:
    """The least common period in seconds; a very long time where there is none to speak of."""
    periods = [Fraction(window.every).limit_denominator(1_000_000) for window in windows]
    whole = Fraction(lcm(*(p.numerator for p in periods)), gcd(*(p.denominator for p in periods)))
    per_second = sum(2.0 / window.every for window in windows)
    most = max(INSTANTS_MAX / per_second - span, 10 * max(window.every for window in windows))
    return float(whole) if whole <= min(LONG, most) else min(LONG, most)
