"""One server, first come first served: how long each request waits (Lindley, Proc. Camb. Phil. Soc. 48, 1952)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hasim.waiting.requests import Floats, checked_requests

_ROW: Final = 64  # requests in a row; rows are worked on side by side
_ROWS: Final = 1024  # rows in a block: half a megabyte of floats, which stays in the cache
_SHORT: Final = 1024  # up to here a plain loop is faster


def lindley(arrivals: ArrayLike, services: ArrayLike, free_at: float = -math.inf) -> Floats:
    """Return how long each request waits for a single server that serves in the order of arrival.

    `arrivals` (never decreasing) and `services` have shape (n,) and are seconds, as is the result. The server is busy
    with earlier work until `free_at`. Any laws will do (G/G/1), dependent ones too. Raises ModelError for arrivals out
    of order and for negative services.

    The recursion is W[i] = max(0, W[i-1] + x[i]) with x[i] = S[i-1] - (A[i] - A[i-1]). Requests are laid out in rows of
    64. For a row that begins with the wait w, the last wait is max(R, w + U): U is the sum of its x, and R the last
    wait if w were none. U and R of many rows are found side by side, a loop of one step a row carries w along, and then
    the recursion itself runs in all rows side by side. No long running sums are subtracted from one another.

    **Rounding.** Let u = 2⁻⁵³ ≈ 1.1e-16, let no wait exceed w̄, and let the services and gaps of a row together last
    H at most. Where w + U is the larger, no partial sum of the row lies below -w, so idle gaps of any length do no
    harm: U carries an error of at most 66·u·H, and adding w at most u·w̄. Errors die whenever the server idles. So n
    requests without an idle moment are off by at most (n/64)·u·(w̄ + 66·H), plus a 64-step recursion within the row.
    For 10⁸ requests at 10 000/s and waits of up to 4 s that is below 9e-10 s. (The plain recursion has n·u·w̄: 4e-8 s.)
    """
    came, work = checked_requests(arrivals, services)
    if not came.size:
        return np.empty(0)
    waits = np.empty(came.size)
    wait = waits[0] = max(0.0, free_at - came[0])
    steps = work[:-1] - np.diff(came)
    if steps.size <= _SHORT:
        waits[1:] = _plain(steps, wait)
        return waits
    whole = steps.size - steps.size % _ROW
    for low in range(0, whole, _ROW * _ROWS):
        high = min(low + _ROW * _ROWS, whole)
        waits[1 + low : 1 + high], wait = _block(steps[low:high], wait)
    waits[1 + whole :] = _plain(steps[whole:], wait)
    return waits


def _plain(steps: Floats, wait: float) -> list[float]:
    """The recursion, one request at a time."""
    waits = []
    for step in steps.tolist():
        wait += step
        wait = max(wait, 0.0)
        waits.append(wait)
    return waits


def _block(steps: Floats, wait: float) -> tuple[Floats, float]:
    """The waits of whole rows, and the last of them."""
    columns = np.ascontiguousarray(steps.reshape(-1, _ROW).T)
    total = np.zeros(columns.shape[1])
    fresh = np.zeros(columns.shape[1])
    for column in columns:
        total += column
        fresh += column
        np.maximum(fresh, 0.0, out=fresh)
    first = []
    for alone, summed in zip(fresh.tolist(), total.tolist(), strict=True):
        first.append(wait)
        wait = max(alone, wait + summed)
    current = np.array(first)
    for column in columns:  # each column of steps becomes one of waits
        current += column
        np.maximum(current, 0.0, out=current)
        column[:] = current
    return columns.T.ravel(), wait
