"""Connections that stay where they are: who is on which server after a rolling restart, and when dead ones are left.

Source of the shares: each server in turn goes down and comes back empty; its connections go to the two others, half and
half, or all to the emptier one. So (1/3, 1/3, 1/3) becomes (0, 1/2, 1/2), (1/4, 0, 3/4), (5/8, 3/8, 0); with the
fewest connections first (0, 1/2, 1/2), (1/2, 0, 1/2), (1/2, 1/2, 0).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from path_scenes import assert_share, ended, log_of, scene, within

import hasim as ha
from hasim.results.request_log import RequestLog

STICKY = {"connections": "sticky"}
CHECK = {"interval": "500ms"}


def first_servers(log: RequestLog, since: float, clients: int) -> dict[int, int]:
    """The server of each client's first request that was answered well from a time on."""
    found: dict[int, int] = {}
    fine = ended(log, "ok") & (log.arrived_s >= since)
    for user, server in zip(log.user[fine].tolist(), log.server[fine].tolist(), strict=True):
        found.setdefault(user, server)
    assert len(found) == clients, "not every client has asked since"
    return found


def counts_of(servers: dict[int, int], of: int) -> list[int]:
    return [sum(server == index for server in servers.values()) for index in range(of)]


def after_rolling_restart(policy: str | None, clients: int, seed: int, **serving: Any) -> list[int]:
    """Connections of each server once all three were restarted in turn."""
    balanced = policy is not None
    lb = None if not balanced else {"policy": policy, "check": CHECK}
    # With no balancer, a client finds out at its next request, so a server is away until everybody has asked.
    rate, away = (1, 1) if balanced else (4, 5)
    retry = None if balanced else ha.Retry(attempts=30, backoff="none", on=["refused"])
    load = ha.Load(rate=rate * clients, clients=ha.Clients(count=clients, timeout="1s", retry=retry, **STICKY))
    stops = [ha.Stop(f"api-{i}", at=f"{10 * i}s", notice="2s", lasting=f"{away}s") for i in (1, 2, 3)]
    log = log_of(scene(3, lb, takes="1ms", slots=100, **serving), load, *stops, over="50s", seed=seed)
    assert np.all(ended(log, "ok") | ended(log, "unanswered")), "a graceful restart fails no request"
    return counts_of(first_servers(log, 39.0, clients), 3)


@pytest.mark.parametrize("policy", ["random", None])
def test_a_rolling_restart_leaves_the_shares_of_a_coin(policy: str | None) -> None:
    clients = 800
    counts = after_rolling_restart(policy, clients, seed=1)
    assert_share(counts[0], clients, 5 / 8)
    assert_share(counts[1], clients, 3 / 8)
    assert counts[2] == 0


def test_a_rolling_restart_in_turns_leaves_the_same_shares_without_the_luck() -> None:
    counts = after_rolling_restart("round_robin", 800, seed=2)
    # Each of the seven hand-overs of connections is even to within one; requests under way move no wheel.
    assert abs(counts[0] - 500) <= 7
    assert abs(counts[1] - 300) <= 7
    assert counts[2] == 0


def test_least_connections_share_a_rolling_restart_between_the_other_two() -> None:
    counts = after_rolling_restart("least_connections", 800, seed=3)
    # Requests weigh, too: some two of them are under way at any time (800/s for a millisecond each).
    assert abs(counts[0] - 400) <= 8
    assert abs(counts[1] - 400) <= 8
    assert counts[2] == 0


@pytest.mark.parametrize("balanced", [True, False])
def test_connections_that_are_asked_to_go_even_out_with_time_constant_one_over_gr(balanced: bool) -> None:
    clients, rate, chance = 900, 4.0, 0.02
    lb = {"policy": "random", "redispatch": True} if balanced else None
    cluster = scene(3, lb, takes="1ms", slots=100, goaway_chance=chance)
    load = ha.Load(rate=rate * clients, clients=ha.Clients(count=clients, **STICKY))
    # Server 3 is away while everybody opens a connection, and comes back empty.
    log = log_of(cluster, load, ha.Crash("api-3", at="1ms", lasting="4s"), over="24s", seed=4)
    assert counts_of(first_servers(log, 3.9 - 1.0, clients), 3)[2] == 0
    for later in (6.0, 14.0):
        counts = counts_of(first_servers(log, 4.0 + later, clients), 3)
        assert_share(counts[2], clients, (1 - math.exp(-chance * rate * later)) / 3)


def cut_off(balanced: bool, servers: int = 3) -> ha.Cluster:
    """Servers on hosts of their own."""
    lb = {"lb": {"kind": "balancer", "to": "api", "policy": "round_robin", "check": CHECK, "server_timeout": "10m"}}
    hosts = ["h1", "h2", "h3"]
    serving = {"takes": "1ms", "slots": 9}
    return ha.Cluster(
        name="cut",
        topology={"hosts": hosts},
        parts={
            "api": {"kind": "pool", "replicas": servers, "on": hosts[:servers], "serving": serving},
            **(lb if balanced else {}),
        },
        services={"web": {"up": ["lb" if balanced else "api"]}},
    )


