"""Whatever happens to a request path, once all has healed nothing is left over: no work, no count, no lost request.

Clusters, clients and faults are drawn at random, by number; each request is to be in the log once, within the patience
of who asked, and every meter is to stand where it stood before anybody had asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import ended

import hasim as ha
from hasim.engines.des.requests.path import RequestPath

Luck = np.random.Generator
HOSTS = ["h1", "h2", "h3"]


def pick(luck: Luck, *choices: Any) -> Any:
    """One of them."""
    return choices[int(luck.integers(len(choices)))]


def some(luck: Luck, chance: float, **settings: Any) -> dict[str, Any]:
    """These settings, or none of them."""
    return settings if luck.random() < chance else {}


def serving(luck: Luck) -> dict[str, Any]:
    """How a server serves."""
    discipline = pick(luck, "fifo", "lifo", "sharing")
    queues = some(luck, 0.4, drop_expired=True) if discipline != "sharing" else {}
    limits = some(luck, 0.4, in_flight_limit=20)
    sheds = some(luck, 0.5, shedding_takes="2ms") if limits and discipline != "sharing" else {}
    return {
        "takes": pick(luck, "5ms", "40ms", {"fixed": "20ms"}),
        "slots": pick(luck, 1, 2, 10),
        "discipline": discipline,
        "grace": pick(luck, "1s", "5s"),
        "needs_timeout": "3s",
        "reads_from_cache": bool(luck.random() < 0.5),
        **queues,
        **limits,
        **sheds,
        **some(luck, 0.3, shutdown_delay="500ms"),
        **some(luck, 0.3, start_up="1s"),
        **some(luck, 0.2, warm_up={"factor": 3, "lasting": "3s"}),
        **some(luck, 0.4, liveness={"period": "1s", "timeout": "1s", "failures": 2}),
        **some(luck, 0.4, readiness={"period": "1s", "timeout": "500ms", "failures": 2}),
        **some(luck, 0.3, goaway_chance=0.01),
    }


def balancer(luck: Luck) -> dict[str, Any]:
    """How a balancer balances."""
    seen = pick(luck, {}, {"check": {"interval": "500ms", "timeout": "400ms"}}, {"view_delay": "700ms"})
    taken = pick(luck, {}, {"vrrp": {}}, {"failover": {"takes": "1s"}})
    return {
        "kind": "balancer",
        "to": "api",
        "policy": pick(luck, "round_robin", "random", "least_connections", "least_request", "consistent_hash"),
        "retries": pick(luck, 0, 1, 3),
        "redispatch": bool(luck.random() < 0.5),
        "closes_on_down": bool(luck.random() < 0.5),
        "connect_timeout": pick(luck, "100ms", "1s"),
        "server_timeout": pick(luck, "500ms", "3s"),
        "retry_on": pick(luck, [], ["reset"], ["reset", "timeout", "5xx"]),
        **seen,
        **taken,
        **some(luck, 0.3, ejection=pick(luck, "max_fails", "outlier_detection")),
        **some(luck, 0.3, panic=0.5),
        **some(luck, 0.4, max_connections=pick(luck, 1, 3), queue_timeout=pick(luck, "200ms", "2s")),
        **some(luck, 0.3, slow_start="2s"),
    }


def callers(luck: Luck, balanced: bool) -> ha.Clients:
    """Who calls, never for longer than their patience."""
    budget = some(luck, 0.6, budget=pick(luck, "token_bucket", "retry_ratio", "concurrent_retries"))
    backoff = pick(luck, "none", "full_jitter", "decorrelated_jitter")
    breaker = pick(luck, {"kind": "circuit_breaker", "open_for": "1s"}, "count_breaker")
    connections = pick(luck, "each", "kept", "sticky")
    named = some(luck, 0.6, dns={"ttl": pick(luck, "2s", None), "healthy_only": bool(luck.random() < 0.5)})
    named = {} if balanced else named
    free = not named and connections != "sticky"  # or a copy would go where the first one went
    return ha.Clients(
        count=pick(luck, 1, 5, 30),
        timeout=pick(luck, "300ms", "2s"),
        connections=connections,
        dead_after=pick(luck, "1s", "4s"),
        **some(luck, 0.4, deadline="4s"),
        **some(luck, 0.6, retry={"attempts": pick(luck, 2, 4), "backoff": backoff, **budget}),
        **some(luck, 0.3, breaker=breaker),
        **some(luck, 0.2, throttling={"window": "5s"}),
        **(some(luck, 0.5, hedge={"after": "50ms", "most": pick(luck, 1, 2)}) if free else {}),
        **named,
    )


def fault(luck: Luck, balanced: bool) -> Any:
    """Something that goes wrong for a while."""
    target = pick(luck, "api-1", "api-2", "api-3", *HOSTS)
    when: dict[str, Any] = {"at": f"{luck.uniform(1, 20):.6f}s", "lasting": f"{luck.uniform(0.2, 8):.6f}s"}
    kinds = [
        lambda: ha.Crash(target, **when),
        lambda: ha.Pause(target, **when),
        lambda: ha.SlowServer(target, factor=5, **when),
        lambda: ha.Unready(target, **when),
        lambda: ha.Stop(target, notice=pick(luck, "0s", "700ms"), graceful=bool(luck.random() < 0.5), **when),
        lambda: ha.Crash("db", **when),
    ]
    if balanced:
        kinds += [lambda: ha.Crash(pick(luck, "lb-1", "lb-2"), **when), lambda: ha.Partition(target, **when)]
    return pick(luck, *kinds)()


def left_over(path: RequestPath) -> list[str]:
    """What is still held somewhere in a request path that should be at rest."""
    found = []
    for replica in (replica for pool in path.pools.values() for replica in pool):
        if replica.in_flight or replica._blocked or replica._left or replica.exchanges():
            found.append(f"{replica.name} holds {replica.in_flight} requests")
        if not (replica.ready and replica.seen_ready) or replica.frozen or replica.contact or replica._slowed != 1.0:
            found.append(f"{replica.name} is not as it was")
    for front in path.fronts.values():
        if not front.alive or front._queue:
            found.append(f"{front.name} has {len(front._queue)} in its queue")
        for backend, connections in zip(front.backends, front.connections(), strict=True):
            if backend.active != connections:
                found.append(f"{backend.name} counts {backend.active}, with {connections} connections")
        for timers in (front._serving, front._connecting, front._turn_around, front._queueing):
            if timers.waiting():
                found.append(f"{front.name} waits for {len(timers.waiting())}")
    for client in (client for caller in path.callers for client in caller.clients):
        budget: Any = client.budget
        if getattr(budget, "retries", 0) or getattr(budget, "firsts", 0):
            found.append(f"a budget has {budget.retries} retries and {budget.firsts} others in flight")
    return found


def leave_nothing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play the scene with this number, let it heal, and look what is left."""
    luck = np.random.default_rng(number)
    balanced = bool(luck.random() < 0.75)
    needs = some(luck, 0.5, needs="db")
    parts: dict[str, Any] = {"db": {"kind": "unit"}}
    parts["api"] = {"kind": "pool", "replicas": 3, "on": HOSTS, "serving": serving(luck), **needs}
    parts.update({"lb": balancer(luck)} if balanced else {})
    to = "lb" if balanced else "api"
    cluster = ha.Cluster(name="any", topology={"hosts": HOSTS}, parts=parts, services={"web": {"up": [to]}})
    common: dict[str, Any] = {"to": to, "lasting": "25s", "writes": 0.3, "clients": callers(luck, balanced)}
    load = pick(luck, ha.Load(rate=80, **common), ha.Load(users=20, think="100ms", **common))
    faults = [fault(luck, balanced) for _ in range(pick(luck, 1, 3, 6))]
    paths: list[RequestPath] = []
    close = RequestPath.close

    def watched(path: RequestPath) -> None:
        paths.append(path)
        close(path)

    monkeypatch.setattr(RequestPath, "close", watched)
    log = ha.simulate(cluster.during(load, *faults), over="300s", seed=number).requests
    assert log is not None
    assert not left_over(paths[0])
    assert not ended(log, "unanswered").any()
    if load.clients.deadline is not None:
        assert np.max(log.ended_s - log.arrived_s, initial=0.0) <= load.clients.deadline + 1e-9
    if load.rate is not None:
        calm = ha.Load(rate=80, to=to, lasting="25s")
        same = ha.simulate(cluster.during(calm, faults[0]), over="30s", seed=number).requests
        assert same is not None
        assert np.array_equal(log.arrived_s, same.arrived_s)  # each request once, whatever happened


@pytest.mark.parametrize("number", range(40))
def test_when_all_has_healed_nothing_is_left(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_nothing(number, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(1, 5))
def test_when_all_has_healed_nothing_is_left_of_hundreds(hundred: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100 * hundred, 100 * hundred + 100):
        with monkeypatch.context() as patch:
            leave_nothing(number, patch)
