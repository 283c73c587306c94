"""Fan-out: a request that is done when the slowest of many parallel calls is (Dean and Barroso, CACM 56, 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, share, whole


def fanout_tail(tail: ArrayLike, calls: ArrayLike) -> Floats:
    """Return the chance that at least one of `calls` independent calls is slow, if each is with chance `tail`.

    1 - (1 - tail)ⁿ, without losing small chances to rounding. Both broadcast. Raises ModelError for a tail outside 0
    to 1, or fewer calls than one.
    """
    slow, count = share(tail, "tail"), whole(calls, "calls")
    with np.errstate(divide="ignore"):  # a call that is always slow has log(0)
        return np.asarray(-np.expm1(count * np.log1p(-slow)))


def fanout_call_tail(tail: ArrayLike, calls: ArrayLike) -> Floats:
    """Return how rarely each of `calls` calls may be slow for the whole to be slow with chance `tail`: the inverse."""
    slow, count = share(tail, "tail"), whole(calls, "calls")
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(np.log1p(-slow) / count))
