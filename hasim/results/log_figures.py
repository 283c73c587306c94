"""Figures of a request log: counts, latencies with intervals, and rows by time."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results.estimate import Estimate
from hasim.results.fates import CUT_OFF, FAILED, FATES, SERVED, UNKNOWN
from hasim.results.intervals import quantile_estimate, ratio_interval
from hasim.results.outcomes import OK, OUTCOMES
from hasim.results.requests import RequestFigures

if TYPE_CHECKING:
    import pandas as pd

    from hasim.results.request_log import RequestLog

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

BATCHES: Final = 30
"""Stretches of time over which means are taken for the interval of a mean; the usual advice is 20 to 30
(Law, Simulation Modeling and Analysis, 2015, §9.5.3)."""

BINS_MAX: Final = 1_000_000


def log_figures(log: RequestLog, name: str = "all", level: float = 0.95) -> RequestFigures:
    """Return what became of the requests of a log, and how fast.

    Latencies are those of the requests that were served, from the arrival to the answer. Quantiles come with intervals
    of order statistics, which hold for any law, if requests are independent. In a queue they are not: who waits long
    has neighbours who wait long, and then these intervals are too narrow. The interval of the mean is that of means
    over 30 stretches of time, which allows for such neighbours as long as a stretch is longer than a busy time.
    Raises ModelError for a `level` that is not between 0 and 1.
    """
    given: object = level
    if isinstance(given, bool) or not isinstance(given, Real) or not 0 < level < 1:
        raise ModelError(f"got {shown(given)}; the level of an interval is between 0 and 1, like 0.95", "level")
    fate = log.fate
    counts = np.bincount(fate, minlength=len(FATES))
    served = fate == SERVED
    latency = np.sort(log.latency_s[served])
    estimates: dict[str, Estimate] = {}
    if latency.size:
        estimates["mean"] = _mean(log, served, level)
        for label, p in QUANTILES.items():
            estimates[label] = quantile_estimate(latency, p, level)
    silence_from, silence_to = _longest_silence(log, served)
    by_outcome = np.bincount(log.outcome, minlength=len(OUTCOMES))
    return RequestFigures(
        name=name,
        start_s=float(log.start_s),
        end_s=float(log.end_s),
        served=int(counts[SERVED]),
        failed=int(counts[FAILED]),
        unknown=int(counts[UNKNOWN]),
        latency_p50_s=estimates["p50"].value if estimates else None,
        latency_p99_s=estimates["p99"].value if estimates else None,
        longest_silence_s=silence_to - silence_from,
        silence_from_s=silence_from,
        cut_off=int(counts[CUT_OFF]),
        attempts=int(log.attempts.sum()),
        outcomes={OUTCOMES[code]: int(by_outcome[code]) for code in np.flatnonzero(by_outcome)},
        latency=estimates,
        servers=_shares(log, served),
    )


def _mean(log: RequestLog, served: NDArray[np.bool_], level: float) -> Estimate:
    """The mean latency, with the interval of a ratio of sums over stretches of time."""
    latency = log.latency_s[served]
    place = (log.arrived_s[served] - log.start_s) * (BATCHES / (log.end_s - log.start_s))
    batch = np.minimum(place.astype(np.int64), BATCHES - 1)
    sums = np.bincount(batch, latency, minlength=BATCHES)
    low, high = ratio_interval(sums, np.bincount(batch, minlength=BATCHES), level)
    value = float(latency.mean())
    return Estimate(value, min(low, value), max(high, value), level, f"{BATCHES} batches", latency.size, unit="seconds")


def _longest_silence(log: RequestLog, served: NDArray[np.bool_]) -> tuple[float, float]:
    """From when to when no success came back for the longest time; the ends of the window count as successes."""
    ends = log.ended_s[served]
    ends = np.sort(ends[ends <= log.end_s])
    instants = np.concatenate([[log.start_s], ends, [log.end_s]])
    longest = int(np.argmax(np.diff(instants)))
    return float(instants[longest]), float(instants[longest + 1])


def _shares(log: RequestLog, served: NDArray[np.bool_]) -> dict[str, float]:
    """The share of the served requests that each server answered."""
    by = np.bincount(log.server[served] + 1, minlength=len(log.servers) + 1)[1:]
    total = int(np.count_nonzero(served))
    return {name: int(count) / total for name, count in zip(log.servers, by, strict=True)} if total else {}


def binned(log: RequestLog, width_s: float) -> pd.DataFrame:
    """Return a row for each bin of `width_s` seconds; see `RequestLog.per`."""
    import pandas as pd

    length = log.end_s - log.start_s
    if not 0 < width_s < math.inf:
        raise ModelError(f"got {width_s}; a bin is longer than zero, and not endless", "width")
    if length / width_s * (1 - 1e-12) > BINS_MAX:  # may be infinite
        raise ModelError(f"got bins of {width_s:g} s in {length:g} s; {BINS_MAX:,} bins are the most", "width")
    bins = max(1, math.ceil(length / width_s * (1 - 1e-12)))
    starts = log.start_s + width_s * np.arange(bins)
    edges = np.append(np.searchsorted(log.arrived_s, starts), len(log))
    columns: dict[str, NDArray[np.generic]] = {"arrived": np.diff(edges)}
    columns |= {name: _summed(log.fate == code, edges) for code, name in enumerate(FATES)}
    columns["attempts"] = _summed(log.attempts, edges)
    columns |= dict(zip(("p50_s", "p99_s"), _quantiles(log, edges, (0.5, 0.99)), strict=True))
    occurred = np.flatnonzero(np.bincount(log.outcome, minlength=len(OUTCOMES)))
    columns |= {OUTCOMES[code]: _summed(log.outcome == code, edges) for code in occurred if code != OK}
    return pd.DataFrame(columns, index=pd.Index(starts, name="from_s"))


def _summed(values: NDArray[np.bool_] | NDArray[np.int32], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """What lies between each two edges: how many hits, or the sum of numbers."""
    until = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return np.diff(until[edges])


def _quantiles(log: RequestLog, edges: NDArray[np.int64], levels: tuple[float, ...]) -> NDArray[np.float64]:
    """The quantiles of the latencies served in each bin, shape (levels, bins): values that were really seen."""
    served = log.fate == SERVED
    latency = log.latency_s[served]
    inside = np.concatenate([[0], np.cumsum(served, dtype=np.int64)])[edges]
    found = np.full((len(levels), len(edges) - 1), np.nan)
    # Requests are in order of arrival, so the bins are stretches: sorting each costs less than sorting all.
    for i in np.flatnonzero(np.diff(inside)):
        ordered = np.sort(latency[inside[i] : inside[i + 1]])
        for row, p in enumerate(levels):
            found[row, i] = ordered[max(0, math.ceil(p * ordered.size) - 1)]
    return found
