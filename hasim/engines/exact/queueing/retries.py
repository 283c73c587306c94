"""Retries: how many attempts they make of a request, and how much load heals from a full outage."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, whole, zero_or_more
from hasim.errors import ModelError


def mean_attempts(failure_share: ArrayLike, attempts: ArrayLike) -> Floats:
    """Return the mean number of attempts of a request that is tried up to m times: (1 - fᵐ)/(1 - f).

    Attempts fail independently with chance f; where all fail (f = 1) it is m. Both broadcast. Raises ModelError for a
    share outside 0 to 1, or fewer attempts than one.
    """
    failing, most = np.broadcast_arrays(share(failure_share, "failure_share"), whole(attempts, "attempts"))
    sure = failing == 1.0
    with np.errstate(divide="ignore"):  # where nothing fails the logarithm is -inf, and one attempt is right
        powers = most * np.log(np.where(sure, 0.5, failing))
    return np.where(sure, most, -np.expm1(powers) / np.where(sure, 1.0, 1.0 - failing))


def layered_attempts(attempts: ArrayLike, layers: ArrayLike) -> Floats:
    """Return the attempts that reach the bottom of L layers, each trying m times, when all fail: mᴸ."""
    return np.asarray(np.power(whole(attempts, "attempts").astype(np.float64), whole(layers, "layers", least=0)))


def budgeted_attempts(budget: ArrayLike) -> Floats:
    """Return the most attempts a request on average when retries are at most a share `budget` of requests: 1 + r."""
    return np.asarray(1.0 + zero_or_more(budget, "budget"))


def stable_rate(capacity: ArrayLike, attempts: ArrayLike) -> Floats:
    """Return the rate of user requests below which a service heals from any outage: C/m.

    While everything times out, each request comes m times. Below C/m the backlog still shrinks; above, the retries of
    timed-out requests keep the service overloaded after the trigger has gone. It is the stable region of Huang et al.
    (Metastable Failures in the Wild, OSDI 2022) with retries for the only amplifier. `capacity` is in attempts per
    second, `attempts` the largest mean number of attempts a request. Raises ModelError for attempts below one.
    """
    most = positive(attempts, "attempts")
    if (most < 1.0).any():
        raise ModelError(f"got {float(most[most < 1.0].flat[0]):g}; a request is tried at least once", "attempts")
    return np.asarray(positive(capacity, "capacity") / most)
