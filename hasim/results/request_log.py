"""What became of every request of a run, in columns."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hasim.declared import shown
from hasim.errors import ModelError, nearest
from hasim.results import log_figures
from hasim.results.fates import CUT_OFF, SERVED, fates
from hasim.results.outcomes import OK, OUTCOMES
from hasim.results.user_uptime import CUTOFF_S, UserUptime, user_uptime, windowed_minimum
from hasim.units import human, seconds

if TYPE_CHECKING:
    import pandas as pd

    from hasim.results.requests import RequestFigures

Names = str | Collection[str]


@dataclass(frozen=True, eq=False)
class RequestLog:
    """Each request once, in order of arrival; all arrays have one entry a request.

    `load` and `server` hold places in `loads` and `servers` (-1: no server answered, or failed to). `arrived_s` and
    `ended_s` are seconds of the run's clock, `attempts` counts what the client sent, hedges included. `outcome` holds
    places in OUTCOMES. `user` numbers the client process, or in a closed loop the user. `method` says how the requests
    were played. `slowest_served_s` has one entry a load: the longest that a served request of it took, in the whole
    run; left out, it is taken from this log.

    Everything here counts requests. How long a service was up is another quantity: see `Run.availability`.
    """

    loads: tuple[str, ...]
    servers: tuple[str, ...]
    load: NDArray[np.int16]
    arrived_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    attempts: NDArray[np.int32]
    server: NDArray[np.int32]
    outcome: NDArray[np.int8]
    user: NDArray[np.int32]
    write: NDArray[np.bool_]
    start_s: float
    end_s: float
    method: str = "events"
    slowest_served_s: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Check that the columns are as long as one another and in order of arrival."""
        sizes = {name: len(getattr(self, name)) for name in _COLUMNS}
        assert len(np.unique(list(sizes.values()))) == 1, f"columns differ in length: {sizes}"
        assert bool(np.all(self.arrived_s[1:] >= self.arrived_s[:-1])), "requests are out of order"

    def __len__(self) -> int:
        """How many requests there were."""
        return len(self.arrived_s)

    @cached_property
    def latency_s(self) -> NDArray[np.float64]:
        """How long each request took until it was served, or until its caller knew that it was not; seconds."""
        return self.ended_s - self.arrived_s

    @cached_property
    def fate(self) -> NDArray[np.int8]:
        """Whether each request was served, failed, is unknown or was cut off, as places in `fates.FATES`."""
        return fates(self.outcome, self.attempts, self.latency_s, self._slowest[self.load])

    @cached_property
    def _slowest(self) -> NDArray[np.float64]:
        """The longest latency of a served request, of each load; zero where none was served."""
        if self.slowest_served_s is not None:
            return self.slowest_served_s
        slowest = np.zeros(len(self.loads))
        served = self.outcome == OK
        np.maximum.at(slowest, self.load[served], self.latency_s[served])
        return slowest

    # Parts of it.

    def between(self, start: float | str, end: float | str) -> RequestLog:
        """Return the requests that arrived from `start` to before `end`: seconds of the run's clock, or "2m"."""
        start_s, end_s = instant(start, "start"), instant(end, "end")
        if not self.start_s <= start_s < end_s <= self.end_s:
            lived = f"{human(self.start_s)} to {human(self.end_s)}"
            raise ModelError(f"got {start!r} to {end!r}; a part of this log lies in {lived}, start before end")
        first, last = np.searchsorted(self.arrived_s, [start_s, end_s])
        return replace(self._chosen(slice(int(first), int(last))), start_s=start_s, end_s=end_s)

    def of(self, load: Names | None = None, outcome: Names | None = None, write: bool | None = None) -> RequestLog:
        """Return the requests of a load (or several), with an outcome (or several), only writes or only reads."""
        chosen = np.ones(len(self), dtype=np.bool_)
        if load is not None:
            chosen &= np.isin(self.load, _places(load, self.loads, "load"))
        if outcome is not None:
            chosen &= np.isin(self.outcome, _places(outcome, OUTCOMES, "outcome"))
        if write is not None:
            if not isinstance(write, (bool, np.bool_)):
                raise ModelError(f"got {shown(write)}; give True for writes, False for reads, None for both", "write")
            chosen &= self.write == write
        return self._chosen(chosen)

    def _chosen(self, rows: slice | NDArray[np.bool_]) -> RequestLog:
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, slowest_served_s=self._slowest, **columns)

    # What it says.

    def figures(self, name: str = "all", level: float = 0.95) -> RequestFigures:
        """Return counts, latencies with their intervals, attempts and the shares of servers; see `log_figures`."""
        return log_figures.log_figures(self, name, level)

    def per(self, width: float | str) -> pd.DataFrame:
        """Return a frame with a row for each bin of so much time ("1s"), by arrival: counts and latencies.

        Index `from_s`. Columns: arrived, then by fate served, failed, unknown, cut off, which add up to it; attempts,
        all that clients made for these requests; p50_s and p99_s of the served (NaN where none was); then the count of
        each outcome but ok that occurred. The last bin may be shorter than the others.
        """
        return log_figures.binned(self, instant(width, "width"))

    def user_uptime(self, cutoff: float | str = CUTOFF_S) -> UserUptime:
        """Return the user-uptime: the share of their active time in which users were being served.

        It is no availability of the service in time, and no share of requests (Hauer et al., Meaningful Availability,
        NSDI 2020). An answer holds for its user until the next one, for at most `cutoff`. Requests that the end of the
        run cut off are left out. A user is a client process: a load has as many as its `Clients.count` says, by default
        one, which then stands for all that the load asks. In a closed loop each of its users is one.
        """
        users, times, ok = self._answers()
        return user_uptime(users, times, ok, self.end_s, instant(cutoff, "cutoff"))

    def windowed_minimum(self, windows: Sequence[float | str], cutoff: float | str = CUTOFF_S) -> NDArray[np.float64]:
        """Return the user-uptime of the worst window of each length ("1m", or seconds), shape (k,); see `user_uptime`.

        NaN where no user was active in any such window.
        """
        users, times, ok = self._answers()
        lengths = _lengths(windows)
        return windowed_minimum(users, times, ok, self.end_s, lengths, instant(cutoff, "cutoff"), self.start_s)

    def _answers(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Who learnt when whether a request was served; users of different loads are different users.

        A request tells nothing before its end, so one that outlasts this log is left out too.
        """
        heard = (self.fate != CUT_OFF) & (self.ended_s <= self.end_s)
        users = self.user.astype(np.int64) * len(self.loads) + self.load
        return users[heard], self.ended_s[heard], (self.fate == SERVED)[heard]

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with a row for each request; times in seconds, loads, servers and outcomes by name."""
        import pandas as pd

        def named(codes: NDArray[np.integer], names: Sequence[str]) -> pd.Categorical[str]:
            return pd.Categorical.from_codes(codes.astype(np.int64), pd.Index(names))

        return pd.DataFrame(
            {
                "load": named(self.load, self.loads),
                "arrived_s": self.arrived_s,
                "ended_s": self.ended_s,
                "latency_s": self.latency_s,
                "attempts": self.attempts,
                "server": named(self.server + 1, ["", *self.servers]),
                "outcome": named(self.outcome, OUTCOMES),
                "user": self.user,
                "write": self.write,
            }
        )


_COLUMNS = ("load", "arrived_s", "ended_s", "attempts", "server", "outcome", "user", "write")


def instant(value: object, argument: str = "") -> float:
    """Return seconds from a number of seconds or from text like "2m"; infinity passes.

    Raises ModelError, which names the `argument`, for what is neither.
    """
    if isinstance(value, str):
        try:
            return seconds(value)
        except ValueError as error:
            raise ModelError(str(error), argument) from None
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond all floats
            number = math.nan
        if not math.isnan(number):
            return number
    raise ModelError(f"got {shown(value)}; give a number of seconds, or text like '2m'", argument)


def _lengths(windows: object) -> list[float]:
    """The lengths of several windows, in seconds."""
    several = isinstance(windows, Iterable) and not isinstance(windows, (str, bytes, Mapping))
    if not several or (isinstance(windows, np.ndarray) and windows.ndim != 1):
        raise ModelError(f"got {shown(windows)}; give a list of lengths, like ['1m', '1h']", "windows")
    assert isinstance(windows, Iterable)
    return [instant(window, "windows") for window in windows]


def _places(names: object, known: Sequence[str], what: str) -> list[int]:
    """Where these names stand among those known."""
    wanted = [names] if isinstance(names, str) else names
    if not isinstance(wanted, Collection) or isinstance(wanted, (bytes, Mapping)):
        raise ModelError(f"got {shown(names)}; give a name, or a list of names; there is {', '.join(known)}", what)
    for name in wanted:
        if name not in known:
            hint = nearest(name, known) if isinstance(name, str) else ""
            raise ModelError(f"got {shown(name)}, no {what} of this log{hint}; there is {', '.join(known)}", what)
    return [known.index(name) for name in wanted]
