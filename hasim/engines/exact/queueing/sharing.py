"""M/G/1-PS: a server that works on all its requests at once, each at an equal share of its speed, like a CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, share, zero_or_more


def sharing_time(size: ArrayLike, load: ArrayLike) -> Floats:
    """Return the mean time in the system of a request that brings `size` seconds of work: size/(1 - ρ).

    It holds for any law of the sizes (insensitivity); with the mean size it is the mean over all requests. `load` is
    from 0 to below 1. Both broadcast. Raises ModelError for others. (Kleinrock, J. ACM 14, 1967.)
    """
    return np.asarray(zero_or_more(size, "size") / (1.0 - share(load, "load", below_one=True)))
