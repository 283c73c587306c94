"""First: fill one server before the next is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy
from hasim.units import Count


class First(Policy):
    """Send each request to the first server, in declared order, that holds fewer than `limit` requests.

    So the last servers stay idle and can be switched off. When all are full, the one that holds the fewest is
    taken, the first of these. Weights do not count. Source: HAProxy `balance first`, where the limit is the server's
    `maxconn` and what finds all servers full waits in the balancer.
    """

    kind: Literal["first"] = "first"
    limit: Count = Field(ge=1, description="Requests that a server holds before the next one is used.")

    def start(self, rng: np.random.Generator) -> Chooser:
        return _InOrder(self.limit)


class _InOrder:
    __slots__ = ("_limit", "_servers")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._servers: list[Backend] = []

    def usable(self, backends: Sequence[Backend]) -> None:
        self._servers = sorted(backends, key=lambda server: server.index)

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        limit = self._limit
        for server in self._servers:
            if server.active < limit and server is not avoid:
                return server
        others = [server for server in self._servers if server is not avoid] or self._servers
        return min(others, key=lambda server: server.active)
