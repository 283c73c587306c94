"""Random: each attempt to a server drawn by weight."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import numpy as np

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy
from hasim.streams import uniforms


class Random(Policy):
    """Draw a server for each attempt, with chances in proportion to weights, whatever the load.

    A Poisson stream of requests then reaches each server as an independent Poisson stream (thinning), which makes it
    the policy whose queues are easiest to compute. Source: Envoy RANDOM, nginx `random` with one choice.
    """

    kind: Literal["random"] = "random"

    def start(self, rng: np.random.Generator) -> Chooser:
        return _Lot(rng)


class _Lot:
    __slots__ = ("_edges", "_servers", "_uniform")

    def __init__(self, rng: np.random.Generator) -> None:
        self._uniform = uniforms(rng)
        self._servers: list[Backend] = []
        self._edges: list[float] | None = None  # sums of weights, only while weights differ

    def usable(self, backends: Sequence[Backend]) -> None:
        self._servers = sorted(backends, key=lambda server: server.index)
        weights = [server.weight for server in self._servers]
        self._edges = list(accumulate(weights)) if len(set(weights)) > 1 else None

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        servers, edges = self._servers, self._edges
        if avoid is not None and len(servers) > 1:
            # Drawing anew until it is another one has the same law, and no end where `avoid` has nearly all the weight.
            servers = [server for server in servers if server is not avoid]
            edges = None if edges is None else list(accumulate(server.weight for server in servers))
        if edges is None:
            return servers[int(self._uniform() * len(servers))]
        last = len(servers) - 1
        return servers[bisect(edges, self._uniform() * edges[last], 0, last)]
