"""Planned windows: one SimPy process turns the pages of the calendar."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from hasim.engines.des.clocks import Steps
from hasim.model.system import Window

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

SAME_INSTANT_S = 1e-6
"""Edges closer than this are one instant: an end and the next start may differ by rounding."""

PHASE_MAX_S = 1000 * 365 * 86400.0
"""Periods whose common period is longer than this are taken as incommensurable."""

Edge = tuple[float, int, bool]  # when, which window, whether it is over then


def start_calendar(live: LiveCluster, windows: Sequence[Window], steady: bool) -> None:
    """Start the calendar; `steady`: at a random phase, the same for all windows, else at phase zero."""
    if not windows:
        return
    phase, now = 0.0, live.env.now
    if steady:
        phase = float(live.streams["calendar/phase"].random()) * common_period([window.every for window in windows])
        for window in windows:
            if (now + phase - window.start) % window.every < window.lasting:
                live.turn(window.variable, False)
    edges = heapq.merge(*(_edges(window, i, phase, now, steady) for i, window in enumerate(windows)))
    live.env.process(_pages(live, windows, edges))


def common_period(periods: Sequence[float]) -> float:
    """Return the least common multiple of the periods in seconds, or 1000 years if it is longer."""
    common = Fraction(periods[0])
    for period in map(Fraction, periods):
        common = Fraction(
            math.lcm(common.numerator * period.denominator, period.numerator * common.denominator),
            common.denominator * period.denominator,
        )
        if common > PHASE_MAX_S:
            return PHASE_MAX_S
    return float(common)


def _edges(window: Window, number: int, phase: float, now: float, endless: bool) -> Iterator[Edge]:
    """Yield the starts and ends of one window from now on; `endless`: the calendar has no first page."""
    n = math.floor((now + phase - window.start) / window.every) - 1
    n = n if endless else max(n, 0)
    while True:
        start = window.start + n * window.every - phase
        for edge in ((start, number, False), (start + window.lasting, number, True)):
            # In a steady start, what began before now was applied at once.
            if edge[0] > now or (edge[0] == now and not endless):
                yield edge
        n += 1


def _pages(live: LiveCluster, windows: Sequence[Window], edges: Iterator[Edge]) -> Steps:
    """Turn all edges of one instant together: nothing is down, or up, for no time between them."""
    following = next(edges)
    while True:
        instant, page = following[0], [following]
        while (following := next(edges))[0] - instant < SAME_INSTANT_S:
            page.append(following)
        yield live.env.timeout(max(0.0, instant - live.env.now))
        with live.instant():
            for _, number, over in page:
                window = windows[number]
                live.note("window ended" if over else "window begun", window.name)
                if live.gates.is_true(window.variable) != over:
                    live.turn(window.variable, over)
