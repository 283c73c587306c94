"""Erlang's formulas: the chance that all servers are busy, for callers who leave (B) and for callers who wait (C)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasim.engines.exact.queueing.arguments import Floats, stationary, whole, zero_or_more
from hasim.errors import ModelError


def erlang_b(servers: ArrayLike, offered: ArrayLike) -> Floats:
    """Return the share of arrivals that find all servers busy, where those are turned away (M/G/c/c).

    `offered` is the load λ E[S] in servers' worth of work, zero or more; it may exceed `servers`. Both broadcast. The
    recursion B[k] = a B[k-1] / (k + a B[k-1]), B[0] = 1, has positive terms only and damps its own rounding, so a
    million servers lose no digits; a chance below 1e-308 becomes 0. Raises ModelError for other numbers. (Erlang,
    1917; the recursion: Messerli, Bell Syst. Tech. J. 51, 1972.)
    """
    return _lost(whole(servers, "servers"), whole(servers, "servers"), zero_or_more(offered, "offered"))


def erlang_c(servers: ArrayLike, offered: ArrayLike) -> Floats:
    """Return the share of arrivals that find all servers busy, where those wait (M/M/c).

    `offered` is the load λ/μ and must be below `servers`; both broadcast. C = cB/((c - a) + aB), which keeps its digits
    at saturation. Raises ModelError for other numbers.
    """
    count, load = whole(servers, "servers"), zero_or_more(offered, "offered")
    stationary(load, count.astype(np.float64), "offered")
    lost = erlang_b(count, load)
    return np.asarray(count * lost / ((count - load) + load * lost))


def loss_share(servers: ArrayLike, room: ArrayLike, offered: ArrayLike) -> Floats:
    """Return the share of arrivals that are turned away because `room` requests are in the system (M/M/c/K).

    `room` counts those in service and is at least `servers`. All broadcast; any offered load λ/μ will do, also beyond
    `servers`. It is Erlang's recursion with min(k, c) for k. M/M/1/K is `servers` = 1. Raises ModelError for others.
    """
    count, most = whole(servers, "servers"), whole(room, "room")
    count, most = np.broadcast_arrays(count, most)
    if (most < count).any():
        short = most < count

        raise ModelError(f"got {most[short].flat[0]}; there is room for all {count[short].flat[0]} servers", "room")
    return _lost(count, most, zero_or_more(offered, "offered"))


def _lost(servers: NDArray[np.int64], room: NDArray[np.int64], offered: Floats) -> Floats:
    parts = np.broadcast_arrays(servers, room, offered)
    found = [_lost_one(*each) for each in zip(*(part.ravel().tolist() for part in parts), strict=True)]
    return np.array(found).reshape(parts[0].shape)


def _lost_one(servers: int, room: int, offered: float) -> float:
    lost = 1.0
    for busy in range(1, servers + 1):
        lost *= offered
        lost /= busy + lost
    for _ in range(servers, room):
        lost *= offered
        lost /= servers + lost
    return lost
