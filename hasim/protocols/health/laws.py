"""In closed form: how long checks, probes, supervisors and VRRP take to notice a fault that comes at a random moment.

All of them wait for the next question, uniformly, and then for a fixed number of further ones. Notation: I interval,
F fall, R rise, If and Id the intervals while about to turn and while down, T the timeout; P a probe's period; N the
cycle of Monit and K its failures in a row; W the watchdog of systemd, which it is told of every W/2.

| what | after | how long |
|---|---|---|
| a check takes the server out | it refuses, or answers badly | U(0, I) + (F-1) If |
| | it hangs, or its packets vanish | U(0, I) + F T + (F-1) If: each check costs its own timeout |
| a check takes it back in | it serves again | U(0, Id) + (R-1) If |
| | it goes on after a hang | as above, or (R-1) If with chance T / (T + Id): the check under way is answered |
| a probe fails for good | it refuses | U(0, P) + (F-1) P |
| | it hangs | U(0, P) + (F-1) max(P, T) + T |
| Monit restarts it | it is gone | U(0, N) + (K-1) N |
| | it hangs | U(0, N) + K T + (K-1) N: its sleep begins when the tests have ended |
| systemd's watchdog kills it | it hangs | U(W/2, W) |
| a backup takes over | the master crashes | Master_Down - U(0, advert) |
| | the master says goodbye | the backup's skew |

The laws are of checks whose answers take no time. Those of HAProxy 2.6.12 were measured and agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hasim.errors import ModelError
from hasim.protocols.health.check import Check
from hasim.protocols.health.monit import Monit
from hasim.protocols.health.probe import Probe
from hasim.protocols.health.systemd_unit import SystemdService
from hasim.protocols.vrrp import Vrrp

Fault = Literal["refused", "hung"]
"""How a server fails: it answers at once and badly (or not at all: connection refused), or never answers."""


@dataclass(frozen=True)
class Piece:
    """With chance `weight`, anything from `low` to `high` seconds, all alike; just that, if they are equal."""

    weight: float
    low: float
    high: float


@dataclass(frozen=True)
class Delay:
    """A law of delays, in seconds: one piece, or several whose weights add to one."""

    pieces: tuple[Piece, ...]

    @property
    def low(self) -> float:
        """The shortest delay, in seconds."""
        return min(piece.low for piece in self.pieces)

    @property
    def high(self) -> float:
        """The longest delay, in seconds."""
        return max(piece.high for piece in self.pieces)

    @property
    def mean(self) -> float:
        """The mean, in seconds."""
        return sum(piece.weight * (piece.low + piece.high) / 2.0 for piece in self.pieces)

    @property
    def variance(self) -> float:
        """The variance, in seconds squared."""
        mean = self.mean
        return sum(
            piece.weight * ((piece.high - piece.low) ** 2 / 12.0 + ((piece.low + piece.high) / 2.0 - mean) ** 2)
            for piece in self.pieces
        )

    def cdf(self, t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The chance of a delay of at most `t` seconds, for each of them; of the same shape as `t`."""
        times = np.asarray(t, dtype=np.float64)
        total = np.zeros_like(times)
        for piece in self.pieces:
            if piece.low == piece.high:
                total += piece.weight * (times >= piece.low)
            else:
                total += piece.weight * np.clip((times - piece.low) / (piece.high - piece.low), 0.0, 1.0)
        return total


def _evenly(low: float, high: float) -> Delay:
    return Delay((Piece(1.0, low, high),))


def _without_spread(check: Check) -> None:
    if check.spread:
        raise ModelError(f"got {check.spread:g}; the closed forms are of checks without spread", "spread")


def ejection(check: Check, fault: Fault) -> Delay:
    """How long until a server that was well is taken out, from a fault at a random moment.

    HAProxy's defaults: 4 to 6 s if it refuses, 10 to 12 s if it hangs. Checks with a spread are refused (ModelError).
    """
    _without_spread(check)
    further = (check.fall - 1) * check.fast
    if fault == "hung":
        further += check.fall * check.longest
    return _evenly(further, check.interval + further)


