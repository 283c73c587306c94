"""Check what a queue is fed with: arrivals in order, service times that are lengths, counts that count."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasim.errors import ModelError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def checked_requests(arrivals: ArrayLike, services: ArrayLike, since: float = -math.inf) -> tuple[Floats, Floats]:
    """Return arrivals and services as float arrays of one length n, in seconds.

    Raises ModelError where arrivals go back in time or behind `since`, or a service time is negative or not finite.
    """
    came = np.ascontiguousarray(arrivals, dtype=np.float64)
    work = np.ascontiguousarray(services, dtype=np.float64)
    if came.ndim != 1 or work.shape != came.shape:
        raise ModelError(
            f"got shapes {came.shape} and {work.shape}; give one service time for each arrival", "services"
        )
    if came.size:
        # NaN fails every comparison, so the conditions are put such that a NaN is refused.
        if not (math.isfinite(came[0]) and math.isfinite(came[-1]) and bool(np.all(came[1:] >= came[:-1]))):
            raise ModelError("got times out of order or not finite; arrivals are finite and never decrease", "arrivals")
        if came[0] < since:
            raise ModelError(f"got {came[0]} after {since}; the next chunk starts where the last one ended", "arrivals")
        if not (work.min() >= 0.0 and work.max() < math.inf):
            raise ModelError("got a negative or infinite time; a service time is finite, zero or more", "services")
    return came, work


def checked_count(value: object, name: str) -> int:
    """Return a whole number of at least one; anything else is a ModelError that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ModelError(f"got {value!r}; give a whole number of at least 1", name)
    return int(value)
