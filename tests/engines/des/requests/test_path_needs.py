"""Servers that need something: what goes on without it, what hangs, who is taken out, who is killed, who comes back.

Probe laws: a probe begins each period on a ticker, so what fails from a random moment on fails its F-th probe after
U(0, P) + (F - 1)·P, and if it hangs a timeout later (Kubernetes, pkg/kubelet/prober/worker.go).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import assert_law, ended, facts, latencies, log_of, play, within
from scipy import stats

import hasim as ha

KUBEADM = {"period": "10s", "timeout": "15s", "failures": 8}
"""The liveness probe that kubeadm gives an API server."""


def needy(replicas: int = 1, lb: dict[str, Any] | None = None, **serving: Any) -> ha.Cluster:
    """Servers that need a database."""
    parts: dict[str, Any] = {
        "db": {"kind": "unit"},
        "api": {
            "kind": "pool",
            "replicas": replicas,
            "needs": "db",
            "serving": {"takes": {"fixed": "10ms"}, "slots": 1000, **serving},
        },
    }
    if lb is not None:
        parts["lb"] = {"kind": "balancer", "to": "api", **lb}
    return ha.Cluster(name="needy", parts=parts, services={"web": {"up": ["api" if lb is None else "lb"]}})


LOST = ha.Crash("db", at="10s", lasting="20s")


def test_reads_go_on_and_writes_hang_until_their_timeout_or_until_what_they_need_is_back() -> None:
    cluster = needy(needs_timeout="5s")
    log = log_of(cluster, ha.Load(rate=100, writes=0.4), LOST, over="60s")
    reads, writes = ~log.write, log.write
    assert 0.35 < writes.mean() < 0.45
    assert np.all(ended(log, "ok")[reads & within(log, 0.0, 59.0)])
    assert np.allclose(latencies(log)[reads & within(log, 0.0, 59.0)], 0.01, rtol=0, atol=1e-9)
    early, late = within(log, 10.0, 25.0) & writes, within(log, 25.0, 30.0) & writes
    assert np.all(ended(log, "504")[early])
    assert np.allclose(latencies(log)[early], 5.0, rtol=0, atol=1e-9)
    assert np.all(ended(log, "ok")[late])
    assert np.allclose(log.ended_s[late], 30.01, rtol=0, atol=1e-9)


def test_without_a_cache_reads_hang_as_well() -> None:
    log = log_of(needy(needs_timeout="5s", reads_from_cache=False), ha.Load(rate=100), LOST, over="60s")
    assert np.all(ended(log, "504")[within(log, 10.0, 25.0)])


def test_writes_that_hang_fill_the_slots_and_stop_the_reads() -> None:
    # Fifty slots, a write each 20 ms: after about a second nothing is left for reads.
    cluster = needy(slots=50, needs_timeout="60s")
    log = log_of(cluster, ha.Load(rate=ha.Paced(rate=100), writes=0.5), LOST, over="60s")
    full = log.arrived_s[log.write & (log.arrived_s >= 10.0)][49]
    assert 10.5 < full < 11.5
    reads = ~log.write & (log.ended_s > full + 0.011) & (log.ended_s < 30.0)
    assert not (reads & ended(log, "ok")).any()
    assert ended(log, "ok")[within(log, 31.0, 59.0)].all()


@pytest.mark.parametrize("discipline", ["fifo", "sharing"])
def test_a_frozen_server_answers_nothing_even_if_what_it_waited_for_comes(discipline: str) -> None:
    cluster = needy(discipline=discipline, needs_timeout="5s")
    load = ha.Load(rate=ha.Replay(times=(12.0, 27.0)), writes=1.0)
    log = log_of(cluster, load, LOST, ha.Pause("api-1", at="14s", lasting="30s"), over="60s")
    # The first one's patience ended, and the database came back, while it was frozen; it wakes at 44 s.
    assert log.ended_s.tolist() == pytest.approx([44.0, 44.01])
    assert log.to_frame().outcome.tolist() == ["504", "ok"]


@pytest.mark.parametrize("checked", [True, False])
def test_checks_that_ask_for_what_is_needed_take_everybody_out(checked: bool) -> None:
    cluster = needy(3, {"check": {"interval": "1s"}}, checks_needs=checked)
    log = log_of(cluster, ha.Load(rate=100), LOST, over="60s")
    span = within(log, 10.0 + 3.1, 30.0)  # three failures, a second apart
    assert np.all(ended(log, "503" if checked else "ok")[span])


STACKED: dict[str, Any] = {
    "etcd": {"kind": "quorum", "members": 3, "on": ["h1", "h2", "h3"], "raft": {}},
    "api": {
        "kind": "pool",
        "replicas": 3,
        "on": ["h1", "h2", "h3"],
        "needs": {"etcd": "local"},
        "serving": {"takes": {"fixed": "10ms"}, "slots": 600, "needs_timeout": "5s"},
    },
    "lb": {"kind": "balancer", "to": "api", "check": {"interval": "1s"}},
}


def stacked(checks_needs: bool = True) -> ha.Cluster:
    """Three API servers, each beside its etcd member."""
    serving = {**STACKED["api"]["serving"], "checks_needs": checks_needs}
    parts = {**STACKED, "api": {**STACKED["api"], "serving": serving}}
    return ha.Cluster(name="s", topology={"hosts": ["h1", "h2", "h3"]}, parts=parts, services={"web": {"up": ["lb"]}})


def test_a_stacked_server_without_its_own_member_is_taken_out_and_no_other() -> None:
    run = play(stacked(), ha.Load(rate=100), ha.Crash("etcd-2", at="10s", lasting="20s"), over="60s")
    (down,), (up,) = facts(run, "server down"), facts(run, "server up")
    assert down.detail["server"] == up.detail["server"] == "api-2"
    assert 12.0 <= down.at <= 13.0  # U(0, 1) + 2
    log = run.requests
    assert log is not None
    after = within(log, 13.0, 30.0)
    assert np.all(ended(log, "ok")[after])
    assert set(log.server[after].tolist()) == {0, 2}


def test_without_a_quorum_nobody_writes_and_checks_decide_whether_anybody_reads() -> None:
    faults = [ha.Crash(f"etcd-{i}", at="10s", lasting="20s") for i in (1, 2)]
    log = log_of(stacked(checks_needs=False), ha.Load(rate=100, writes=0.3), *faults, over="60s")
    span = within(log, 10.0, 24.0)
    assert np.all(ended(log, "ok")[span & ~log.write])
    assert np.all(ended(log, "504")[span & log.write])
    assert np.allclose(latencies(log)[span & log.write], 5.0, rtol=0, atol=1e-9)
    log = log_of(stacked(), ha.Load(rate=100, writes=0.3), *faults, over="60s")
    assert np.all(ended(log, "503")[within(log, 13.0, 30.0)])
    assert np.all(ended(log, "ok")[within(log, 36.0, 59.0)])  # an election, and two good checks


# ---------------------------------------------------------------------------------------------- liveness

MANY = 150


@pytest.mark.parametrize(
    ("hangs", "probe", "first"),
    [
        (False, KUBEADM, 70.0),  # 7 periods; the etcd check itself has failed at once
        (True, {"period": "10s", "timeout": "1s", "failures": 3}, 21.0),
        (True, KUBEADM, 120.0),  # a probe that outlasts its period is followed by the next at once: 8 × 15 s
    ],
    ids=["needs", "hung", "hung for longer than a period"],
)
def test_a_liveness_probe_kills_after_its_law(hangs: bool, probe: dict[str, Any], first: float) -> None:
    cluster = needy(MANY, liveness=probe)
    fault: Any = ha.Pause("api", at="20s", lasting="1d") if hangs else ha.Crash("db", at="20s", lasting="1d")
    run = play(cluster, ha.Load(rate=ha.Replay(times=(1.0,))), fault, over="200s")
    kills = np.array([fact.at for fact in facts(run, "liveness kill")])
    gone = np.array([fact.at for fact in facts(run, "process gone")])
    firsts = np.sort(kills)[:MANY] - 20.0
    assert_law(firsts, stats.uniform(first, 10.0))
    # SIGTERM does nothing to a process that hangs; SIGKILL comes with the grace period, 30 s later.
    assert np.allclose(np.sort(gone)[:MANY] - np.sort(kills)[:MANY], 30.0 if hangs else 0.0, rtol=0, atol=1e-9)


def test_restarts_of_what_is_killed_again_and_again_back_off_and_delay_the_recovery() -> None:
    probe = {"period": "1s", "timeout": "1s", "failures": 3}
    cluster = needy(liveness=probe)
    lost = ha.Crash("db", at="100s", lasting="400s")
    run = play(cluster, ha.Load(rate=50, clients=ha.Clients(timeout="1s")), lost, over="900s", seed=4)
    gone = np.array([fact.at for fact in facts(run, "process gone")])
    back = np.array([fact.at for fact in facts(run, "listening")])
    waits = back - gone
    expected = [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0][: len(waits)]
    assert waits.tolist() == pytest.approx(expected)
    lives = gone[1:] - back[:-1]  # three failures, and up to 10 ms for what is under way
    assert np.all((lives > 2.0) & (lives <= 3.0 + 0.01))
    log = run.requests
    assert log is not None
    assert back[-1] > 500.0  # the database has been back since
    assert np.all(ended(log, "refused")[within(log, 500.0, back[-1])])
    assert np.all(ended(log, "ok")[within(log, back[-1], 890.0)])


def test_a_server_that_is_never_killed_serves_at_once_when_what_it_needs_is_back() -> None:
    log = log_of(needy(), ha.Load(rate=50), ha.Crash("db", at="100s", lasting="400s"), over="600s")
    assert np.all(ended(log, "ok")[within(log, 0.0, 599.0)])


def test_what_is_down_from_the_start_is_known_to_be_and_is_killed_by_nobody() -> None:
    parts: dict[str, Any] = {
        "api": {
            "kind": "pool",
            "replicas": 40,
            "serving": {"takes": {"fixed": "1ms"}, "slots": 100, "liveness": {"period": "1s", "failures": 2}},
        },
        "lb": {"kind": "balancer", "to": "api", "check": {}, "redispatch": True},
    }
    failures = {"api": {"mtbf": "100h", "mttr": "100h"}}
    cluster = ha.Cluster(name="old", parts=parts, failures=failures, services={"web": {"up": ["lb"]}})
    run = ha.simulate(cluster.during(ha.Load(rate=200)), over="20s", start="steady", seed=1)
    log = run.requests
    assert log is not None
    assert not facts(run, "liveness kill")
    down = {fact.detail["server"] for fact in facts(run, "server down")}
    assert 5 < len(down) < 35  # half of them, by the binomial law, but for a chance of 1e-6
    assert set(log.server.tolist()) == {i for i in range(40) if f"api-{i + 1}" not in down}
    assert np.all(ended(log, "ok") | ended(log, "unanswered"))
    assert np.all(latencies(log)[ended(log, "ok")] < 0.0011)  # nobody had to find out


@pytest.mark.parametrize(("initial", "first", "last"), [("down", 0.0, 2.0), ("fully-down", 2.0, 4.0)])
def test_servers_that_count_as_down_at_first_are_used_after_good_checks(
    initial: str, first: float, last: float
) -> None:
    parts: dict[str, Any] = {
        "api": {"kind": "pool", "replicas": 2, "serving": {"takes": {"fixed": "1ms"}, "slots": 100}},
        "lb": {"kind": "balancer", "to": "api", "check": {"initial": initial}},
    }
    cluster = ha.Cluster(name="new", parts=parts, services={"web": {"up": ["lb"]}})
    log = log_of(cluster, ha.Load(rate=100), over="20s")
    assert not ended(log, "ok")[within(log, 0.0, first)].any()  # one good check, or two of them 2 s apart
    assert ended(log, "503").any()
    assert np.all(ended(log, "ok")[within(log, last, 19.9)])
