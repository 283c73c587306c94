"""Faults and windows on whole parts reach the requests; faults that overlap add up and heal one by one."""

from __future__ import annotations

import numpy as np
import pytest
from path_scenes import assert_share, log_of, play, scene, within

import hasim as ha
from hasim.engines.des.requests.ledger import expected_requests
from hasim.results.outcomes import OUTCOMES

CALLERS = ha.Clients(timeout="1s")


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (ha.Crash("api", at="10s", lasting="10s"), {"503"}),
        (ha.Stop("api", at="10s", lasting="10s"), {"503"}),
        (ha.Crash("lb", at="10s", lasting="10s"), {"timeout"}),  # nobody holds the address
    ],
    ids=lambda value: type(value).__name__ + getattr(value, "target", "") if not isinstance(value, set) else "",
)
def test_a_fault_on_a_whole_part_is_one_on_its_requests(fault: ha.Crash, outcome: set[str]) -> None:
    run = play(scene(2, {"retries": 0}, slots=8), ha.Load(50, clients=CALLERS), fault, over="30s")
    log = run.requests
    assert log is not None
    during = within(log, 10.1, 18.9)
    names = np.array(OUTCOMES)[log.outcome]
    assert set(names[during]) == outcome
    assert set(names[within(log, 0, 9.9)]) == set(names[within(log, 20.5, 28)]) == {"ok"}


def test_planned_maintenance_of_a_part_is_seen_by_requests() -> None:
    window = ha.Maintenance(on=("api",), every="1m", lasting="10s", first="20s")
    planned = scene(2, {"retries": 0}).replace("maintenance", {"work": window})
    run = play(planned, ha.Load(50), over="50s")
    assert run.requests is not None
    assert run.downtime_s("api") == pytest.approx(10, abs=1e-9)
    log = run.requests
    assert not np.any(log.outcome[within(log, 20, 30)] == 0)
    assert np.all(log.outcome[within(log, 30, 49)] == 0)


def test_error_shares_that_overlap_add_up_independently_and_heal_one_by_one() -> None:
    half, fifth = (
        ha.ErrorAnswers("api", share="50%", at="20s", lasting="80s"),
        ha.ErrorAnswers("api", share="20%", at="60s", lasting="80s"),
    )
    log = log_of(scene(1, None, slots=50), ha.Load(100), half, fifth, over="160s")
    for low, high, share in ((0, 20, 0.0), (20, 60, 0.5), (60, 100, 1 - 0.5 * 0.8), (100, 140, 0.2), (140, 159, 0.0)):
        there = within(log, low + 0.001, high - 0.2)
        wrong = int(np.sum(log.outcome[there] == 1))
        if share:
            assert_share(wrong, int(np.sum(there)), share)
        else:
            assert wrong == 0


def test_what_is_being_served_when_errors_begin_is_not_spoilt() -> None:
    long_work = scene(1, None, slots=500, takes={"fixed": "5s"})
    log = log_of(long_work, ha.Load(20), ha.ErrorAnswers("api", at="10s", lasting="10s"), over="40s")
    assert np.all(log.outcome[within(log, 0, 9.99)] == 0)
    assert np.all(log.outcome[within(log, 10, 19.99)] == 1)
    assert np.all(log.outcome[within(log, 20, 34)] == 0)


def test_a_link_is_named_by_the_balancer_and_its_server() -> None:
    cut = ha.CutLink("lb", "api-1", at="10s", lasting="10s")
    model = scene(2, {"retries": 0, "connect_timeout": "500ms"})
    log = log_of(model, ha.Load(50, clients=CALLERS), cut, over="30s")
    during = within(log, 10, 19)
    assert_share(int(np.sum(log.outcome[during] == 4)), int(np.sum(during)), 0.5)  # 503 after the connect timeout
    assert np.all(log.outcome[within(log, 21, 29)] == 0)
    slow = log_of(model, ha.Load(20), ha.SlowLink("lb", "api-1", extra="100ms", at="10s", lasting="10s"), over="30s")
    waits = (slow.ended_s - slow.arrived_s)[within(slow, 10, 19)]
    assert_share(int(np.sum(waits > 0.2)), len(waits), 0.5)  # there and back


@pytest.mark.parametrize("target", ["lb", "lb-1"])
def test_a_balancer_does_not_pause(target: str) -> None:
    with pytest.raises(
        ha.CannotModel,
        match=r"lb (is a balancer, which is|as a whole is played: it is) up, down or cut off.*use ha.Crash",
    ):
        play(scene(2, {}), ha.Load(5), ha.Pause(target, at="1s", lasting="1s"), over="10s")


def test_who_is_told_to_wait_waits() -> None:
    retry = ha.Retry(attempts=2, backoff="none")
    full = scene(1, None, in_flight_limit=1, takes={"fixed": "100ms"}, retry_after="3s")
    arrivals = ha.Load(ha.Replay(times=[1.0, 1.05]), clients=ha.Clients(retry=retry))
    log = log_of(full, arrivals, over="10s")
    assert log.ended_s.tolist() == pytest.approx([1.1, 1.05 + 3 + 0.1])
    rude = ha.Load(
        ha.Replay(times=[1.0, 1.05]), clients=ha.Clients(retry=ha.Retry(**{**dict(retry), "honour_retry_after": False}))
    )
    again = log_of(full, rude, over="10s")
    assert again.outcome.tolist() == [0, 2]


def test_sticky_connections_fill_a_server_up_to_its_limit() -> None:
    model = scene(2, {"max_connections": 3, "policy": {"kind": "first", "limit": 100}})
    load = ha.Load(users=8, think="100ms", clients=ha.Clients(count=8, connections="sticky"))
    log = log_of(model, load, over="20s")
    served = {server: len(set(log.user[(log.server == server) & (log.outcome == 0)])) for server in (0, 1)}
    assert served == {0: 3, 1: 3}
    assert len(set(log.user[log.outcome == 4])) >= 2  # for the other two there is no place


def test_users_without_pause_are_counted_by_what_the_servers_can_do() -> None:
    model = scene(2, {}, takes={"fixed": "10ms"}, slots=3)
    for users, rate in ((1, 100.0), (4, 400.0), (50, 600.0)):
        log = log_of(model, ha.Load(users=users), over="20s")
        expected = expected_requests(ha.Load(users=users), 20.0, model.parts)
        assert expected == rate * 20
        assert 0.6 * expected <= len(log) <= expected + users
