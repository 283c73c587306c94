"""The Universal Scalability Law: throughput of n workers that contend and must agree (Gunther, 2007)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, zero_or_more


@dataclass(frozen=True)
class ScalabilityLaw:
    """X(N) = γN/(1 + α(N - 1) + βN(N - 1)): `rate` γ of one worker a second, `contention` α, `coherency` β.

    With β = 0 it is Amdahl's law with the serial share α. Raises ModelError unless γ > 0, 0 ≤ α ≤ 1 and β ≥ 0.
    """

    rate: float
    contention: float
    coherency: float

    def __post_init__(self) -> None:
        """Refuse numbers that describe no law."""
        positive(self.rate, "rate")
        share(self.contention, "contention")
        zero_or_more(self.coherency, "coherency")

    def throughput(self, workers: ArrayLike) -> Floats:
        """Requests per second of so many workers, shape as given."""
        n = positive(workers, "workers")
        return np.asarray(self.rate * n / (1.0 + (n - 1.0) * (self.contention + self.coherency * n)))

    @property
    def peak_workers(self) -> float:
        """Number of workers with the largest throughput, √((1 - α)/β), a real number; infinite if β is zero."""
        if self.coherency == 0.0:
            return math.inf
        return math.sqrt((1.0 - self.contention) / self.coherency)
