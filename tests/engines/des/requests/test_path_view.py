"""What a balancer thinks of its servers, and what it may try again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import assert_share, ended, facts, log_of, play, scene, within

import hasim as ha

CALLERS = ha.Clients(timeout="1s")


def test_a_full_queue_before_a_server_that_refuses_is_told_so_without_end() -> None:
    # Thousands wait, and each that is let go finds the dead server refusing: one after another, not one in another.
    balancer = {"max_connections": 4, "queue_timeout": "60s", "retries": 0}
    model = scene(2, balancer, takes="200ms", slots=4)
    log = log_of(model, ha.Load(600), ha.Crash("api-1", at="10s", lasting="5s"), over="20s")
    assert int(ended(log, "503").sum()) > 2000
    assert ended(log, "ok").sum() > 0


def test_shedding_takes_nobody_out() -> None:
    # One of two servers sheds most of what it gets: a plea to slow down is no failure.
    ejection = {"kind": "outlier_detection", "max_ejection": "100%"}
    model = scene(2, {"ejection": ejection}, takes="100ms", slots=1, in_flight_limit=1)
    run = play(model, ha.Load(100), over="30s")
    assert run.requests is not None and ended(run.requests, "429").sum() > 1000
    assert not facts(run, "server ejected")
    errors = play(model, ha.Load(5), ha.ErrorAnswers("api-1", at="5s", lasting="20s"), over="30s")
    assert facts(errors, "server ejected"), "errors do"


def test_with_a_panic_threshold_full_servers_that_are_down_are_queued_for() -> None:
    balancer = {"panic": "100%", "max_connections": 1, "queue_timeout": "10s", "check": {"interval": "100ms"}}
    model = scene(2, balancer, takes={"fixed": "10ms"})
    log = log_of(model, ha.Load(150), ha.Unready("api", at="1s", lasting="20s"), over="15s")
    assert not ended(log, "503").any()
    assert ended(log, "ok")[within(log, 2, 14.9)].all()


def test_a_slow_start_that_is_broken_off_begins_anew_and_never_jumps() -> None:
    # The weight rises from 1/20 to 1 in 20 s; the server is gone for a moment 6 s later and begins at 1/20 again.
    balancer = {"slow_start": "20s", "view_delay": "0s", "retries": 3, "redispatch": True}
    model = scene(2, balancer, takes={"fixed": "1ms"}, slots=100)
    falls = [ha.Crash("api-1", at=at, lasting="200ms") for at in ("10s", "16s")]
    log = log_of(model, ha.Load(1000), *falls, over="50s")
    for low, high in ((11.0, 12.0), (15.0, 16.0), (16.3, 17.1), (17.3, 18.1), (20.2, 21.2), (31.3, 32.1), (37.0, 49.0)):
        back = 16.2 if low > 16.2 else 10.2
        middle = (low + high) / 2
        steps = np.arange(low, high, 0.001)
        weights = np.minimum(20, np.floor(steps - back) + 1) / 20
        share = float(np.mean(weights / (weights + 1)))
        there = within(log, low, high)
        mine = int(np.sum(log.server[there] == 0))
        # Turns by weight are dealt out evenly, so the count is off by a turn or two at each change, not by chance.
        assert abs(mine - share * int(there.sum())) <= 4, f"around {middle} s: {mine} of {there.sum()}, not {share:.3f}"


@pytest.mark.parametrize(("redispatch", "wrong"), [(False, 1.0), (True, 0.0)])
def test_errors_are_tried_again_on_the_same_server_or_another_as_redispatch_says(
    redispatch: bool, wrong: float
) -> None:
    balancer = {"retry_on": ["5xx"], "retries": 1, "redispatch": redispatch}
    log = log_of(scene(2, balancer), ha.Load(100), ha.ErrorAnswers("api-1", at="5s", lasting="20s"), over="30s")
    there = within(log, 5.1, 24.9)
    if wrong:
        assert_share(int(ended(log, "500")[there].sum()), int(there.sum()), 0.5)
    else:
        assert not ended(log, "500")[there].any()


def test_a_write_that_failed_is_not_repeated_by_the_balancer() -> None:
    balancer = {"retry_on": ["5xx", "reset", "timeout"], "retries": 1, "redispatch": True}
    fault = ha.ErrorAnswers("api-1", at="0s", lasting="1m")
    log = log_of(scene(2, balancer), ha.Load(100, writes=0.5), fault, over="40s")
    assert not ended(log, "500")[~log.write].any()
    writes = log.write & ~ended(log, "unanswered")
    # The wheel turns once more for each read that is tried again; half of all first attempts meet the bad server.
    bad = int(ended(log, "500")[writes].sum())
    assert bad > 0.25 * writes.sum()


def test_a_drained_server_finishes_what_it_has_and_gets_nothing_new() -> None:
    model = scene(2, {"check": {"interval": "100ms"}}, takes={"fixed": "2s"}, slots=1000)
    drain = ha.Drain("api-1", at="10s", lasting="10s")
    log = log_of(model, ha.Load(50), drain, over="30s")
    assert ended(log, "ok")[within(log, 0, 27.9)].all()
    servers = log.server[within(log, 10.001, 19.999)]
    assert set(servers.tolist()) == {1}
    assert (log.server[within(log, 8, 9.99)] == 0).any()
    assert_share(int(np.sum(log.server[within(log, 20.001, 27.9)] == 0)), int(within(log, 20.001, 27.9).sum()), 0.5)


def test_two_operators_who_drain_one_server_must_both_let_it_in() -> None:
    drains = [ha.Drain("api-1", at="5s", lasting="10s"), ha.Drain("api", at="10s", lasting="10s")]
    run = play(scene(2, {}), ha.Load(50, clients=CALLERS), *drains, over="30s")
    log = run.requests
    assert log is not None
    assert ended(log, "503")[within(log, 10.001, 14.999)].all()
    assert ended(log, "503")[within(log, 15.001, 19.999)].all()
    assert ended(log, "ok")[within(log, 20.1, 29)].all()
    assert [fact.at for fact in facts(run, "server let in")] == [20.0, 20.0]


@pytest.mark.parametrize("field", ["common_cause", "whole"])
def test_what_takes_a_part_down_as_a_whole_takes_its_requests(field: str) -> None:
    failure: dict[str, Any] = {"mtbf": {"fixed": "20s"}, "mttr": {"fixed": "10s"}}
    failure |= {"common_cause": 0.999} if field == "common_cause" else {"scope": "whole"}
    model = scene(2, {"retries": 0}).replace("failures", {"api": failure})
    run = ha.simulate(model.during(ha.Load(50, clients=CALLERS)), over="2m", seed=1)
    log = run.requests
    assert log is not None
    down = run.down("api")
    assert len(down) == 4
    for start, end in down:
        assert not ended(log, "ok")[within(log, start + 1e-6, end - 1e-6)].any()
    up = np.ones(len(log), dtype=bool)
    for start, end in down:
        up &= ~within(log, start - 0.2, end)
    assert (ended(log, "ok") | ended(log, "unanswered"))[up].all()


def test_arrays_are_not_used_where_checks_begin_with_servers_down() -> None:
    slow = scene(2, {"check": {"initial": "fully-down", "interval": "5s"}})
    log = ha.simulate(slow.during(ha.Load(50)), over="20s", seed=1).requests
    assert log is not None
    assert log.method == "events, since the balancer's checks begin with servers down"
    assert ended(log, "503")[within(log, 0, 5)].all()  # two good checks, five seconds apart
    assert ended(log, "ok")[within(log, 10.1, 19)].all()


def test_of_two_who_lose_patience_at_one_moment_the_client_is_heard() -> None:
    even = scene(1, {"server_timeout": "100ms"}, takes={"fixed": "300ms"}, slots=100)
    load = ha.Load(ha.Paced(rate=10), clients=ha.Clients(timeout="100ms"))
    arrays = ha.simulate(even.during(load), over="10s", seed=1).requests
    assert arrays is not None and arrays.method == "arrays"
    events = log_of(even, load, over="10s")
    np.testing.assert_array_equal(arrays.outcome, events.outcome)


def test_kills_by_liveness_probes_are_in_the_figures_of_time() -> None:
    parts = {
        "etcd": {"kind": "unit"},
        "api": {
            "kind": "pool",
            "replicas": 2,
            "needs": "etcd",
            "serving": {"takes": "10ms", "liveness": {"period": "1s", "failures": 2}},
        },
    }
    model = ha.Cluster(name="killed", parts=parts, services={"web": {"up": ["api"]}})
    run = ha.simulate(model.during(ha.Load(10), ha.Crash("etcd", at="5s", lasting="1m")), over="3m", seed=1)
    kills = len(facts(run, "liveness kill"))
    assert kills >= 4
    waits = sum(fact.detail["waits"] for fact in facts(run, "back-off"))
    assert sum(run.downtime_s(f"api-{i}") for i in (1, 2)) == pytest.approx(waits)
