"""Least request among a few: draw some servers at random, take the one that holds the fewest requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy
from hasim.balancing.turns import Turns
from hasim.streams import uniforms
from hasim.units import Count


class LeastRequest(Policy):
    """Draw `choices` servers at random and take the least loaded; ties go to the one drawn first.

    Two choices are enough to shorten the longest queue from log n to log log n (Mitzenmacher, The Power of Two
    Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001). HAProxy `random(2)` and Envoy LEAST_REQUEST draw with
    replacement, so that a hung server still gets 1/n² of the requests, and an idle dead one meets 1 - (1 - 1/n)² of
    them first; nginx `random two least_conn` draws two different servers. While weights differ (slow start) servers
    take turns as in Envoy, with weight / (active + 1)^bias as the pace of a server.
    """

    kind: Literal["least_request"] = "least_request"
    choices: Count = Field(
        default=2, ge=1, le=1000, description="Servers drawn for each attempt; 2 in HAProxy random and in Envoy."
    )
    replacement: bool = Field(
        default=True, description="Whether one server may be drawn twice, as in HAProxy and Envoy (in nginx: no)."
    )
    bias: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="How much load counts against weight, while weights differ; Envoy's active_request_bias, 1.",
    )

    def start(self, rng: np.random.Generator) -> Chooser:
        return _FewChoices(self, rng)


class _FewChoices:
    __slots__ = ("_again", "_bias", "_choices", "_servers", "_turns", "_uniform")

    def __init__(self, policy: LeastRequest, rng: np.random.Generator) -> None:
        self._uniform = uniforms(rng)
        self._choices = policy.choices
        self._again = policy.replacement
        self._bias = policy.bias
        self._servers: list[Backend] = []
        self._turns: Turns | None = None  # only while weights differ

    def usable(self, backends: Sequence[Backend]) -> None:
        self._servers = sorted(backends, key=lambda server: server.index)
        if len({server.weight for server in backends}) <= 1:
            self._turns = None
        elif self._turns is None:
            self._turns = Turns()
            self._turns.begin(self._servers)
        else:
            self._turns.update(self._servers)

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        if self._turns is not None:
            return self._turns.take(avoid, self._bias)
        servers = self._servers
        if avoid is not None:
            servers = [server for server in servers if server is not avoid] or servers
        if not self._again:
            return self._of_different(servers)
        count, uniform = len(servers), self._uniform
        best = servers[int(uniform() * count)]
        for _ in range(self._choices - 1):
            other = servers[int(uniform() * count)]
            if other.active < best.active:
                best = other
        return best

    def _of_different(self, servers: list[Backend]) -> Backend:
        """Draw by shuffling the first places of the list, whose order means nothing else."""
        count, uniform = len(servers), self._uniform
        best: Backend | None = None
        for place in range(min(self._choices, count)):
            other = place + int(uniform() * (count - place))
            drawn = servers[other]
            servers[other] = servers[place]
            servers[place] = drawn
            if best is None or drawn.active < best.active:
                best = drawn
        assert best is not None
        return best
