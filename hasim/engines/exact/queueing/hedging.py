"""Hedging: when no answer has come after a delay, ask a second replica and take whichever answers first.

The formulas take the two answers as independent. Where slowness comes from load, the replicas are slow together and the
extra requests make it worse; a budget has to cap them (Dean and Barroso, CACM 56, 2013).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, share, zero_or_more


def hedged_tail(tail: Callable[[Floats], ArrayLike], t: ArrayLike, delay: float) -> Floats:
    """Return P(answer later than t) with a second request after `delay`: F̄(t)·F̄(t - d) from d on, F̄(t) before.

    `tail` takes times of any shape and gives P(one request takes longer), from 0 to 1; times are seconds. Raises
    ModelError for negative times and for a tail that is no probability.
    """
    when, wait = zero_or_more(t, "t"), float(zero_or_more(delay, "delay"))
    first = share(tail(when), "tail")
    second = share(tail(np.maximum(when - wait, 0.0)), "tail")
    return np.asarray(np.where(when > wait, first * second, first))


def hedging_load(tail: Callable[[Floats], ArrayLike], delay: ArrayLike) -> Floats:
    """Return the extra requests a request, F̄(d): the share that is still without an answer after `delay` seconds."""
    return share(tail(zero_or_more(delay, "delay")), "tail")
