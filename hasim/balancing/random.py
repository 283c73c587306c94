"""Random: each attempt to a server drawn by weight."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import numpy as np

from hasim.balancing.backend import Backend
from hasim.balancing.draws import uniforms
from hasim.balancing.policy import Chooser, Policy


class Random(Policy):
    """Draw a server for each attempt, with chances in proportion to weights, whatever the load.

    A Poisson stream of requests then reaches each server as an independent Poisson stream (thinning), which makes it
    the policy whose queues are easiest to compute. Source: Envoy RANDOM, nginx `random` with one choice.
    """

    kind: Literal["random"] = "random"

    def start(self, rng: np.random.Generator) -> Chooser:
        return _Lot(rng)


class _Lot:
    __slots__ = ("_count", "_edges", "_servers", "_uniform")

    def __init__(self, rng: np.random.Generator) -> None:
        self._uniform = uniforms(rng)
        self._servers: list[Backend] = []
        self._count = 0
        self._edges: list[float] | None = None  # sums of weights, only while weights differ

    def usable(self, backends: Sequence[Backend]) -> None:
        self._servers = sorted(backends, key=lambda server: server.index)
        self._count = len(self._servers)
        weights = [server.weight for server in self._servers]
        self._edges = list(accumulate(weights)) if len(set(weights)) > 1 else None

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        while True:
            if self._edges is None:
                chosen = self._servers[int(self._uniform() * self._count)]
            else:
                edges, last = self._edges, self._count - 1
                chosen = self._servers[bisect(edges, self._uniform() * edges[last], 0, last)]
            if chosen is not avoid or self._count == 1:
                return chosen
