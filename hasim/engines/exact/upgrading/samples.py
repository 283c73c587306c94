"""How many requests a canary needs: two shares of errors that differ are told apart only by so many."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from hasim.engines.exact.queueing.arguments import Floats, share, whole
from hasim.errors import ModelError


def requests_needed(
    before: ArrayLike, after: ArrayLike, *, power: float = 0.8, false_alarms: float = 0.05
) -> NDArray[np.int64]:
    """Return how many requests each of old and new must serve to tell a share of errors `after` from `before`.

    n = (z_α + z_β)² (p₀q₀ + p₁q₁)/(p₁ - p₀)², rounded up: a one-sided test that cries wolf with chance `false_alarms` α
    and notices the difference with chance `power` 1 - β, by normal approximation; at 5 % and 80 % the first factor is
    6.18. Raises ModelError for shares outside 0 to 1, for equal ones, and unless α < power < 1. (Fleiss, Statistical
    Methods for Rates and Proportions, 1981; here without the correction for continuity.)
    """
    low, high = np.broadcast_arrays(share(before, "before"), share(after, "after"))
    if (low == high).any():
        raise ModelError("got a share that is equal to `before`; no number of requests tells them apart", "after")
    z = _z(false_alarms, "false_alarms") - _z(power, "power")
    if z <= 0:
        raise ModelError(f"got {power:g}; give a power above the chance of false alarms, {false_alarms:g}", "power")
    needed = z**2 * (low * (1.0 - low) + high * (1.0 - high)) / (high - low) ** 2
    return np.asarray(np.maximum(np.ceil(needed), 1.0).astype(np.int64))


def detection_power(before: ArrayLike, after: ArrayLike, requests: ArrayLike, *, false_alarms: float = 0.05) -> Floats:
    """Return the chance to notice that errors went from a share `before` to `after`, by `requests` to each version.

    Φ(|p₁ - p₀| √(n/(p₀q₀ + p₁q₁)) - z_α), the inverse of `requests_needed`. Raises ModelError for shares outside 0 to
    1, and fewer requests than one.
    """
    low, high = np.broadcast_arrays(share(before, "before"), share(after, "after"))
    count, z = whole(requests, "requests").astype(np.float64), _z(false_alarms, "false_alarms")
    apart, spread = np.abs(high - low), low * (1.0 - low) + high * (1.0 - high)
    sure = spread == 0.0  # never and always: one request tells
    signal = np.where(sure, np.where(apart > 0, np.inf, 0.0), apart * np.sqrt(count / np.where(sure, 1.0, spread)))
    return np.asarray(special.ndtr(signal - z))


def _z(tail: float, name: str) -> float:
    given = share(tail, name)
    if given.ndim:
        raise ModelError("got an array; give a single chance, like 0.05", name)
    chance = float(given)
    if not 0 < chance < 1:
        raise ModelError(f"got {chance:g}; give a chance between 0 and 1, like 0.05", name)
    return -float(special.ndtri(chance))
