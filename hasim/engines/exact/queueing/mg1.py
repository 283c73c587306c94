"""One server with service times of any law: what their spread costs (Pollaczek and Khinchine; Kingman)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, zero_or_more


def pollaczek_khinchine_wait(load: ArrayLike, service_scv: ArrayLike, mean_service: ArrayLike = 1.0) -> Floats:
    """Return the mean wait in M/G/1, first come first served: ρ(1 + C²)E[S]/(2(1 - ρ)), in units of `mean_service`.

    `load` ρ is from 0 to below 1, `service_scv` C² is the variance over the squared mean (0 constant, 1 exponential).
    All broadcast. Raises ModelError for others. (Pollaczek 1930, Khinchine 1932.)
    """
    busy, scv, mean = share(load, "load", below_one=True), zero_or_more(service_scv, "service_scv"), mean_service
    return np.asarray(busy * (1.0 + scv) * positive(mean, "mean_service") / (2.0 * (1.0 - busy)))


def kingman_wait(
    load: ArrayLike, arrival_scv: ArrayLike, service_scv: ArrayLike, mean_service: ArrayLike = 1.0
) -> Floats:
    """Return Kingman's approximation of the mean wait in G/G/1: ρ/(1 - ρ)·(Ca² + Cs²)/2·E[S].

    It is exact for M/G/1 and in heavy traffic; elsewhere it is mostly too large. `arrival_scv` and `service_scv` are
    squared coefficients of variation. Raises ModelError for others. (Kingman, Proc. Camb. Phil. Soc. 57, 1961.)
    """
    busy = share(load, "load", below_one=True)
    spread = zero_or_more(arrival_scv, "arrival_scv") + zero_or_more(service_scv, "service_scv")
    return np.asarray(busy / (1.0 - busy) * spread / 2.0 * positive(mean_service, "mean_service"))
