"""Least connections: the server that holds the fewest requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy


class LeastConnections(Policy):
    """Send each request to the server that would then hold the fewest for its weight; ties go to the longest unused.

    The measure is (active + 1) / weight, and an idle server comes before all others whatever its weight. A server
    that refuses at once is always idle, so it draws nearly all requests: a black hole.
    Source: HAProxy `balance leastconn` (src/lb_fwlc.c): the key `inflight ? (inflight + 1) / eweight : 0` in a tree
    where equal keys stand in the order in which they were put in. HAProxy puts a server in anew also when it gives a
    request back, which a policy does not see here; that only decides between servers that are equally loaded.
    """

    kind: Literal["least_connections"] = "least_connections"

    def start(self, rng: np.random.Generator) -> Chooser:
        return _Fewest()


class _Fewest:
    __slots__ = ("_equal", "_order")

    def __init__(self) -> None:
        self._order: list[Backend] = []  # the longest unused first
        self._equal = True

    def usable(self, backends: Sequence[Backend]) -> None:
        given = {server.index: server for server in sorted(backends, key=lambda server: server.index)}
        stay = [given.pop(server.index) for server in self._order if server.index in given]
        self._order = stay + list(given.values())
        self._equal = len({server.weight for server in backends}) <= 1

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        order = self._order
        best, least = -1, float("inf")
        equal = self._equal
        for place, server in enumerate(order):
            load: float = server.active
            if load and not equal:
                load = (load + 1) / server.weight
            if load < least and server is not avoid:
                best, least = place, load
                if not load:
                    break
        chosen = order.pop(best)  # -1, the last one, if `avoid` is alone
        order.append(chosen)
        return chosen
