"""The trap of prefetching: deadlines run while tasks wait in their worker's buffer, behind those that came before."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft

from hasim.engines.exact.queueing.arguments import positive, whole
from hasim.model.laws import Law

Floats = npt.NDArray[np.float64]

CELLS: Final = 1 << 14
"""Steps into which a deadline is cut; the error is that of the midpoint rule, some 1e-8 for smooth laws."""


def buffer_expiries(takes: Law, prefetch: int, deadline: float) -> Floats:
    """Return P(the deadline of the j-th task of a full buffer passes before it is done), j from 1 to `prefetch`.

    All tasks of the buffer were delivered at once, and each takes the worker an independent time of the law `takes`:
    the j-th is late if the sum of j of them is longer than `deadline` (seconds). Raises ModelError unless `prefetch` is
    a whole number of at least 1 and the deadline above zero.
    """
    count, wait = int(whole(prefetch, "prefetch")), float(positive(deadline, "deadline"))
    step = wait / CELLS
    edges = step * np.maximum(np.arange(CELLS + 2) - 0.5, 0.0)
    within = 1.0 - takes.survival(edges)
    within[0] = 0.0
    one = np.diff(within)  # that it takes about k steps, k from 0 to CELLS
    factor = rfft(one, 2 * CELLS + 2)
    found, many = np.empty(count), one
    for j in range(count):
        if j:
            many = irfft(rfft(many, 2 * CELLS + 2) * factor, 2 * CELLS + 2)[: CELLS + 1]
        found[j] = 1.0 - (many.sum() - many[-1] / 2.0)  # half of the last cell lies beyond the deadline
    found[0] = float(takes.survival(wait))
    return np.clip(found, 0.0, 1.0)
