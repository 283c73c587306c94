"""Consistent hashing moves as few clients as can be, shares the ring as its law says, and keeps its bound."""

from __future__ import annotations

import math
from collections import Counter
from hashlib import blake2b

import numpy as np
import pytest
from scipy import stats

from hasim.balancing import Backend, Chooser, ConsistentHash, consistent_hash

KEYS = range(5000)


def ring(policy: ConsistentHash, servers: list[Backend]) -> Chooser:
    chooser = policy.start(np.random.default_rng(0))
    chooser.usable(servers)
    return chooser


def backends(count: int, weight: float = 1.0) -> list[Backend]:
    return [Backend(f"server-{index}", index, weight) for index in range(count)]


def test_when_a_server_goes_only_its_clients_move_and_they_return_with_it() -> None:
    servers = backends(5)
    chooser = ring(ConsistentHash(), servers)
    before = {key: chooser.choose(key).index for key in KEYS}
    gone = servers[2]
    chooser.usable([server for server in servers if server is not gone])
    without = {key: chooser.choose(key).index for key in KEYS}
    moved = {key for key in KEYS if without[key] != before[key]}
    assert moved == {key for key in KEYS if before[key] == gone.index}
    assert len({without[key] for key in moved}) == 4  # they spread over all others
    chooser.usable(servers)
    assert {key: chooser.choose(key).index for key in KEYS} == before


def test_a_retry_goes_where_the_client_would_go_if_the_server_had_gone() -> None:
    servers = backends(4)
    chooser = ring(ConsistentHash(), servers)
    retried = {key: chooser.choose(key, avoid=servers[1]).index for key in KEYS}
    without = ring(ConsistentHash(), [server for server in servers if server is not servers[1]])
    assert retried == {key: without.choose(key).index for key in KEYS}


def test_a_client_belongs_to_the_next_point_on_the_ring() -> None:
    def place(text: str) -> int:
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")

    chooser = ring(ConsistentHash(points=20), backends(3))
    points = [(place(f"server-{index}/{point}"), index) for index in range(3) for point in range(20)]
    for key in range(500):
        nearest = min(points, key=lambda point: (point[0] - place(str(key))) % 2**64)
        assert chooser.choose(key).index == nearest[1]


@pytest.mark.parametrize("points", [20, 160])
def test_shares_of_the_ring_vary_as_their_law_says(points: int) -> None:
    # n·v points at random leave arcs whose shares are Dirichlet(v, …, v): variance (1/n)(1 - 1/n) / (n·v + 1) each.
    # Counting K keys adds (1/n)(1 - 1/n) / K. The sum of squares over all servers is then about chi-square, n - 1.
    count, keys = 40, 40_000
    chooser = ring(ConsistentHash(points=points), backends(count))
    chosen = Counter(chooser.choose(key).index for key in range(keys))
    spread = (1 / count) * (1 - 1 / count) * (1 / (count * points + 1) + 1 / keys)
    squares = sum((chosen[index] / keys - 1 / count) ** 2 for index in range(count))
    # squares / spread has mean n; scaled by (n - 1) / n it is chi-square
    p = stats.chi2.sf(squares / spread * (count - 1) / count, count - 1)
    assert 1e-4 < p < 1 - 1e-4


def test_a_warming_server_holds_its_part_of_the_ring() -> None:
    servers = backends(4)
    servers[3].weight = 0.25
    chooser = ring(ConsistentHash(points=400), servers)
    keys = 20_000
    share = sum(chooser.choose(key) is servers[3] for key in range(keys)) / keys
    mean, points = 0.25 / 3.25, 1300  # a share of 100 of 1300 points is Beta(100, 1200)
    assert abs(share - mean) <= 4 * math.sqrt(mean * (1 - mean) * (1 / (points + 1) + 1 / keys))


