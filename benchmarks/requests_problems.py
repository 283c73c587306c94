"""Three queues for requests, their exact mean waits, and what an engine says of a turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import factorial, log, sqrt
from statistics import mean, stdev

TAKES = 0.02  # seconds of service in the mean, exponential
SLICES = 11  # of a run; the first (servers begin idle) and the last (some never end) are left out


@dataclass(frozen=True)
class Problem:
    """Poisson requests to servers of some slots each; `policy` None means one server and nobody before it."""

    name: str
    rate: float
    servers: int
    slots: int
    policy: str | None
    seconds: float

    @property
    def wait(self) -> float:
        """The exact mean wait for a slot: Erlang's C formula for the stream that one server sees.

        A server picked at random sees a Poisson stream. One picked in turn sees a smoother stream and waits less, so
        for round robin this is a bound, and is used only where it is below a nanosecond.
        """
        rate = self.rate / self.servers
        load = rate * TAKES
        tail = load**self.slots / factorial(self.slots) * self.slots / (self.slots - load)
        wait = tail / (sum(load**k / factorial(k) for k in range(self.slots)) + tail) * TAKES / (self.slots - load)
        if self.policy == "round_robin":
            assert wait < 1e-9, "no closed form"
        return wait


PROBLEMS = (
    Problem("M/M/4", rate=150.0, servers=1, slots=4, policy=None, seconds=400.0),
    Problem("balancer", rate=150.0, servers=3, slots=16, policy="round_robin", seconds=400.0),
    Problem("busy balancer", rate=1920.0, servers=3, slots=16, policy="random", seconds=33.0),
)

Times = Sequence[float]


@dataclass(frozen=True)
class Turn:
    """What one simulation saw: when each request came and ended, and how many events its loop popped, if it has one."""

    arrived: Times
    ended: Times
    events: int | None = None

    def wait_slices(self, seconds: float) -> list[float]:
        """The mean wait of requests by when they came: time in the system less the mean service."""
        sums, counts = [0.0] * SLICES, [0] * SLICES
        for arrived, ended in zip(self.arrived, self.ended, strict=True):
            at = min(int(arrived / seconds * SLICES), SLICES - 1)
            sums[at] += ended - arrived
            counts[at] += 1
        return [total / count - TAKES for total, count in list(zip(sums, counts, strict=True))[1:-1]]


Play = Callable[[Problem, int], Turn]
"""Play a problem with a seed, from building the model to the times of every request."""


def off_by(waits: Sequence[float], exact: float) -> float:
    """How many standard errors the mean of independent slices lies from the exact wait."""
    return (mean(waits) - exact) / (stdev(waits) / sqrt(len(waits)))


def exponential_bins(count: int) -> list[float]:
    """Service times, each as likely, with the mean of the exponential law: its means between equal quantiles."""
    # E[X; X > q] = (q + 1) exp(-q) for mean 1; with exp(-q) = 1 - k/count.
    left = [1 - k / count for k in range(count)] + [0.0]
    above = [share * (1 - log(share)) if share else 0.0 for share in left]
    return [TAKES * count * (high - low) for high, low in pairwise(above)]
