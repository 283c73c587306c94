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


class ConsistentHash(Policy):
    """Send all requests of a client to one server, the first after the client's place on a ring of hashed points.

    When one of n servers goes, only its clients move, and they spread over the others (Karger et al., Consistent
    Hashing and Random Trees, STOC 1997). A server has the clients of its points: with v points its share has a
    relative standard deviation of about 1/√v. With a `bound` c > 1, no server is given a request that would take it
    above c times its fair part of all requests held, rounded up; the request goes on along the ring instead
    (Mirrokni, Thorup and Zadimoghaddam, Consistent Hashing with Bounded Loads, SODA 2018; HAProxy
    `hash-balance-factor`).
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
    __slots__ = ("_bound", "_owners", "_places", "_points", "_servers", "_weight")

    def __init__(self, policy: ConsistentHash) -> None:
        self._points = policy.points
        self._bound = policy.bound
        self._servers: list[Backend] = []
        self._weight = 0.0
        self._places: list[int] = []
        self._owners: list[Backend] = []

    def usable(self, backends: Sequence[Backend]) -> None:
        self._servers = sorted(backends, key=lambda server: server.index)
        self._weight = math.fsum(server.weight for server in self._servers)
        ring = sorted(
            (_place(f"{server.name}/{point}".encode()), server.index, server)
            for server in self._servers
            for point in range(max(1, round(self._points * server.weight)))
        )
        self._places = [place for place, _, _ in ring]
        self._owners = [server for _, _, server in ring]

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        owners = self._owners
        start = bisect(self._places, _place(b"%d" % key))
        if start == len(owners):
            start = 0
        first = owners[start]
        if self._bound is None and first is not avoid:
            return first
        return self._further(start, avoid)

    def _further(self, start: int, avoid: Backend | None) -> Backend:
        """The first server along the ring that has room and is not to be avoided; failing that, not to be avoided."""
        owners = self._owners
        fair = math.inf
        if self._bound is not None:
            held = sum(server.active for server in self._servers) + 1
            fair = self._bound * held / self._weight
        second: Backend | None = None
        for step in range(start - len(owners), start):
            server = owners[step]
            if server is avoid:
                continue
            if server.active < fair * server.weight:
                return server
            second = second or server
        return second or owners[start]


def _place(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