SILENCES = {
    "pause": ha.Pause("api-1", at="10s", lasting="290s"),
    "power": ha.Crash("h1", at="10s", lasting="290s"),
    "partition": ha.Partition("api-1", at="10s", lasting="290s"),
}


def outages(log: RequestLog, users: int) -> list[float]:
    """From the first failure of each user who had one to the next request that was answered."""
    found = []
    for user in range(users):
        mine = log.user == user
        bad = log.arrived_s[mine & ~ended(log, "ok") & ~ended(log, "unanswered")]
        if len(bad):
            good = log.ended_s[mine & ended(log, "ok")]
            found.append(float(good[good > bad[0]][0] - bad[0]))
    return found


@pytest.mark.parametrize("silence", ["pause", "power", "partition"])
def test_a_balanced_connection_without_answers_is_given_up_after_45_seconds(silence: str) -> None:
    users = 60
    clients = ha.Clients(count=users, timeout="2s", **STICKY)
    load = ha.Load(users=users, think={"fixed": "500ms"}, clients=clients)
    found = outages(log_of(cut_off(True), load, SILENCES[silence], over="100s"), users)
    assert len(found) == users / 3
    # A request every 2.5 s; the first one that is due after 45 s without an answer opens a new connection.
    assert all(45.0 < outage <= 45.0 + 2.6 for outage in found)


def test_a_new_connection_is_not_opened_across_a_cut() -> None:
    users = 60
    balancer = {"policy": "round_robin", "connect_timeout": "100ms", "redispatch": True}
    cluster = scene(3, balancer, takes="1ms", slots=9)
    load = ha.Load(users=users, think={"fixed": "500ms"}, clients=ha.Clients(count=users, timeout="2s", **STICKY))
    found = outages(log_of(cluster, load, SILENCES["partition"], over="120s"), users)
    assert len(found) == users / 3
    # Who tries the cut server first pays the connect timeout of 0.1 s before another one answers.
    assert all(45.0 < outage <= 45.0 + 2.6 + 0.1 for outage in found)
    assert any(outage > 47.59 for outage in found) and any(outage < 47.51 for outage in found)


def test_a_connection_with_no_balancer_may_lead_to_the_dead_server_again() -> None:
    users = 90
    clients = ha.Clients(count=users, timeout="2s", **STICKY)
    load = ha.Load(users=users, think={"fixed": "500ms"}, clients=clients)
    found = outages(log_of(cut_off(False), load, SILENCES["power"], over="290s"), users)
    assert_share(len(found), users, 1 / 3)
    rounds = [int(outage // 45) for outage in found]
    assert all(45.0 * n < outage <= 47.6 * n for n, outage in zip(rounds, found, strict=True))
    assert_share(sum(n == 1 for n in rounds), len(rounds), 2 / 3)


@pytest.mark.parametrize("balanced", [True, False])
def test_who_waits_without_a_limit_is_freed_when_the_connection_is_given_up(balanced: bool) -> None:
    users = 60
    load = ha.Load(users=users, think={"fixed": "500ms"}, clients=ha.Clients(count=users, **STICKY))
    log = log_of(cut_off(balanced), load, SILENCES["power"], over="100s")
    reset = ended(log, "reset")
    assert reset.sum() >= users / 3 * (1 if balanced else 0.3)
    assert np.allclose((log.ended_s - log.arrived_s)[reset], 45.0, rtol=0, atol=1e-6)


def test_all_that_waits_on_a_dead_connection_ends_together() -> None:
    load = ha.Load(rate=ha.Paced(rate=1), clients=ha.Clients(**STICKY))
    log = log_of(cut_off(False, servers=1), load, ha.Crash("h1", at="9.5s", lasting="290s"), over="60s")
    first = ended(log, "reset") & (log.arrived_s < 55.0)
    assert np.allclose(log.ended_s[first], 55.0, rtol=0, atol=1e-6)
    assert first.sum() == 45  # those of 10, 11, …, 54 s


@pytest.mark.parametrize("balanced", [True, False])
def test_a_slow_server_keeps_its_connections(balanced: bool) -> None:
    clients = ha.Clients(count=30, timeout="1s", **STICKY)
    load = ha.Load(rate=30, clients=clients)
    log = log_of(cut_off(balanced), load, ha.SlowServer("api-1", factor=1e6, at="10s", lasting="80s"), over="120s")
    before = set(log.user[within(log, 0.0, 9.0) & (log.server == 0)].tolist())
    for span in ((20.0, 40.0), (100.0, 118.0)):  # before and after anybody would have given up
        assert set(log.user[within(log, *span) & ended(log, "timeout")].tolist()) == before
