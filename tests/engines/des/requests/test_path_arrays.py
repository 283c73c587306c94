"""Requests that do not feed back are played as arrays; event by event, the same luck gives the very same log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.engines.des.requests import feed_forward

COLUMNS = ("arrived_s", "ended_s", "server", "outcome", "user", "write", "attempts", "load")
OVER = "100s"
NEVER = {"at": "1h", "lasting": "1s"}  # a fault that is scripted and does not come: all is played event by event


def service(replicas: int = 3, balancer: dict[str, Any] | None = None, **serving: Any) -> ha.Cluster:
    parts: dict[str, Any] = {"api": {"kind": "pool", "replicas": replicas, "serving": {"takes": "20ms", **serving}}}
    if balancer is not None:
        parts["lb"] = {"kind": "balancer", "to": "api", **balancer}
    return ha.Cluster(name="a service", parts=parts, services={"web": {"up": list(parts)}})


CASES = {
    "round robin": (service(balancer={}, slots=2), ha.Load(200)),
    "random, many clients, some writes": (
        service(balancer={"policy": "random"}, slots=2),
        ha.Load(200, writes=0.2, clients=ha.Clients(count=7)),
    ),
    "no balancer, lognormal": (
        service(takes={"lognormal": {"mean": "20ms", "median": "10ms"}}, slots=2),
        ha.Load(200, clients=ha.Clients(count=7)),
    ),
    "one server, the tide": (service(replicas=1, slots=8), ha.Load(ha.Daily(low=300, high=400))),
    "a client that gives up": (service(balancer={}), ha.Load(140, clients=ha.Clients(timeout="100ms"))),
    "a balancer that gives up": (service(balancer={"server_timeout": "60ms"}), ha.Load(140)),
    "a mixture": (
        service(
            balancer={}, takes={"mixture": [{"weight": 0.9, "law": "5ms"}, {"weight": 0.1, "law": {"fixed": "100ms"}}]}
        ),
        ha.Load(140, begins="10s", lasting="50s"),
    ),
    "a spike beyond what it can do": (
        service(balancer={}),
        ha.Load(ha.Spike(rate=100, to=300, at="40s", lasting="20s")),
    ),
    "a metronome": (service(balancer={"policy": "random"}), ha.Load(ha.Paced(rate=120))),
}


@pytest.mark.parametrize("case", CASES)
def test_arrays_and_events_give_the_same_log(case: str) -> None:
    cluster, load = CASES[case]
    arrays = ha.simulate(cluster.during(load), over=OVER, seed=11).requests
    events = ha.simulate(
        cluster.during(load, ha.Pause("api-1" if "api-1" in cluster.names() else "api", **NEVER)), over=OVER, seed=11
    ).requests
    assert arrays is not None and events is not None
    assert arrays.method == "arrays" and events.method == "events, since faults are scripted"
    assert len(arrays) == len(events) > 1000
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(arrays, column), getattr(events, column), rtol=0, atol=1e-9, err_msg=column)
    assert np.any(arrays.ended_s - arrays.arrived_s > 0.05), "somebody waited"


@pytest.mark.parametrize("case", ["round robin", "random, many clients, some writes", "no balancer, lognormal"])
def test_how_many_are_worked_out_at_once_changes_nothing(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, load = CASES[case]
    whole = ha.simulate(cluster.during(load), over=OVER, seed=11).requests
    monkeypatch.setattr(feed_forward, "CHUNK", 1000)  # blocks of some 4000 arrivals, five chunks
    pieces = ha.simulate(cluster.during(load), over=OVER, seed=11).requests
    assert whole is not None and pieces is not None and pieces.method == "arrays"
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(pieces, column), getattr(whole, column), err_msg=column)


def test_two_loads_are_put_together() -> None:
    parts = {
        "api": {"kind": "pool", "replicas": 2, "serving": {"takes": "20ms", "slots": 2}},
        "web": {"kind": "pool", "replicas": 1, "serving": {"takes": "5ms"}},
    }
    cluster = ha.Cluster(name="two", parts=parts, services={"s": {"up": ["api", "web"]}})
    one, other = (
        ha.Load(50, to="api", name="one"),
        ha.Load(20, to="web", name="other", clients=ha.Clients(retry=ha.Retry())),
    )
    both = ha.simulate(cluster.during(one, other), over=OVER, seed=5).requests
    alone = ha.simulate(cluster.during(one), over=OVER, seed=5).requests
    assert both is not None and alone is not None
    assert both.method == "one: arrays; other: events, since clients have a retry"
    mine = np.array([both.loads[place] == "one" for place in both.load])
    np.testing.assert_array_equal(both.ended_s[mine], alone.ended_s)
    names = np.array([*both.servers, ""])
    np.testing.assert_array_equal(names[both.server[mine]], np.array([*alone.servers, ""])[alone.server])
    assert set(names[both.server[~mine]]) <= {"web-1", ""}
    assert np.all(np.diff(both.arrived_s) >= 0)


@pytest.mark.parametrize(
    ("why", "cluster", "load"),
    [
        ("a closed loop waits for answers", service(), ha.Load(users=3)),
        ("clients have a hedge", service(), ha.Load(1, clients=ha.Clients(hedge=ha.Hedge(after="1s")))),
        ("clients keep to a server", service(), ha.Load(1, clients=ha.Clients(connections="sticky"))),
        ("the queue is not first come, first served", service(discipline="lifo"), ha.Load(1)),
        ("servers have in_flight_limit", service(in_flight_limit=9), ha.Load(1)),
        ("the balancer looks at what its servers do", service(balancer={"policy": "least_connections"}), ha.Load(1)),
        ("the balancer looks at what its servers do", service(balancer={"weights": {"api-1": 2.0}}), ha.Load(1)),
        ("the balancer tries again", service(balancer={"retry_on": ["5xx"]}), ha.Load(1)),
        ("servers may fail", service().replace("failures", {"api": {"mtbf": "30d", "mttr": "10s"}}), ha.Load(1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_feeds_back_is_played_event_by_event_and_said(why: str, cluster: ha.Cluster, load: ha.Load) -> None:
    log = ha.simulate(cluster.during(load), over="10s", seed=1).requests
    assert log is not None
    assert log.method == f"events, since {why}"
