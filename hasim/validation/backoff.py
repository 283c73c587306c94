"""What jitter is worth: many clients update one row at once, and those that collide back off and start over.

The experiment of M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, after the rules of his
published simulator (github.com/aws-samples/aws-arch-backoff-simulator). Each client reads the version of a row and
then writes the row, which succeeds if the version is still the one it read; otherwise the client backs off and starts
over, until it has succeeded once. Every message takes |N(10 ms, 2 ms)|. Only what reaches the server is an event:
whatever else a client does, it does alone.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np

from hasim.clients import Backoff, DecorrelatedJitter, EqualJitter, ExponentialBackoff, FullJitter, NoBackoff
from hasim.units import s

HOP_S: Final = 0.010
"""Mean of the normal law whose absolute value a message takes, in seconds."""
HOP_SD_S: Final = 0.002
BASE_S: Final = 0.005
CAP_S: Final = 2.0
DRAWN_AT_ONCE: Final = 1024


@dataclass(frozen=True)
class Contention:
    """How one race ended: writes sent, failed ones included, and when the last client heard of its success."""

    calls: int
    finished_s: float


@dataclass(frozen=True)
class Row:
    """One line of the published table: mean calls and mean seconds of so many clients with a back-off of this kind."""

    clients: int
    backoff: str
    calls: float
    finished_s: float


def table() -> list[Row]:
    """The table that the experiment is held against, from the package's data."""
    data: dict[str, Any] = json.loads(
        files("hasim.validation").joinpath("data/backoff_jitter.json").read_text(encoding="utf-8")
    )
    return [Row(row["clients"], row["backoff"], row["calls"], row["time_ms"] / 1e3) for row in data["table"]]


def policies() -> dict[str, Backoff]:
    """Brooker's five back-offs by name, with his base of 5 ms and his cap of 2 s.

    His bound after the first conflict is base × 2, and here it is the base; so the kinds that double get 10 ms.
    """
    doubling = {"base": s(2 * BASE_S), "cap": s(CAP_S)}
    return {
        "none": NoBackoff(),
        "exponential": ExponentialBackoff(**doubling),
        "decorrelated_jitter": DecorrelatedJitter(base=s(BASE_S), cap=s(CAP_S)),
        "equal_jitter": EqualJitter(**doubling),
        "full_jitter": FullJitter(**doubling),
    }


def contention(clients: int, backoff: Backoff, rng: np.random.Generator) -> Contention:
    """Let so many clients race for one row, each until it has written it once.

    All send their first read at time zero. Time and calls are exact under the rules above; `rng` gives the hops and
    the jitter.
    """
    hops, chances = _hops(rng), _chances(rng)
    version, calls, finished = 0, 0, 0.0
    attempts, waits = [0] * clients, [0.0] * clients
    # What reaches the server, in order: when, from whom, and the version to be replaced; -1 for a read.
    arrivals = [(next(hops), client, -1) for client in range(clients)]
    heapq.heapify(arrivals)
    while arrivals:
        now, client, expected = heapq.heappop(arrivals)
        if expected < 0:  # the answer goes back, the write comes
            heapq.heappush(arrivals, (now + next(hops) + next(hops), client, version))
            continue
        calls += 1
        answered = now + next(hops)
        if expected == version:
            version += 1
            finished = max(finished, answered)
            continue
        attempts[client] += 1
        waits[client] = backoff.delay(attempts[client], waits[client], next(chances))
        heapq.heappush(arrivals, (answered + waits[client] + next(hops), client, -1))
    return Contention(calls, finished)


def _hops(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from np.abs(rng.normal(HOP_S, HOP_SD_S, DRAWN_AT_ONCE)).tolist()


def _chances(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(DRAWN_AT_ONCE).tolist()