def test_few_clients_move_while_a_server_warms_up() -> None:
    servers = backends(3)
    chooser = ring(ConsistentHash(), servers)
    servers[0].weight = 0.5
    chooser.usable(servers)
    before = {key: chooser.choose(key).index for key in KEYS}
    servers[0].weight = 0.75
    chooser.usable(servers)
    after = {key: chooser.choose(key).index for key in KEYS}
    assert {after[key] for key in KEYS if after[key] != before[key]} == {0}  # who moves, moves to the warmer server


@pytest.mark.parametrize("bound", [1.01, 1.25, 2.0])
def test_no_server_holds_more_than_the_bound(bound: float) -> None:
    servers = backends(8)
    chooser, fate = ring(ConsistentHash(points=20, bound=bound), servers), np.random.default_rng(3)
    free = ring(ConsistentHash(points=20), servers)
    held: list[Backend] = []
    pushed_on = 0
    for _ in range(3000):
        key = int(fate.zipf(1.5))  # a few clients ask for nearly everything
        chosen, most = chooser.choose(key), math.ceil(bound * (len(held) + 1) / len(servers))
        assert chosen.active + 1 <= most
        wanted = free.choose(key)
        assert chosen is wanted or wanted.active + 1 > most
        pushed_on += chosen is not wanted
        chosen.active += 1
        held.append(chosen)
        if len(held) > 40:
            held.pop(int(fate.integers(len(held)))).active -= 1
    assert pushed_on > 100


def test_under_a_bound_a_retry_still_avoids_the_server_that_failed() -> None:
    servers = backends(2)
    servers[0].active = 50  # full, while the other is the one to avoid
    chooser = ring(ConsistentHash(bound=1.1), servers)
    assert all(chooser.choose(key, avoid=servers[1]) is servers[0] for key in range(50))


def test_when_only_the_server_to_avoid_has_room_the_next_on_the_ring_is_taken() -> None:
    servers = backends(4)
    for server in servers[1:]:
        server.active = 50
    bounded, rest = ring(ConsistentHash(bound=1.1), servers), ring(ConsistentHash(), servers[1:])
    assert all(bounded.choose(key, avoid=servers[0]) is rest.choose(key) for key in range(200))


def test_weights_make_no_ring_larger_than_a_million_points_and_keep_their_ratios() -> None:
    # 10 000 points × (300 + 100 + 1) would be four million. A share of v of V points is about Beta(v, V - v), and 4000
    # keys count it: four standard errors.
    servers = [Backend(f"server-{index}", index, weight) for index, weight in enumerate((300.0, 100.0, 1.0))]
    chooser = ring(ConsistentHash(points=10_000), servers)
    points: Counter[int] = Counter(chooser._owners)  # type: ignore[attr-defined]
    keys = 4000
    assert abs(sum(points.values()) - 1_000_000) <= 3
    assert [points[index] for index in range(3)] == [round(1e6 * server.weight / 401) for server in servers]
    share = sum(chooser.choose(key) is servers[0] for key in range(keys)) / keys
    expected = 300 / 401
    spread = math.sqrt(expected * (1 - expected) * (1 / 1e6 + 1 / keys))
    assert abs(share - expected) < 4 * spread


def test_a_ring_that_is_too_large_moves_no_clients_of_others_when_one_goes_or_warms_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consistent_hash, "POINTS_MOST", 1000)
    servers = backends(3, weight=50.0)
    chooser = ring(ConsistentHash(points=100), servers)
    assert len(chooser._owners) == 3 * 333  # type: ignore[attr-defined]
    before = {key: chooser.choose(key).index for key in range(1000)}
    chooser.usable(servers[1:])
    without = {key: chooser.choose(key).index for key in range(1000)}
    assert all(without[key] == place for key, place in before.items() if place != 0)
    servers[0].weight = 2.5  # slow start
    chooser.usable(servers)
    warming = {key: chooser.choose(key).index for key in range(1000)}
    assert all(warming[key] == place for key, place in before.items() if place != 0)
    servers[0].weight = 50.0
    chooser.usable(servers)
    assert {key: chooser.choose(key).index for key in range(1000)} == before
