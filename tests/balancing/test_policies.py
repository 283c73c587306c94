"""Each policy chooses as its source says: exact orders, closed-form shares, and an independent recomputation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from hasim.balancing import (
    Backend,
    Chooser,
    First,
    LeastConnections,
    LeastRequest,
    Policy,
    Random,
    RoundRobin,
    WeightedRoundRobin,
)
from hasim.streams import uniforms

CHANCE_OF_FALSE_ALARM = 1e-4  # of each chi-square test; seeds are fixed, so it is met once and for all
STANDARD_ERRORS = 4  # a binomial share is further off in 6 of 100 000 seeds


def started(policy: Policy, servers: Sequence[Backend], seed: int = 1) -> Chooser:
    chooser = policy.start(np.random.default_rng(seed))
    chooser.usable(servers)
    return chooser


def named(names: str, weights: Sequence[float] | None = None, active: Sequence[int] | None = None) -> list[Backend]:
    return [
        Backend(name, index, 1.0 if weights is None else weights[index], 0 if active is None else active[index])
        for index, name in enumerate(names)
    ]


def order(chooser: Chooser, choices: int) -> str:
    return "".join(chooser.choose(key).name for key in range(choices))


def counts(chooser: Chooser, servers: Sequence[Backend], choices: int, avoid: Backend | None = None) -> list[int]:
    chosen = Counter(chooser.choose(key, avoid).index for key in range(choices))
    return [chosen[server.index] for server in servers]


def fits(observed: Sequence[int], chances: Sequence[float]) -> bool:
    """Chi-square test of counts against chances; a chance of 0 must never have happened."""
    assert all(count == 0 for count, chance in zip(observed, chances, strict=True) if chance == 0)
    pairs = [(count, chance) for count, chance in zip(observed, chances, strict=True) if chance > 0]
    expected = sum(observed) * np.array([chance for _, chance in pairs])
    if len(pairs) == 1:
        return True
    p = stats.chisquare([count for count, _ in pairs], expected).pvalue
    return bool(p > CHANCE_OF_FALSE_ALARM)


def meets_first(policy: Policy, servers: int, requests: int) -> int:
    """Requests whose first attempt goes to a dead server, the first one; each of them is tried once more elsewhere."""
    backends = [Backend(f"s{index}", index) for index in range(servers)]
    chooser, dead = started(policy, backends), backends[0]
    met = 0
    for key in range(requests):
        if chooser.choose(key) is dead:
            met += 1
            assert chooser.choose(key, dead) is not dead
    return met


# ------------------------------------------------------------------------------------------------ round robin


def test_round_robin_takes_turns() -> None:
    assert order(started(RoundRobin(), named("abcd")), 9) == "abcdabcda"


@pytest.mark.parametrize("servers", [2, 3, 4, 7])
def test_a_dead_server_meets_one_in_n_minus_one_requests_of_a_wheel(servers: int) -> None:
    # A round of the wheel has n places. The place after the dead one goes to the retry, so the round serves n - 1
    # requests, exactly one of which met the dead server.
    rounds = 50
    assert meets_first(RoundRobin(), servers, rounds * (servers - 1)) == rounds


def test_the_wheel_passes_over_the_server_to_avoid_and_takes_its_turn() -> None:
    a, b, c = servers = named("abc")
    chooser = started(RoundRobin(), servers)
    assert chooser.choose(0) is a
    assert chooser.choose(0, avoid=b) is c
    assert order(chooser, 3) == "abc"


def test_the_wheel_keeps_its_place_when_servers_come_and_go() -> None:
    a, b, c, d = servers = named("abcd")
    chooser = started(RoundRobin(), servers)
    assert order(chooser, 1) == "a"  # b is next
    chooser.usable([a, c, d])  # and goes: its successor is next
    assert order(chooser, 1) == "c"
    chooser.usable([a, b, c, d])  # b is back, d is still next
    assert order(chooser, 4) == "dabc"
    chooser.usable([a, b])  # d was next, and nobody after it is left
    assert order(chooser, 3) == "aba"


WEIGHTS = [(5.0, 1.0, 1.0), (1.0, 0.1, 1.0), (0.3, 0.7, 1.0, 0.01), (1.0, 1.0, 1.0, 0.5, 0.25)]


@pytest.mark.parametrize("policy", [RoundRobin(), LeastRequest(bias=0.0), WeightedRoundRobin()], ids=lambda p: p.kind)
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_turns_by_weight_never_stray_from_their_shares(policy: Policy, weights: tuple[float, ...]) -> None:
    # With turns 1/w apart, each server has had its number of turns by virtual time v, v·w, to within 1. Then all n
    # together have had N = v·W to within n, and so each N·w/W to within 1 + n·w/W. Smooth weighted round robin
    # keeps every account between -W and W, which is closer still.
    servers = named("abcde"[: len(weights)], weights)
    chooser, total = started(policy, servers), sum(weights)
    had = [0] * len(servers)
    for choices in range(1, 3001):
        had[chooser.choose(0).index] += 1
        for server, count in zip(servers, had, strict=True):
            part = server.weight / total
            assert abs(count - choices * part) <= 1 + len(servers) * part + 1e-6


def test_a_warming_server_gets_its_part_and_the_wheel_runs_on_when_it_is_warm() -> None:
    servers = named("abc", (1.0, 1.0, 0.2))
    chooser = started(RoundRobin(), servers)
    observed = counts(chooser, servers, 2200)
    assert all(abs(count - expected) <= 3 for count, expected in zip(observed, (1000, 1000, 200), strict=True))
    servers[2].weight = 0.5
    chooser.usable(servers)
    observed = counts(chooser, servers, 2500)
    assert all(abs(count - expected) <= 3 for count, expected in zip(observed, (1000, 1000, 500), strict=True))
    servers[2].weight = 1.0
    chooser.usable(servers)
    assert order(chooser, 6) in ("abcabc", "bcabca", "cabcab")


def test_who_returns_with_a_small_weight_waits_for_its_turn() -> None:
    servers = named("abc", (1.0, 1.0, 0.1))
    chooser = started(RoundRobin(), servers[:2])
    order(chooser, 1001)
    chooser.usable(servers)
    # Its first turn is one of its own, 10 of the others', away; it must not catch up on the time it was gone.
    assert counts(chooser, servers, 210)[2] == pytest.approx(10, abs=1)


def test_who_returns_among_unequal_servers_waits_for_its_turn_too() -> None:
    servers = named("abc", (1.0, 0.5, 0.1))
    chooser = started(RoundRobin(), servers[:2])
    for _ in range(20):
        order(chooser, 50)
        chooser.usable(servers)
        assert "c" not in order(chooser, 14)  # its turn is 10 of a's and 5 of b's away
        assert "c" in order(chooser, 3)
        chooser.usable(servers[:2])


def test_turns_by_weight_pass_over_the_server_to_avoid_and_take_its_turn() -> None:
    # Turns are first due at 1/3 (a), 4/3 (b) and 2 (c). Passed over, a is due next at 4/3, after b, and then at 7/3.
    servers = named("abc", (1.0, 0.5, 0.5))
    chooser = started(RoundRobin(), servers)
    assert chooser.choose(0, avoid=servers[0]) is servers[1]
    assert order(chooser, 3) == "aca"


# ------------------------------------------------------------------------------- smooth weighted round robin


def test_smooth_weighted_round_robin_makes_the_sequence_of_the_nginx_commit() -> None:
    chooser = started(WeightedRoundRobin(), named("abc", (5.0, 1.0, 1.0)))
    assert order(chooser, 14) == "aabacaa" * 2


def test_a_dead_server_meets_its_share_of_requests_under_smooth_round_robin() -> None:
    # It gains 1 for each request and pays 3 when it is met, and neither while it is passed over. Its account stays
    # above -3 and below 3.
    requests = 3000
    assert abs(3 * meets_first(WeightedRoundRobin(), 3, requests) - requests) < 3


# -------------------------------------------------------------------------------------------------- random


@pytest.mark.parametrize("weights", [(1.0,) * 5, (1.0, 0.5, 0.25, 0.05)], ids=str)
def test_random_draws_by_weight(weights: tuple[float, ...]) -> None:
    servers = named("abcde"[: len(weights)], weights)
    observed = counts(started(Random(), servers), servers, 20_000)
    assert fits(observed, [weight / sum(weights) for weight in weights])


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.25)], ids=str)
def test_random_draws_by_weight_among_the_others_when_one_is_to_avoid(weights: tuple[float, ...]) -> None:
    servers = named("abc", weights)
    observed = counts(started(Random(), servers), servers, 20_000, avoid=servers[0])
    rest = weights[1] + weights[2]
    assert fits(observed, [0.0, weights[1] / rest, weights[2] / rest])


class Counted(np.random.Generator):
    """A generator that hands out its blocks and counts them."""

    blocks = 0

    def random(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        self.blocks += 1
        return super().random(*args, **kwargs)  # type: ignore[call-overload]


@pytest.mark.parametrize("heavy", [1.0, 1e9, 1e300])
def test_random_takes_one_number_a_choice_even_to_avoid_who_has_nearly_all_the_weight(heavy: float) -> None:
    # Numbers come in blocks of 1024: 3 × 1024 choices take exactly three of them, whoever is to avoid.
    servers = named("abc", (heavy, 1.0, 0.5))
    rng = Counted(np.random.PCG64(1))
    chooser = Random().start(rng)
    chooser.usable(servers)
    chosen = Counter(chooser.choose(key, avoid=servers[0]).index for key in range(3 * 1024))
    assert rng.blocks == 3
    assert fits([chosen[1], chosen[2]], [2 / 3, 1 / 3])


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.25)], ids=str)
def test_random_draws_from_all_as_ever_when_nobody_is_to_avoid_or_who_is_has_gone(weights: tuple[float, ...]) -> None:
    # The place of u·W among the sums of weights, whatever else the chooser can do.
    gone, servers = Backend("gone", 3), named("abc", weights)
    numbers = np.random.default_rng(1).random(2000)
    expected = np.searchsorted(np.cumsum(weights), numbers * sum(weights), side="right").tolist()
    for avoid in (None, gone):
        chooser = started(Random(), servers)
        assert [chooser.choose(key, avoid).index for key in range(2000)] == expected


def test_uniform_numbers_are_those_of_the_generator() -> None:
    uniform = uniforms(np.random.default_rng(7))
    assert [uniform() for _ in range(3000)] == np.random.default_rng(7).random(3000).tolist()


# -------------------------------------------------------------------------------------------- least request


def share_of(policy: Policy, active: Sequence[int], whom: int, choices: int = 20_000) -> float:
    servers = [Backend(f"s{index}", index, 1.0, load) for index, load in enumerate(active)]
    return counts(started(policy, servers), servers, choices)[whom] / choices


def near(share: float, chance: float, choices: int = 20_000) -> bool:
    return abs(share - chance) <= STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / choices)


@pytest.mark.parametrize("servers", [2, 3, 10])
def test_a_dead_idle_server_meets_whoever_draws_it_once_of_two_draws(servers: int) -> None:
    active = [0] + [1] * (servers - 1)
    assert near(share_of(LeastRequest(), active, 0), 1 - (1 - 1 / servers) ** 2)  # 5/9 for three servers
    chance = 2 / servers
    assert near(share_of(LeastRequest(replacement=False), active, 0), chance)


@pytest.mark.parametrize("servers", [2, 3, 10])
def test_a_hung_server_gets_who_draws_it_twice(servers: int) -> None:
    active = [1000] + [1] * (servers - 1)
    assert near(share_of(LeastRequest(), active, 0), 1 / servers**2)  # 1/9 for three servers
    assert share_of(LeastRequest(replacement=False), active, 0) == 0


@pytest.mark.parametrize("choices", [1, 2, 3, 5])
@pytest.mark.parametrize("replacement", [True, False], ids=["again", "different"])
def test_the_least_loaded_of_the_drawn_is_chosen(choices: int, replacement: bool) -> None:
    # With loads 0 … n-1, all drawn are at least i with chance ((n - i) / n)^d, or C(n - i, d) / C(n, d).
    count = 5
    servers = named("abcde", active=range(count))
    observed = counts(started(LeastRequest(choices=choices, replacement=replacement), servers), servers, 20_000)
    if replacement:
        at_least = [((count - rank) / count) ** choices for rank in range(count + 1)]
    else:
        at_least = [math.comb(count - rank, choices) / math.comb(count, choices) for rank in range(count + 1)]
    assert fits(observed, [more - less for more, less in pairwise(at_least)])


@pytest.mark.parametrize("choices", [2, 4])
@pytest.mark.parametrize("replacement", [True, False], ids=["again", "different"])
def test_equally_loaded_servers_are_chosen_alike(choices: int, replacement: bool) -> None:
    servers = named("abcd")
    chooser = started(LeastRequest(choices=choices, replacement=replacement), servers)
    assert fits(counts(chooser, servers, 20_000), [0.25] * 4)
    assert fits(counts(chooser, servers, 20_000, avoid=servers[1]), [1 / 3, 0, 1 / 3, 1 / 3])


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
def test_while_weights_differ_load_slows_a_server_down(bias: float) -> None:
    # Envoy: pace = weight / (active + 1)^bias. The bound is that of turns by weight, see above.
    servers = named("abc", (1.0, 0.5, 1.0), (0, 1, 3))
    observed = counts(started(LeastRequest(bias=bias), servers), servers, 5000)
    pace = [server.weight / (server.active + 1) ** bias for server in servers]
    for count, own in zip(observed, pace, strict=True):
        part = own / sum(pace)
        # the first turn of each was set at its weight alone, so it may be one slow turn more or less off
        assert abs(count - 5000 * part) <= 2 + len(servers) * part + 1e-6


# ----------------------------------------------------------------------------------------- least connections


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (1.0, 0.5, 0.25, 0.1)], ids=str)
def test_least_connections_takes_the_smallest_key_and_of_these_the_longest_unused(weights: tuple[float, ...]) -> None:
    servers = named("abcd", weights)
    chooser, fate = started(LeastConnections(), servers), np.random.default_rng(5)
    used = {server.index: server.index - 100 for server in servers}
    ties = 0
    for step in range(4000):
        avoid = servers[int(fate.integers(4))] if fate.random() < 0.2 else None
        keys = {
            server.index: ((server.active + 1) / server.weight if server.active else 0.0, used[server.index])
            for server in servers
            if server is not avoid
        }
        least = min(keys, key=lambda index: keys[index])
        ties += sum(key == keys[least][0] for key, _ in keys.values()) > 1
        chosen = chooser.choose(step, avoid)
        assert chosen.index == least
        used[least] = step
        chosen.active += 1
        for server in servers:
            while server.active and fate.random() < 0.25:
                server.active -= 1
    assert ties > 100  # the story did ask who is longest unused


def test_an_idle_dead_server_draws_everything_from_busy_ones() -> None:
    servers = named("abc", active=(1, 0, 1))
    assert counts(started(LeastConnections(), servers), servers, 100) == [0, 100, 0]


def test_idle_servers_take_turns_under_least_connections() -> None:
    assert order(started(LeastConnections(), named("abc")), 7) == "abcabca"


# ---------------------------------------------------------------------------------------------------- first


def test_first_fills_one_server_before_the_next() -> None:
    servers = named("abc")
    chooser = started(First(limit=3), servers)
    seen = ""
    for key in range(11):
        chosen = chooser.choose(key)
        chosen.active += 1
        seen += chosen.name
    assert seen == "aaabbbcccab"  # when all are full, the one with the fewest
    servers[0].active = 2
    assert chooser.choose(0) is servers[0]
    assert chooser.choose(0, avoid=servers[0]) is servers[2]  # all others are full: c has 3, b has 4