def readmission(check: Check, after: Fault) -> Delay:
    """How long until a server that was taken out is back in, from a recovery at a random moment.

    After a hang the check under way, if there is one, is answered when the server goes on, and counts at once. Checks
    with a spread are refused (ModelError).
    """
    _without_spread(check)
    further = (check.rise - 1) * check.fast
    waiting = Piece(1.0, further, check.down + further)
    if after == "refused":
        return Delay((waiting,))
    under_way = check.longest / (check.longest + check.down)
    return Delay((Piece(under_way, further, further), Piece(1.0 - under_way, waiting.low, waiting.high)))


def readmission_at(check: Check, after: Fault, since: float) -> float:
    """How long until a server is back in if it recovers `since` seconds after it was taken out; no chance is left.

    From the ejection on a hung server is waited on for Id and then asked for T, over and over; one that refuses is
    waited on only. Checks with a spread are refused (ModelError).
    """
    _without_spread(check)
    asked = check.longest if after == "hung" else 0.0
    phase = since % (check.down + asked)
    return max(check.down - phase, 0.0) + (check.rise - 1) * check.fast


def checks_to_ejection(check: Check, q: float) -> float:
    """How many checks on average until a server that is well is taken out, if each fails with chance `q` by itself.

    The mean wait for `fall` failures in a row, (q^-fall - 1) / (1 - q) (Feller, volume 1, XIII.7). `q` is above 0 and
    at most 1.
    """
    if not 0.0 < q <= 1.0:
        raise ModelError(f"got {q:g}; a chance of failure is above 0 and at most 1", "q")
    return sum(q**-n for n in range(1, check.fall + 1))  # the same, without a small number in the denominator


def unhealthy(probe: Probe, fault: Fault) -> Delay:
    """How long until a probe has failed for good, from a fault at a random moment.

    Kubernetes' defaults: 20 to 30 s if the container refuses, 21 to 31 s if it hangs.
    """
    further = (probe.failures - 1) * probe.period
    if fault == "hung":
        further = (probe.failures - 1) * max(probe.period, probe.timeout) + probe.timeout
    return _evenly(further, probe.period + further)


def ready_again(probe: Probe, after: Fault) -> Delay:
    """How long until a container that was unready is ready, from a recovery at a random moment.

    After a hang the probe under way, if there is one, is answered at once, and further ones come on their ticks. For
    several successes and a timeout beyond the period there is no closed form here (ModelError).
    """
    period, timeout, more = probe.period, probe.timeout, (probe.successes - 1) * probe.period
    if after == "refused":
        return _evenly(more, period + more)
    if timeout > period and more:
        raise ModelError(f"got {timeout:g} s; with several successes it is at most the period here", "timeout")
    if timeout >= period and not more:
        return _evenly(0.0, 0.0)
    answered = Piece(timeout / period, more - timeout if more else 0.0, more)
    return Delay((answered, Piece(1.0 - timeout / period, more, period - timeout + more)))


def polled(monit: Monit, fault: Fault) -> Delay:
    """How long until Monit restarts a process that was well, from a fault at a random moment, if all else is well.

    One that is gone is started again within a cycle, if a single failure is enough to act.
    """
    further = (monit.failures - 1) * monit.cycle
    if fault == "hung":
        further += monit.failures * monit.timeout
    return _evenly(further, monit.cycle + further)


def watchdog(service: SystemdService, deaf: bool = False) -> Delay:
    """How long until a process that hangs is killed by its unit's watchdog, from a random moment.

    It tells the watchdog that it is well every half of `watchdog`, as sd_watchdog_enabled(3) recommends. One that is
    `deaf` to SIGABRT goes by SIGKILL, after `stop_timeout`. A unit without a watchdog is refused (ModelError).
    """
    if service.watchdog is None:
        raise ModelError("is left out, so nothing finds a process that hangs", "watchdog")
    further = 0.0
    if deaf:
        if not service.stop_timeout:
            raise ModelError("got 0s, so a process that is deaf to SIGABRT is never killed", "stop_timeout")
        further = service.stop_timeout
    return _evenly(service.watchdog / 2.0 + further, service.watchdog + further)


def takeover(vrrp: Vrrp, priority: int | None = None, clean: bool = False) -> Delay:
    """How long until a backup of this priority (else the declared one) is master, from the crash of the master.

    The crash comes at a random moment; with `clean` it is a stop, and the master has said goodbye.
    """
    if clean:
        return _evenly(vrrp.skew(priority), vrrp.skew(priority))
    return _evenly(*vrrp.takeover(priority))
