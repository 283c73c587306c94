"""Consistent hashing: a client stays with its server, and few clients move when a server comes or goes."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np
from pydantic import Field

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy
from hasim.units import Count

POINTS_MOST = 1_000_000
"""Points on a ring, all servers together: some seconds of hashing, and a hundred megabytes while it is made."""


class ConsistentHash(Policy):
    """Send all requests of a client to one server, the first after the client's place on a ring of hashed points.

    When one of n servers goes, only its clients move, and they spread over the others (Karger et al., Consistent
    Hashing and Random Trees, STOC 1997). A server has the clients of its points: with v points its share has a
    relative standard deviation of about 1/√v. With a `bound` c > 1, no server is given a request that would take it
    above c times its fair part of all requests held, rounded up; the request goes on along the ring instead
    (Mirrokni, Thorup and Zadimoghaddam, Consistent Hashing with Bounded Loads, SODA 2018; HAProxy
    `hash-balance-factor`).
    A server of weight w has w times as many points, at least one. Where that would put more than a million on the
    ring, all servers have fewer, in the same proportion: it is ratios of weights that count.
    Hashes are BLAKE2 of the name and of the key, the same in every process; two balancers agree.
    """

    kind: Literal["consistent_hash"] = "consistent_hash"
    points: Count = Field(
        default=160,
        ge=1,
        le=10_000,
        description="Points on the ring of a server of weight 1; 160 in nginx `hash … consistent` (ketama).",
    )
    bound: float | None = Field(
        default=None,
        gt=1,
        le=1000,
        description="Most load of a server, as a multiple of its fair part; none in HAProxy unless it is set.",
    )

    def start(self, rng: np.random.Generator) -> Chooser:
        return _Ring(self)


class _Ring:
    """The ring of all servers ever heard of; a server that may not be used now is passed over.

    Servers come and go far more often (when they are full, for one) than the ring is worth making anew.
    """

    __slots__ = ("_bound", "_counts", "_owners", "_places", "_points", "_usable", "_weight", "_weights")

    def __init__(self, policy: ConsistentHash) -> None:
        self._points: float = policy.points  # of a server of weight 1
        self._bound = policy.bound
        self._usable: dict[int, Backend] = {}
        self._weight = 0.0
        self._weights: dict[str, float] = {}  # the largest that each server has had
        self._counts: dict[str, int] = {}  # points that a server has on the ring
        self._places: list[int] = []
        self._owners: list[int] = []  # the server's index at each place

    def usable(self, backends: Sequence[Backend]) -> None:
        self._usable = {server.index: server for server in backends}
        self._weight = math.fsum(server.weight for server in backends)
        for server in backends:
            self._weights[server.name] = max(server.weight, self._weights.get(server.name, 0.0))
        # A ring that was too large once stays as coarse: who comes and goes, or warms up, must not move all clients.
        self._points = min(self._points, POINTS_MOST / math.fsum(self._weights.values()))
        counts = {server.name: max(1, round(self._points * server.weight)) for server in backends}
        changed = [server for server in backends if self._counts.get(server.name) != counts[server.name]]
        if changed:
            self._counts.update(counts)
            self._put(changed)

    def _put(self, servers: Sequence[Backend]) -> None:
        """Put the points of some servers on the ring, in place of those they had."""
        anew = {server.index for server in servers}
        ring = [pair for pair in zip(self._places, self._owners, strict=True) if pair[1] not in anew]
        for server in servers:
            points = range(self._counts[server.name])
            ring += [(_place(f"{server.name}/{point}".encode()), server.index) for point in points]
        ring.sort()
        self._places = [place for place, _ in ring]
        self._owners = [owner for _, owner in ring]

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        owners, usable = self._owners, self._usable
        fair = math.inf
        if self._bound is not None:
            held = sum([server.active for server in usable.values()]) + 1
            fair = self._bound * held / self._weight
        second: Backend | None = None
        start = bisect(self._places, _place(b"%d" % key)) - len(owners)
        for step in range(start, start + len(owners)):
            server = usable.get(owners[step])
            if server is None or server is avoid:
                continue
            if server.active < fair * server.weight:
                return server
            second = second or server
        if second is None:  # `avoid` is alone
            (second,) = usable.values()
        return second


def _place(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
