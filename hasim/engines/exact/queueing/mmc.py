"""M/M/c: several like servers behind one line, Poisson arrivals, exponential service times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, stationary, whole, zero_or_more
from hasim.engines.exact.queueing.erlang import erlang_b

_HALVINGS = 200  # of an interval of floats: more than their digits and exponents together need


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class MMc:
    """A pool of servers with one line in the long run (Erlang 1917; Kleinrock, Queueing Systems I, 1975, chapter 3).

    `arrival_rate` λ and `service_rate` μ of each server are per second; with `servers` c they are arrays of any shapes
    that broadcast; so are the results, in seconds. Raises ModelError where a number is not positive, or λ ≥ cμ.
    """

    arrival_rate: ArrayLike
    service_rate: ArrayLike
    servers: ArrayLike

    def __post_init__(self) -> None:
        """Refuse rates that have no stationary law."""
        count = whole(self.servers, "servers")
        stationary(
            positive(self.arrival_rate, "arrival_rate"), np.asarray(count * positive(self.service_rate, "service_rate"))
        )

    @property
    def load(self) -> Floats:
        """Share of time each server is busy, ρ = λ/(cμ)."""
        return np.asarray(self._rate / (self._count * self._speed))

    @property
    def spare_rate(self) -> Floats:
        """Service rate that arrivals leave over, cμ - λ, per second."""
        return np.asarray(self._count * self._speed - self._rate)

    @cached_property
    def waiting_share(self) -> Floats:
        """Share of the requests that wait at all: Erlang's C, written with the spare rate to keep digits near 1."""
        lost = erlang_b(self.servers, self._rate / self._speed)
        return np.asarray(self._count * self._speed * lost / (self.spare_rate + self._rate * lost))

    @property
    def mean_wait(self) -> Floats:
        """Mean time before service begins: C/(cμ - λ)."""
        return np.asarray(self.waiting_share / self.spare_rate)

    @property
    def mean_time(self) -> Floats:
        """Mean time in the system, waiting and service."""
        return np.asarray(self.mean_wait + 1.0 / self._speed)

    @property
    def mean_number(self) -> Floats:
        """Mean number in the system, by Little's law."""
        return np.asarray(self._rate * self.mean_time)

    def wait_tail(self, t: ArrayLike) -> Floats:
        """P(wait > t) = C exp(-(cμ - λ) t)."""
        return np.asarray(self.waiting_share * np.exp(-self.spare_rate * zero_or_more(t, "t")))

    def wait_quantile(self, p: ArrayLike) -> Floats:
        """Wait that a share p of requests do not exceed; zero up to p = 1 - C."""
        # Where the share that waits is below 1e-308, its logarithm is -inf and nobody waits.
        with np.errstate(divide="ignore"):
            beyond = np.log(self.waiting_share) - np.log1p(-share(p, "p", below_one=True))
        return np.asarray(np.maximum(beyond, 0.0) / self.spare_rate)

    def time_tail(self, t: ArrayLike) -> Floats:
        """P(time in the system > t): e^(-μt) + C μ (e^(-μt) - e^(-θt))/(θ - μ), with the spare rate θ.

        The difference quotient is written t·e^(-min(μ, θ)t)·(1 - e^(-x))/x with x = |θ - μ|t, which is smooth at θ = μ.
        """
        from scipy.special import exprel

        when = zero_or_more(t, "t")
        slower = np.minimum(self._speed, self.spare_rate)
        quotient = when * np.exp(-slower * when) * exprel(-np.abs(self.spare_rate - self._speed) * when)
        return np.asarray(np.exp(-self._speed * when) + self.waiting_share * self._speed * quotient)

    def time_quantile(self, p: ArrayLike) -> Floats:
        """Time in the system that a share p of requests do not exceed, by halving an interval around it."""
        tail = 1.0 - share(p, "p", below_one=True)
        shape = np.broadcast_shapes(tail.shape, self.spare_rate.shape)
        # An exponential service alone is shorter, and both parts at the slower rate, one after the other, are longer.
        low = np.zeros(shape)
        high = np.ones(shape) / np.minimum(self._speed, self.spare_rate)
        while bool((late := self.time_tail(high) > tail).any()):
            high = np.where(late, 2 * high, high)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            late = self.time_tail(middle) > tail
            low, high = np.where(late, middle, low), np.where(late, high, middle)
        return np.asarray((low + high) / 2)

    @property
    def _rate(self) -> Floats:
        return np.asarray(self.arrival_rate, dtype=np.float64)

    @property
    def _speed(self) -> Floats:
        return np.asarray(self.service_rate, dtype=np.float64)

    @property
    def _count(self) -> Floats:
        return np.asarray(self.servers, dtype=np.float64)
