"""Planned windows as shares of time: which windows are open together for how long, and how often that changes.

Windows come round at fixed times, and units know nothing of them. So at a random time the state of the calendar and
the states of the units are independent, whatever the laws, and only shares of time and rates of change matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import gcd, lcm

from hasim.errors import CannotModel
from hasim.model.system import Window

EDGES_MAX = 50_000

Open = frozenset[int]  # variables of the windows that are open


@dataclass(frozen=True)
class Calendar:
    """Share of time of each set of open windows, and rate per second of each change from one to another."""

    shares: dict[Open, float]
    changes: dict[tuple[Open, Open], float]


def calendar(windows: Sequence[Window]) -> Calendar:
    """The calendar over the least common period of all windows."""
    if not windows:
        return Calendar({frozenset(): 1.0}, {})
    periods = [Fraction(window.every).limit_denominator(1_000_000) for window in windows]
    whole = Fraction(lcm(*(period.numerator for period in periods)), gcd(*(period.denominator for period in periods)))
    if sum(2 * whole / period for period in periods) > EDGES_MAX:
        names = ", ".join(window.name for window in windows)
        raise CannotModel(f"the windows {names}", "their periods have no reasonable common multiple", "use ha.estimate")
    edges: list[tuple[Fraction, int, bool]] = []
    for window, period in zip(windows, periods, strict=True):
        start, lasting = Fraction(window.start), Fraction(window.lasting)
        for n in range(int(whole / period)):
            edges.append(((start + n * period) % whole, window.variable, True))
            edges.append(((start + n * period + lasting) % whole, window.variable, False))
    edges.sort(key=lambda edge: (edge[0], edge[2], edge[1]))
    now = frozenset(
        window.variable for window, period in zip(windows, periods, strict=True) if _open_at_zero(window, period)
    )
    shares: dict[Open, Fraction] = {}
    changes: dict[tuple[Open, Open], int] = {}
    at = Fraction(0)
    for time, together in groupby(edges, key=lambda edge: edge[0]):
        shares[now] = shares.get(now, Fraction(0)) + time - at
        at, before = time, now
        # Closing edges sort before opening ones, so a window that follows itself at once stays open.
        for _, variable, opens in together:
            now = now | {variable} if opens else now - {variable}
        if now != before:
            changes[before, now] = changes.get((before, now), 0) + 1
    shares[now] = shares.get(now, Fraction(0)) + whole - at
    return Calendar(
        {state: float(share / whole) for state, share in shares.items() if share > 0},
        {change: count / float(whole) for change, count in changes.items()},
    )


def _open_at_zero(window: Window, period: Fraction) -> bool:
    """Whether a window that began before the turn of its period reaches over it."""
    return Fraction(window.start) % period + Fraction(window.lasting) > period
