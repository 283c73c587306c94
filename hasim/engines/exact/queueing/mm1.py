"""M/M/1: one server, Poisson arrivals, exponential service times, first come first served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, stationary, zero_or_more


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class MM1:
    """A single-server queue in the long run, by its formulas (Kleinrock, Queueing Systems I, 1975, chapter 3).

    Rates are per second, arrays of any shapes that broadcast; so are the results, in seconds. Raises ModelError where a
    rate is not positive, or arrivals are not slower than service.
    """

    arrival_rate: ArrayLike
    service_rate: ArrayLike

    def __post_init__(self) -> None:
        """Refuse rates that have no stationary law."""
        stationary(positive(self.arrival_rate, "arrival_rate"), positive(self.service_rate, "service_rate"))

    @property
    def load(self) -> Floats:
        """Share of time the server is busy, ρ = λ/μ."""
        return np.asarray(self.arrival_rate) / np.asarray(self.service_rate, dtype=np.float64)

    @property
    def spare_rate(self) -> Floats:
        """Service rate that arrivals leave over, μ - λ, per second."""
        return np.asarray(np.asarray(self.service_rate, dtype=np.float64) - np.asarray(self.arrival_rate))

    @property
    def mean_time(self) -> Floats:
        """Mean time in the system, waiting and service: 1/(μ - λ)."""
        return np.asarray(1.0 / self.spare_rate)

    @property
    def mean_wait(self) -> Floats:
        """Mean time before service begins: ρ/(μ - λ)."""
        return np.asarray(self.load / self.spare_rate)

    @property
    def mean_number(self) -> Floats:
        """Mean number in the system: ρ/(1 - ρ), written λ/(μ - λ) to keep the digits near saturation."""
        return np.asarray(np.asarray(self.arrival_rate) / self.spare_rate)

    def time_tail(self, t: ArrayLike) -> Floats:
        """P(time in the system > t): exp(-(μ - λ) t)."""
        return np.asarray(np.exp(-self.spare_rate * zero_or_more(t, "t")))

    def wait_tail(self, t: ArrayLike) -> Floats:
        """P(wait > t): ρ exp(-(μ - λ) t)."""
        return np.asarray(self.load * self.time_tail(t))

    def time_quantile(self, p: ArrayLike) -> Floats:
        """Time in the system that a share p of requests do not exceed."""
        return np.asarray(-np.log1p(-share(p, "p", below_one=True)) / self.spare_rate)

    def wait_quantile(self, p: ArrayLike) -> Floats:
        """Wait that a share p of requests do not exceed; zero up to p = 1 - ρ."""
        beyond = np.log(self.load) - np.log1p(-share(p, "p", below_one=True))
        return np.asarray(np.maximum(beyond, 0.0) / self.spare_rate)
