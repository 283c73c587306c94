"""The judge of policies acquits every kind in the house and convicts every way of being a bad one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hasim.balancing import (
    Backend,
    Chooser,
    ConsistentHash,
    First,
    LeastConnections,
    LeastRequest,
    Policy,
    Random,
    RoundRobin,
    WeightedRoundRobin,
)
from hasim.balancing.conformance import check_policy


@pytest.mark.parametrize(
    "policy",
    [
        RoundRobin(),
        WeightedRoundRobin(),
        Random(),
        LeastRequest(),
        LeastRequest(choices=3, replacement=False),
        LeastRequest(choices=9, bias=2.0),
        LeastConnections(),
        ConsistentHash(points=20),
        ConsistentHash(points=20, bound=1.1),
        First(limit=1),
        First(limit=4),
    ],
    ids=str,
)
def test_the_judge_acquits(policy: Policy) -> None:
    check_policy(policy)


class Faulty(Policy):
    """A policy whose chooser is of the class given."""

    chooser: type

    def start(self, rng: np.random.Generator) -> Chooser:
        chooser: Chooser = self.chooser()
        return chooser


class Plain:
    """A good chooser: the first server that is not to be avoided."""

    def __init__(self) -> None:
        self.servers: list[Backend] = []

    def usable(self, backends: Sequence[Backend]) -> None:
        self.servers = list(backends)

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        return ([server for server in self.servers if server is not avoid] or self.servers)[0]


class KeepsTheFirstSet(Plain):
    def usable(self, backends: Sequence[Backend]) -> None:
        self.servers = self.servers or list(backends)


class NeverAvoids(Plain):
    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        return self.servers[0]


class MakesItsOwn(Plain):
    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        chosen = super().choose(key, avoid)
        return Backend(chosen.name, chosen.index)


class HasItsOwnLuck(Plain):
    started = 0

    def __init__(self) -> None:
        super().__init__()
        HasItsOwnLuck.started += 1
        self.rng = np.random.default_rng(HasItsOwnLuck.started)

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        others = [server for server in self.servers if server is not avoid] or self.servers
        return others[int(self.rng.integers(len(others)))]


class SharesItsWheel(Plain):
    turn = 0

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        others = [server for server in self.servers if server is not avoid] or self.servers
        SharesItsWheel.turn += 1
        return others[SharesItsWheel.turn % len(others)]


class CountsToo(Plain):
    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        chosen = super().choose(key, avoid)
        chosen.active += 1
        return chosen


class NormalisesWeights(Plain):
    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        total = sum(server.weight for server in self.servers)
        for server in self.servers:
            server.weight /= total
        return super().choose(key, avoid)


def test_the_judge_acquits_a_plain_chooser() -> None:
    check_policy(Faulty(chooser=Plain))


@pytest.mark.parametrize(
    ("chooser", "verdict"),
    [
        (KeepsTheFirstSet, "which is not usable"),
        (NeverAvoids, "which it was to avoid"),
        (MakesItsOwn, "which is not usable"),
        (HasItsOwnLuck, "with one seed it chose"),
        (SharesItsWheel, "with one seed it chose"),
        (CountsToo, "it changed a server"),
        (NormalisesWeights, "it changed a server"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_judge_convicts(chooser: type, verdict: str) -> None:
    with pytest.raises(AssertionError, match=verdict):
        check_policy(Faulty(chooser=chooser))
