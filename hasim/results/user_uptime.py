"""User-uptime: which share of their active time users found the service up, and how bad the worst stretch was.

After Hauer, Hoffmann, Lunney, Ardelean, Diwan: Meaningful Availability, NSDI 2020. Each answer tells a user something
about the time until the next one: a user is up after a success and down after a failure. Who has not asked for longer
than a cutoff is inactive, which counts neither way. A share of requests instead of time is mostly about the users who
ask most, and about those who ask again because they failed; `success_ratio` has it for comparison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasim.declared import shown
from hasim.errors import ModelError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CUTOFF_S: Final = 1800.0
"""Seconds without a request after which a user is inactive: half an hour, about the 99th centile of gaps there."""

_GRIDS: Final = (1e9, 1e6, 1e3)  # steps a second, the finest first
_GRID_MOST: Final = 2.0**62  # steps of all users' time together, with room to spare in 64 bits


@dataclass(frozen=True)
class UserUptime:
    """What users saw: `up_s` and `down_s` are seconds of active time, summed over users; `served` of the `requests`."""

    up_s: float
    down_s: float
    requests: int
    served: int

    @property
    def share(self) -> float | None:
        """User-uptime, the share of active time that was up; None if nobody was active for any time."""
        active = self.up_s + self.down_s
        return self.up_s / active if active > 0 else None

    @property
    def success_ratio(self) -> float | None:
        """Share of the requests that were served; None if there were none."""
        return self.served / self.requests if self.requests else None


def user_uptime(users: ArrayLike, times: ArrayLike, ok: ArrayLike, end: float, cutoff: float = CUTOFF_S) -> UserUptime:
    """Return the user-uptime of requests that were answered before `end`.

    `users` (numbers or names), `times` (seconds) and `ok` have shape (n,), in any order; of answers to one user at one
    time the last given holds. An answer holds until the user's next one, `end`, or `cutoff` seconds, whichever is
    first. Raises ModelError for shapes that differ and for times that are not finite or after the end.
    """
    stretches = _stretches(users, times, ok, end, cutoff)
    lengths = stretches.until - stretches.since
    up = float(np.sum(lengths[stretches.up]))
    down = float(np.sum(lengths[~stretches.up]))
    return UserUptime(up_s=up, down_s=down, requests=lengths.size, served=int(stretches.up.sum()))


def windowed_minimum(
    users: ArrayLike,
    times: ArrayLike,
    ok: ArrayLike,
    end: float,
    windows: ArrayLike,
    cutoff: float = CUTOFF_S,
    start: float | None = None,
) -> Floats:
    """Return the user-uptime of the worst window of each length: MCR(w), the minimum over all windows, shape (k,).

    `windows` are lengths in seconds, shape (k,); windows lie wholly between `start` (the first answer unless given) and
    `end`; those in which nobody is active do not count, and if that is all, the result is NaN. The rest is as for
    `user_uptime`. A window is as good as the mean of its halves, so MCR never falls when w is doubled. Raises
    ModelError for a window that is not positive or longer than the record.

    The minimum is exact over all positions of the window. Between two positions where an end of the window meets the
    begin or end of somebody's stretch, up time and active time both change linearly, so their ratio is monotone; only
    those positions are tried. Times are rounded to a grid of 1 ns (1 µs, 1 ms where users' time together exceeds 146
    years, 146 000 years), and sums are whole numbers: a window with a microsecond of activity is judged as surely as
    one with a year of it.
    """
    stretches = _stretches(users, times, ok, end, cutoff)
    lengths = _numbers(windows, "windows", "give a list of lengths in seconds")
    if start is not None:
        start = _seconds(start, "start")
    first = float(stretches.since.min()) if start is None and stretches.since.size else start
    if first is None:
        return np.full(lengths.size, np.nan)
    if stretches.since.size and not first <= stretches.since.min():
        raise ModelError(f"got {first}; the record starts no later than its first answer", "start")
    span = end - first
    steps = _steps_a_second(max(span, float(np.sum(stretches.until - stretches.since))))
    for length in lengths.tolist():
        if not length * steps >= 1.0 or length > span:
            raise ModelError(f"got {length:g}; a window is longer than 0 and at most the record, {span:g}", "windows")
    course = _course(stretches, first, end, steps)
    return np.array([_worst(course, min(round(length * steps), int(course.at[-1]))) for length in lengths.tolist()])


@dataclass(frozen=True)
class _Stretches:
    """The active time that follows each answer, by user and time: from when to when (seconds), and whether up."""

    since: Floats
    until: Floats
    up: NDArray[np.bool_]


@dataclass(frozen=True)
class _Course:
    """Up and active time of all users together, summed from the start to each instant `at`, and their rates after it.

    All in whole steps of the grid; the first instant is the start, the last the end of the record.
    """

    at: Ints
    up: Ints
    active: Ints
    up_rate: Ints
    active_rate: Ints

    def until(self, when: Ints) -> tuple[Ints, Ints]:
        """Up and active time from the start to each of these instants, which lie within the record."""
        place = np.searchsorted(self.at, when, side="right") - 1
        beyond = when - self.at[place]
        return self.up[place] + self.up_rate[place] * beyond, self.active[place] + self.active_rate[place] * beyond


def _stretches(users: ArrayLike, times: ArrayLike, ok: ArrayLike, end: float, cutoff: float) -> _Stretches:
    who, good = np.asarray(users), np.asarray(ok, dtype=np.bool_)
    when = _numbers(times, "times", "give a list of instants in seconds")
    end, cutoff = _seconds(end, "end"), _seconds(cutoff, "cutoff")
    if who.shape != when.shape or good.shape != when.shape:
        raise ModelError(f"got shapes {who.shape}, {when.shape} and {good.shape}; give a user and ok a time", "times")
    if not math.isfinite(end):
        raise ModelError(f"got {end}; the record has a finite end", "end")
    if not cutoff > 0:
        raise ModelError(f"got {cutoff}; users are active for some time after an answer", "cutoff")
    if when.size and not (np.isfinite(when).all() and when.max() <= end):
        raise ModelError(f"got {when.max()}; answers come at finite times up to the end, {end}", "times")
    if not bool(np.all(when[1:] >= when[:-1])):
        order = np.argsort(when, kind="stable")
        who, when, good = who[order], when[order], good[order]
    order = np.argsort(who, kind="stable")
    who, when, good = who[order], when[order], good[order]
    same_user = np.asarray(who[1:] == who[:-1], dtype=np.bool_)
    until = np.minimum(when + cutoff, end)
    until[:-1] = np.where(same_user, np.minimum(until[:-1], when[1:]), until[:-1])
    return _Stretches(when, until, good)


def _numbers(given: ArrayLike, argument: str, wanted: str) -> Floats:
    """Numbers in a row, shape (n,); an alone one, a text or nothing is a mistake."""
    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):  # texts, or rows of different lengths
        found = np.zeros(())
    if found.ndim != 1:
        raise ModelError(f"got {shown(given)}; {wanted}", argument)
    return found


def _seconds(given: object, argument: str) -> float:
    if isinstance(given, bool) or not isinstance(given, Real):
        raise ModelError(f"got {shown(given)}; give a number of seconds", argument)
    return float(given)


def _steps_a_second(longest: float) -> float:
    """The finest grid on which so many seconds of time fit 64 bits."""
    for steps in _GRIDS:
        if longest * steps < _GRID_MOST:
            return steps
    raise ModelError(f"got {longest:g} seconds of users' time; that is beyond what can be summed exactly", "times")


def _course(stretches: _Stretches, start: float, end: float, steps: float) -> _Course:
    since = np.rint((stretches.since - start) * steps).astype(np.int64)
    until = np.rint((stretches.until - start) * steps).astype(np.int64)
    # A stretch that begins as the last one ends in the same state carries it on: most users are up nearly always.
    goes_on = (until[:-1] == since[1:]) & (stretches.up[:-1] == stretches.up[1:])
    begins = np.flatnonzero(np.concatenate([[True], ~goes_on])[: since.size])
    ends = np.flatnonzero(np.concatenate([~goes_on, [True]])[: since.size])
    since, until, up = since[begins], until[ends], stretches.up[begins].astype(np.int64)
    last = round((end - start) * steps)
    instants = np.concatenate([[0, last], since, until])
    order = np.argsort(instants, kind="stable")
    instants = instants[order]
    final = np.append(np.flatnonzero(np.diff(instants)), instants.size - 1)  # the last change at each instant
    none = np.zeros(2, dtype=np.int64)
    one = np.ones(since.size, dtype=np.int64)
    up_rate = np.cumsum(np.concatenate([none, up, -up])[order])[final]
    active_rate = np.cumsum(np.concatenate([none, one, -one])[order])[final]
    at = instants[final]
    passed = np.diff(at)
    zero = np.zeros(1, dtype=np.int64)
    return _Course(
        at=at,
        up=np.concatenate([zero, np.cumsum(up_rate[:-1] * passed)]),
        active=np.concatenate([zero, np.cumsum(active_rate[:-1] * passed)]),
        up_rate=up_rate,
        active_rate=active_rate,
    )


def _worst(course: _Course, window: int) -> float:
    """The least share of up time in active time over all windows of this length."""
    least = math.inf
    last = int(course.at[-1])
    for begins in (course.at[course.at <= last - window], course.at[course.at >= window] - window):
        up_before, active_before = course.until(begins)
        up_after, active_after = course.until(begins + window)
        active = active_after - active_before
        seen = active > 0
        if seen.any():
            least = min(least, float(np.min((up_after - up_before)[seen] / active[seen])))
    return least if math.isfinite(least) else math.nan


def doubling_windows(shortest: float, longest: float) -> Floats:
    """Return window lengths from `shortest` up to at most `longest` seconds, each twice the last: the axis of MCR."""
    shortest, longest = _seconds(shortest, "shortest"), _seconds(longest, "longest")
    if not 0 < shortest <= longest < math.inf:
        raise ModelError(f"got {shortest:g} to {longest:g}; give 0 < shortest ≤ longest", "shortest")
    return np.asarray(shortest * 2.0 ** np.arange(math.floor(math.log2(longest / shortest)) + 1))
