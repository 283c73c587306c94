"""Requests in the world they share with quorums, hosts and networks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from path_scenes import assert_share, ended, facts, latencies, log_of, play, scene, within

import hasim as ha
from hasim.engines.des.requests.replica import Replica

CALLERS = ha.Clients(timeout="1s")
STICKY = ha.Clients(count=5, connections="sticky")


def stacked() -> ha.Cluster:
    """Three API servers, each with its etcd member beside it, whom everybody asks directly."""
    hosts = ["h1", "h2", "h3"]
    parts = {
        "etcd": {"kind": "quorum", "members": 3, "on": hosts, "raft": {}},
        "api": {
            "kind": "pool",
            "replicas": 3,
            "on": hosts,
            "needs": {"etcd": "local"},
            "serving": {"takes": {"fixed": "5ms"}, "slots": 9999, "reads_from_cache": True},
        },
    }
    return ha.Cluster(name="stacked", topology={"hosts": hosts}, parts=parts, services={"api": {"up": ["api", "etcd"]}})


LOAD = ha.Load(ha.Paced(rate=100), writes=0.5, clients=CALLERS)


def hosted(lb: dict[str, Any]) -> ha.Cluster:
    plain = scene(2, lb, takes={"fixed": "5ms"}, slots=99)
    return plain.replace("topology", {"hosts": ["h1", "h2"]}).replace("api.on", ["h1", "h2"])


@pytest.mark.parametrize(
    "fault",
    [
        ha.Pause("etcd-1", at="10s", lasting="10s"),
        ha.Partition("etcd-1", at="10s", lasting="10s"),
        ha.Crash("etcd-1", at="10s", lasting="10s"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_writes_hang_where_the_member_beside_the_server_cannot_serve(fault: ha.Pause) -> None:
    # Whoever of the others leads: an election takes two seconds at most, and the third server's writes hang all along.
    log = log_of(stacked(), LOAD, fault, over="30s", seed=3)
    there = within(log, 13, 18.9)
    hung = ended(log, "timeout")[there]
    assert 0.1 < hung.mean() < 0.24, "a third of a half"
    assert log.write[there][hung].all()
    assert ended(log, "ok")[there & ~log.write].all()
    assert ended(log, "ok")[within(log, 0, 8.9)].all()
    # A member that was away or cut off has the leader back within seconds of its return.
    assert ended(log, "ok")[within(log, 26, 28.9)].all()


@pytest.mark.parametrize("lasting", [0.2, 0.8])
def test_a_leader_that_pauses_for_less_than_an_election_leads_on(lasting: float) -> None:
    for leader in ("etcd-1", "etcd-2", "etcd-3"):
        run = ha.simulate(stacked().during(ha.Pause(leader, at="10s", lasting=f"{lasting}s")), over="1m", seed=0)
        assert run.downtime_s("etcd") <= lasting + 1e-9
    everybody = ha.simulate(stacked().during(ha.Pause("etcd", at="10s", lasting=f"{lasting}s")), over="1m", seed=0)
    assert everybody.downtime_s("etcd") == pytest.approx(lasting, abs=1e-9)


def test_a_disk_fault_on_a_shared_host_is_for_the_member_and_a_slow_server_is_for_the_server() -> None:
    disk = ha.SlowDisk("h1", extra="50ms", at="5s", lasting="5s")
    slow = ha.SlowServer("h1", factor=100, at="15s", lasting="5s")
    log = log_of(stacked(), LOAD, disk, slow, over="30s", seed=3)
    assert (latencies(log)[within(log, 15, 19.9)] > 0.4).any()
    assert np.all(latencies(log)[within(log, 0, 14.9)] < 0.4)


def test_a_server_whose_power_is_cut_is_silent_and_one_that_crashes_is_not() -> None:
    dark = log_of(scene(1), ha.Load(50, clients=CALLERS), ha.PowerLoss("api-1", at="5s", lasting="5s"), over="20s")
    assert ended(dark, "timeout")[within(dark, 5.01, 8.9)].all()
    assert not ended(dark, "refused").any()
    dead = log_of(scene(1), ha.Load(50, clients=CALLERS), ha.Crash("api-1", at="5s", lasting="5s"), over="20s")
    assert ended(dead, "refused")[within(dead, 5.01, 9.9)].all()


def test_a_graceful_stop_of_a_host_stops_its_servers_gracefully() -> None:
    model = hosted({"retries": 3, "redispatch": True})
    log = log_of(model, ha.Load(50), ha.Stop("h1", at="5s", lasting="5s"), over="20s")
    assert (ended(log, "ok") | ended(log, "unanswered")).all()


def test_who_knocks_at_a_dark_host_is_let_in_when_it_is_back() -> None:
    # SYN at 5.5 s, again after 1, 3 and 7 s; the host is back after 2.
    alone = hosted({}).replace("api.replicas", 1)
    for to in ("api", "lb"):
        load = ha.Load(ha.Replay(times=[5.5]), to=to)
        log = log_of(alone, load, ha.Crash("h1", at="5s", lasting="2s"), over="20s")
        assert log.to_frame().outcome.tolist() == ["ok"]
        assert latencies(log).tolist() == pytest.approx([3.005])


def test_a_connect_timeout_is_not_prolonged_by_knocking() -> None:
    alone = hosted({"retries": 0, "connect_timeout": "5s"}).replace("api.replicas", 1)
    log = log_of(alone, ha.Load(ha.Replay(times=[5.5]), to="lb"), ha.Crash("h1", at="5s", lasting="20s"), over="30s")
    assert log.to_frame().outcome.tolist() == ["503"]
    assert latencies(log).tolist() == pytest.approx([5.0])


def test_a_sticky_connection_costs_what_any_connection_costs() -> None:
    balancer = {"connect_timeout": "5s", "retries": 1, "redispatch": True}
    one = hosted(balancer).replace("api.replicas", 1)
    for clients in (STICKY, ha.Clients(count=5)):
        load = ha.Load(ha.Paced(rate=1), to="lb", clients=clients)
        log = log_of(one, load, ha.Crash("h1", at="0s", lasting="1h"), over="30s")
        done = ended(log, "503")
        assert done.sum() >= 15
        assert np.allclose(latencies(log)[done], 10.0)
    two = log_of(
        hosted(balancer),
        ha.Load(ha.Paced(rate=5), to="lb", clients=STICKY),
        ha.Crash("h1", at="0s", lasting="1h"),
        over="30s",
    )
    waits = latencies(two)[ended(two, "ok")]
    assert set(np.round(waits, 3).tolist()) == {0.005, 5.005}, "the first try of some goes to the dark one"


def test_what_a_server_drops_since_nobody_waits_for_it_is_held_against_nobody() -> None:
    # A hedge after 5 ms leaves many copies to be dropped.
    serving = {"slots": 1, "takes": "20ms", "drop_expired": True}
    hedging = ha.Clients(hedge=ha.Hedge(after="5ms"), breaker=ha.CircuitBreaker(failing=0.2))
    log = log_of(scene(4, None, **serving), ha.Load(120, clients=hedging), over="60s")
    assert not ended(log, "not sent").any()
    watched = scene(4, {"ejection": ha.MaxFails(fail_timeout="10s")}, **serving)
    run = play(watched, ha.Load(100, clients=ha.Clients(timeout="60ms")), over="60s")
    assert not facts(run, "server ejected")


def test_who_waits_for_room_hears_of_a_server_that_comes_back_by_a_good_answer() -> None:
    ejection = ha.MaxFails(fail_timeout="2s", whole_seconds=False, on=("5xx",))
    model = scene(
        2, {"max_connections": 1, "queue_timeout": "60s", "ejection": ejection}, takes={"fixed": "50ms"}, slots=1
    )
    log = log_of(
        model,
        ha.Load(ha.Replay(times=[0.001, 0.1, 0.2, 0.3, 0.4])),
        ha.ErrorAnswers("api-1", at="0s", lasting="1s"),
        ha.SlowServer("api-2", factor=100, at="0s", lasting="15s"),
        over="30s",
    )
    assert log.ended_s[2:].tolist() == pytest.approx([2.101, 2.151, 2.201], abs=2e-3)


def test_a_steady_start_with_nothing_that_fails_begins_at_once() -> None:
    model = scene(2, {"failover": {"takes": "3s"}})
    log = ha.simulate(model.during(ha.Load(10)), over="20s", seed=1, start="steady").requests
    assert log is not None and not ended(log, "timeout").any()


def test_ctrl_c_while_arrays_are_worked_out_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from hasim.engines.des.requests import feed_forward

    monkeypatch.setattr(feed_forward, "CHUNK", 1000)
    heard: list[float] = []

    def stop(at: float, length: float) -> None:
        if 0 < at < length:
            heard.append(at)
            if len(heard) == 3:
                raise KeyboardInterrupt

    model = scene(2, {}, slots=10)
    run = ha.simulate(model.during(ha.Load(500)), over="200s", seed=1, progress=stop)
    whole = ha.simulate(model.during(ha.Load(500)), over="200s", seed=1).requests
    assert run.requests is not None and whole is not None
    assert 1000 <= len(run.requests) < len(whole)
    assert run.requests.end_s == run.requests.arrived_s[-1]
    expected = np.minimum(whole.ended_s[: len(run.requests)], run.requests.end_s)
    np.testing.assert_array_equal(run.requests.ended_s, expected)
    np.testing.assert_array_equal(ended(run.requests, "unanswered"), run.requests.ended_s == run.requests.end_s)
    assert any("load was worked out up to" in warning for warning in run.warnings)


def test_the_module_is_the_command_line() -> None:
    said = subprocess.run([sys.executable, "-m", "hasim", "models"], capture_output=True, text=True, check=True).stdout
    assert "retry-storm" in said


def test_who_comes_while_an_address_moves_asks_again_and_is_served() -> None:
    # Nobody holds the address from 5.005 to 8.005 s; connections are asked for after 1, 3 and 7 s.
    lb = {"replicas": 2, "failover": {"takes": {"fixed": "3s"}}}
    model = scene(1, lb, takes={"fixed": "5ms"}, slots=99)
    for clients in (ha.Clients(), ha.Clients(count=9, connections="sticky")):
        load = ha.Load(ha.Paced(rate=50), clients=clients)
        log = log_of(model, load, ha.Crash("lb-1", at="5.005s", lasting="1d"), over="30s")
        assert not ended(log, "timeout").any()
        there = within(log, 5.01, 8.0)
        assert ended(log, "ok")[there].all()
        knocks = np.where(log.arrived_s[there] > 7.005, 1.0, 3.0)
        assert np.allclose(latencies(log)[there], knocks + 0.005)


def test_an_answer_that_is_lost_is_sent_again() -> None:
    # The way back is cut from 5 to 5.5 s: what is answered then goes out again after 0.2, 0.6 and 1.4 s.
    model = scene(1, {"check": None, "server_timeout": "10s"}, takes={"fixed": "5ms"}, slots=99)
    cut = ha.OneWay("api-1", "lb", at="5.001s", lasting="500ms")
    log = log_of(model, ha.Load(ha.Paced(rate=50)), cut, over="20s")
    assert (ended(log, "ok") | ended(log, "unanswered")).all()
    answered = log.arrived_s + 0.005
    apart = (log.arrived_s >= 5.001) & (log.arrived_s < 5.501)  # no connection without an answer: asked for again
    lost = ~apart & (answered >= 5.001) & (answered < 5.501)
    waits = latencies(log) - 0.005
    assert lost.sum() == 1 and np.allclose(waits[lost], 0.6)
    assert apart.sum() == 25 and np.allclose(waits[apart], 1.0)
    assert np.allclose(waits[~lost & ~apart & ended(log, "ok")], 0.0)


def test_a_percent_of_loss_costs_waiting_and_no_request() -> None:
    model = scene(1, {"server_timeout": "30s", "connect_timeout": "30s"}, takes={"fixed": "5ms"}, slots=999)
    log = log_of(model, ha.Load(500), ha.Loss("lb", "api-1", share="1%", at="0s", lasting="1m"), over="40s")
    done = ~ended(log, "unanswered")
    assert ended(log, "ok")[done].all()
    waits = latencies(log)[done] - 0.005
    # Each way is lost once in a hundred: the way out is asked for again after a second, the way back after 0.2 s.
    assert_share(int(np.sum(waits > 0.999)), int(done.sum()), 0.01)
    assert_share(int(np.sum((waits > 0.19) & (waits < 0.9))), int(done.sum()), 0.0099)


def test_where_nothing_comes_back_there_is_no_connection_and_no_reset() -> None:
    balancer = {"redispatch": True, "connect_timeout": "1s", "server_timeout": "30s"}
    model = scene(2, balancer, takes={"fixed": "10ms"}, slots=99)
    one_way = log_of(model, ha.Load(20, lasting="40s"), ha.OneWay("api-1", "lb", at="10s", lasting="20s"), over="60s")
    assert ended(one_way, "ok").all(), "the other server answers after the connect timeout"
    slow = scene(2, {"server_timeout": "30s"}, takes={"fixed": "10s"}, slots=99)
    cut = ha.Partition("api-1", at="6s", lasting="40s")
    load = ha.Load(ha.Replay(times=[5.0, 5.1]))
    log = log_of(slow, load, cut, ha.Crash("api-1", at="8s", lasting="5s"), over="60s")
    assert log.to_frame().outcome.tolist() == ["504", "ok"]
    assert latencies(log).tolist() == pytest.approx([30.0, 10.0])


def test_a_death_behind_a_cut_is_found_by_the_timeout_of_checks() -> None:
    balancer = {"check": {"interval": "1s", "timeout": "5s"}, "redispatch": True, "connect_timeout": "1s"}
    cut = ha.OneWay("api-1", "lb", at="9.9s", lasting="40s")
    run = play(scene(2, balancer), ha.Load(5), cut, ha.Crash("api-1", at="10s", lasting="20s"), over="45s")
    (down,) = facts(run, "server down")
    # The first check after 9.9 s begins within a second; three of them time out, with a wait between them.
    assert 26.9 <= down.at <= 27.9 and down.detail["why"] == "timeout"


def test_a_request_on_a_slow_link_meets_the_death_of_its_server() -> None:
    model = scene(1, {"server_timeout": "30s"}, takes={"fixed": "10ms"})
    slow = ha.SlowLink("lb", "api-1", extra="500ms", at="1s", lasting="40s")
    log = log_of(model, ha.Load(ha.Replay(times=[5.0])), slow, ha.Crash("api-1", at="5.2s", lasting="1s"), over="40s")
    assert log.to_frame().outcome.tolist() == ["reset"]
    assert latencies(log)[0] < 1.1


@pytest.mark.parametrize(
    ("faults", "silent"),
    [
        ([("Crash", 10, 30), ("PowerLoss", 15, 20)], {12: False, 17: True, 25: False}),
        ([("Crash", 10, 15), ("PowerLoss", 12, 22)], {11: False, 16: True, 20: True}),
        ([("PowerLoss", 10, 15), ("Crash", 12, 32)], {11: True, 13: True, 17: False, 30: False}),
    ],
    ids=["power goes where it is down", "power outlasts", "power is back first"],
)
def test_a_server_is_silent_just_while_it_has_no_power(
    faults: list[tuple[str, int, int]], silent: dict[int, bool]
) -> None:
    events = [getattr(ha, kind)("api-1", at=f"{start}s", lasting=f"{end - start}s") for kind, start, end in faults]
    model = scene(1, {"connect_timeout": "500ms", "retries": 0})
    log = log_of(model, ha.Load(ha.Replay(times=[float(at) for at in silent])), *events, over="40s")
    assert log.to_frame().outcome.tolist() == ["503"] * len(silent)
    assert (latencies(log) > 0.4).tolist() == list(silent.values())


def test_a_pair_whose_power_is_cut_is_silent() -> None:
    serving = {"takes": {"fixed": "10ms"}, "slots": 99}
    parts = {"pair": {"kind": "standby", "failover": {"takes": {"fixed": "2s"}}, "serving": serving}}
    pair = ha.Cluster(name="pair", parts=parts, services={"w": {"up": ["pair"]}})
    load = ha.Load(ha.Paced(rate=20), clients=ha.Clients(timeout="500ms"))
    for target in ("pair", "pair-1"):
        log = ha.simulate(pair.during(load, ha.PowerLoss(target, at="10s", lasting="10s")), over="30s", seed=1).requests
        assert log is not None
        assert not ended(log, "refused").any() and not ended(log, "reset").any()
        assert ended(log, "timeout")[within(log, 10.01, 11.4)].all()


def test_a_fault_on_one_of_two_grounds_of_a_balancer_leaves_it_where_it_is() -> None:
    model = hosted({}).replace("lb.on", ["h1", "h2"])
    log = log_of(model, ha.Load(50), ha.Drain("h1", at="5s", lasting="10s"), over="20s")
    assert ended(log, "ok")[within(log, 0, 19)].all()
    assert set(log.server[within(log, 5.001, 15)].tolist()) == {1}


def test_losers_of_a_hedge_are_no_reason_to_hold_back() -> None:
    throttled = ha.Clients(throttling=ha.AdaptiveThrottling(), hedge=ha.Hedge(after="20ms", most=3))
    log = log_of(scene(4, None, takes={"fixed": "100ms"}, slots=99), ha.Load(50, clients=throttled), over="60s")
    # Before the first answers are in there is nothing to go by.
    assert not ended(log, "not sent")[within(log, 5, 60)].any()


def test_a_retry_on_the_same_server_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    most = [0]
    take = Replica.take

    def counted(self: Replica, exchange: Any) -> None:
        take(self, exchange)
        most.append(self.in_flight)

    monkeypatch.setattr(Replica, "take", counted)
    model = scene(1, {"max_connections": 1, "retry_on": ["5xx"], "retries": 3, "queue_timeout": "30s"}, slots=50)
    wrong = ha.ErrorAnswers("api-1", share=0.5, at="1s", lasting="18s")
    log_of(model, ha.Load(200, lasting="20s"), wrong, over="60s")
    assert max(most) == 1


def test_a_place_that_a_sticky_connection_leaves_is_taken_by_who_waits() -> None:
    clients = ha.Clients(count=2, connections="sticky", timeout="30s")
    load = ha.Load(users=2, think={"fixed": "3s"}, lasting="40s", clients=clients)
    model = scene(1, {"max_connections": 1, "queue_timeout": "20s"}, goaway_chance=1.0, takes={"fixed": "10ms"})
    log = log_of(model, load, over="60s")
    assert ended(log, "ok").all()
    assert latencies(log).max() < 0.03


def test_idle_sticky_connections_hold_their_places_and_no_more() -> None:
    sticky = ha.Clients(count=9, connections="sticky")
    early = ha.Load(users=9, think={"fixed": "1s"}, lasting="5s", name="early", clients=sticky)
    late = ha.Load(ha.Replay(times=[20.0, 20.5, 21.2]), name="late")
    model = scene(1, {"max_connections": 11, "queue_timeout": "60s"}, takes={"fixed": "1s"}, slots=99)
    log = log_of(model, early, late, over="60s")
    assert len(set(log.user[log.load == 0].tolist())) == 9, "nine places are held"
    assert latencies(log)[log.load == 1].tolist() == pytest.approx([1.0, 1.0, 1.0]), "and there are two more"
