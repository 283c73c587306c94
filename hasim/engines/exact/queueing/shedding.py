"""Load shedding: what a server still gets done when refusing work costs work too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, zero_or_more


def shedding_goodput(arrival_rate: ArrayLike, service_rate: ArrayLike, rejection_cost: ArrayLike) -> Floats:
    """Return the requests served per second when the rest is refused, at a cost of φ of a service each.

    All of λ up to the service rate μ; beyond it (μ - φλ)/(1 - φ), since g served and λ - g refused keep the server
    busy, g + φ(λ - g) = μ; and never below zero. Rates are per second; all broadcast. Raises ModelError for negative
    rates and for φ outside 0 to below 1.
    """
    rate, capacity = zero_or_more(arrival_rate, "arrival_rate"), positive(service_rate, "service_rate")
    cost = share(rejection_cost, "rejection_cost", below_one=True)
    crowded = np.maximum(capacity - cost * rate, 0.0) / (1.0 - cost)
    return np.asarray(np.where(rate > capacity, crowded, rate))


def collapse_rate(service_rate: ArrayLike, rejection_cost: ArrayLike) -> Floats:
    """Return the arrival rate at which refusing takes all of the server, μ/φ; infinite if it costs nothing."""
    capacity = positive(service_rate, "service_rate")
    cost = share(rejection_cost, "rejection_cost", below_one=True)
    with np.errstate(divide="ignore"):
        return np.asarray(capacity / cost)
