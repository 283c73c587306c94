"""Small clusters that serve requests, played event by event, and what the tests of the request path count in logs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import hasim as ha
from hasim.results.outcomes import CODES
from hasim.results.request_log import RequestLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

UNLIKELY = 1e-5
"""Chance that a statistical bound fails where the engine is right; seeds are fixed, so it either does or never will."""


class Fault(Protocol):
    """Anything that `during` takes besides a load."""

    @property
    def targets(self) -> tuple[str, ...]: ...


def scene(replicas: int = 1, lb: dict[str, Any] | None = None, **serving: Any) -> ha.Cluster:
    """A pool `api`, behind a balancer `lb` if its settings are given."""
    parts: dict[str, Any] = {"api": {"kind": "pool", "replicas": replicas, "serving": {"takes": "10ms", **serving}}}
    if lb is not None:
        parts["lb"] = {"kind": "balancer", "to": "api", **lb}
    return ha.Cluster(name="scene", parts=parts, services={"web": {"up": ["api" if lb is None else "lb"]}})


def play(cluster: ha.Cluster, *events: Any, over: str, seed: int = 1) -> ha.Run:
    """Play a cluster under loads and faults; a fault after the end makes sure that it is played event by event."""
    never = ha.SlowServer("api", factor=2, at="3650d", lasting="1s")
    run = ha.simulate(cluster.during(*events, never), over=over, seed=seed)
    assert run.requests is not None
    assert run.requests.method.startswith("events")
    assert_sound(run.requests)
    return run


def assert_sound(log: RequestLog) -> None:
    """What holds of every log, whatever was played: an order, bounds, and Little's law.

    The requests in the system, counted at every arrival and end and integrated over time, are the sum of the times
    that each of them spent there.
    """
    assert np.all(np.diff(log.arrived_s) >= 0)
    assert np.all((log.arrived_s >= log.start_s) & (log.arrived_s <= log.ended_s) & (log.ended_s <= log.end_s))
    assert np.all(ended(log, "not sent")[log.attempts == 0])
    assert not (ended(log, "ok") & (log.server < 0)).any()
    times = np.concatenate([log.arrived_s, log.ended_s])
    order = np.argsort(times, kind="stable")
    there = np.cumsum(np.repeat([1, -1], len(log))[order])
    assert there.min(initial=0) >= 0
    area, spent = float(np.sum(there[:-1] * np.diff(times[order]))), float(latencies(log).sum())
    assert abs(area - spent) <= 1e-9 * (1 + log.end_s * len(log))


def log_of(cluster: ha.Cluster, *events: Any, over: str, seed: int = 1) -> RequestLog:
    """What became of the requests of a run."""
    requests = play(cluster, *events, over=over, seed=seed).requests
    assert requests is not None
    return requests


def latencies(log: RequestLog) -> Floats:
    """Seconds from each request to its end."""
    return log.ended_s - log.arrived_s


def ended(log: RequestLog, outcome: str) -> Bools:
    """Which requests ended so."""
    return np.asarray(log.outcome == CODES[outcome])


def within(log: RequestLog, low: float, high: float) -> Bools:
    """Which requests arrived between two times, in seconds."""
    return (log.arrived_s >= low) & (log.arrived_s < high)


def facts(run: ha.Run, kind: str) -> list[Any]:
    """All facts of a kind, in order of time."""
    return [fact for fact in run.trace if getattr(fact, "kind", None) == kind]


# ---------------------------------------------------------------------------------------------- bounds


def batch_means(values: Floats, at: Floats, batches: int, start: float, end: float) -> tuple[float, float]:
    """The mean of values, and its standard error from the means of so many batches of time."""
    edges = np.linspace(start, end, batches + 1)
    place = np.digitize(at, edges) - 1
    fine = (place >= 0) & (place < batches)
    counts = np.bincount(place[fine], minlength=batches)
    means = np.bincount(place[fine], weights=values[fine], minlength=batches) / counts
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(batches))


def assert_mean(
    values: Floats, at: Floats, expected: float, *, end: float, batches: int = 30, start: float = 0
) -> None:
    """The mean of a stationary series is `expected`, by Student's law on the means of its batches.

    Batches are to be many relaxation times long, so that their means are nearly independent.
    """
    mean, error = batch_means(values, at, batches, start, end)
    bound = float(stats.t.ppf(1 - UNLIKELY / 2, batches - 1)) * error
    assert error < 0.1 * abs(expected), f"too short to tell anything: {mean} ± {error}"
    assert abs(mean - expected) < bound, f"{mean} ± {error}, where {expected} was expected"


def assert_share(hits: int, of: int, expected: float) -> None:
    """So many of independent trials is what a chance of `expected` makes, by the exact binomial law."""
    p = stats.binomtest(hits, of, expected).pvalue
    assert p > UNLIKELY, f"{hits} of {of}, where a share of {expected} was expected: p = {p}"


def assert_law(sample: Floats, law: Any) -> None:
    """Independent draws come from a law, by Kolmogorov and Smirnov."""
    p = stats.kstest(sample, law.cdf).pvalue
    assert p > UNLIKELY, f"mean {sample.mean()} of {len(sample)}: p = {p}"


def exponential(mean: float) -> Any:
    """The exponential law with this mean, in seconds."""
    return stats.expon(scale=mean)


# ------------------------------------------------------------------------------ what a log says by itself


def fifo_services(arrived: Floats, ends: Floats, servers: int) -> tuple[Floats, Floats]:
    """When each request of a first-come queue began, and how long it took, as its arrivals and ends imply.

    A request begins when it arrives, or when the earliest of the `servers` gets free.
    """
    free = [0.0] * servers
    starts = np.empty(len(arrived))
    for i, (came, end) in enumerate(zip(arrived.tolist(), ends.tolist(), strict=True)):
        starts[i] = max(came, heapq.heappop(free))
        heapq.heappush(free, end)
    return starts, ends - starts


def found_there(arrived: Floats, ends: Floats) -> NDArray[np.int64]:
    """How many requests each arrival finds in the system; arrivals are ascending."""
    return np.arange(len(arrived)) - np.searchsorted(np.sort(ends), arrived, side="right")


def shared_work(arrived: Floats, ends: Floats, processors: int) -> Floats:
    """The work of each request under processor sharing: the integral of min(1, c/n) while it was there."""
    times = np.concatenate([arrived, ends])
    steps = np.concatenate([np.ones(len(arrived)), -np.ones(len(ends))])
    order = np.argsort(times, kind="stable")
    there = np.cumsum(steps[order])
    speed = np.minimum(1.0, processors / np.maximum(there, 1.0))
    clock = np.concatenate([[0.0], np.cumsum(np.diff(times[order]) * speed[:-1])])
    at = np.empty(len(times))
    at[order] = clock
    return at[len(arrived) :] - at[: len(arrived)]


def settled(log: RequestLog) -> Sequence[Any]:
    """Arrivals and ends of the requests that ended before the run did."""
    done = ~ended(log, "unanswered")
    return log.arrived_s[done], log.ended_s[done]
