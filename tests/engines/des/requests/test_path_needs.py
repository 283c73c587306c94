"""Servers that need something: what goes on without it, what hangs, who is taken out, who is killed, who comes back.

Probe laws: a probe begins each period on a ticker, so what fails from a random moment on fails its F-th probe after
U(0, P) + (F - 1)·P, and if it hangs a timeout later (Kubernetes, pkg/kubelet/prober/worker.go).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import Floats, assert_law, assert_share, ended, facts, latencies, log_of, play, within
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
    cluster = needy(needs_timeout="5s", reads_from_cache=True)
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
    log = log_of(needy(needs_timeout="5s"), ha.Load(rate=100), LOST, over="60s")
    assert np.all(ended(log, "504")[within(log, 10.0, 25.0)])


def test_writes_that_hang_fill_the_slots_and_stop_the_reads() -> None:
    # Fifty slots, a write each 20 ms: after about a second nothing is left for reads.
    cluster = needy(slots=50, needs_timeout="60s", reads_from_cache=True)
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
    cluster = needy(3, {"check": {"interval": "1s"}}, checks_needs=checked, reads_from_cache=True)
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
        "serving": {"takes": {"fixed": "10ms"}, "slots": 600, "needs_timeout": "5s", "reads_from_cache": True},
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


@pytest.mark.parametrize(
    ("probes", "first"),
    [
        ({"startup": {"period": "5s", "failures": 2}}, 5.0),
        ({"liveness": {"period": "5s", "failures": 3, "initial_delay": "4s"}}, 14.0),
    ],
    ids=["startup", "liveness"],
)
def test_a_start_that_takes_longer_than_probes_allow_never_comes_to_its_end(
    probes: dict[str, Any], first: float
) -> None:
    cluster = needy(MANY, start_up={"fixed": "22s"}, **{"liveness": {}, **probes})
    run = play(cluster, ha.Load(rate=ha.Replay(times=(1.0,))), ha.Crash("api", at="60s", lasting="1s"), over="10m")
    assert not facts(run, "listening")
    kills = np.array(sorted(fact.at for fact in facts(run, "liveness kill")))
    assert_law(kills[:MANY] - 61.0, stats.uniform(first, 5.0))
    assert run.down("api").tolist()[-1][1] == 600.0


def test_a_start_that_probes_allow_is_waited_for() -> None:
    cluster = needy(20, start_up={"fixed": "22s"}, liveness={}, startup={"period": "5s", "failures": 6})
    run = play(cluster, ha.Load(rate=ha.Replay(times=(1.0,))), ha.Crash("api", at="60s", lasting="1s"), over="3m")
    assert [fact.at for fact in facts(run, "listening")] == pytest.approx([83.0] * 20)
    assert not facts(run, "liveness kill")


def test_a_process_that_dies_with_its_last_probe_under_way_was_not_killed_by_it() -> None:
    cluster = needy(MANY, liveness={}, start_up={"fixed": "3s"})
    hung, dies = ha.Pause("api", at="10s", lasting="25s"), ha.Crash("api", at="31.5s", lasting="2m")
    run = play(cluster, ha.Load(rate=ha.Replay(times=(1.0,))), hung, dies, over="4m")
    killed = {fact.subject for fact in facts(run, "liveness kill")}
    assert 0 < len(killed) < MANY / 5, "those whose third probe had failed before the crash"
    back = {fact.subject: fact.at for fact in facts(run, "listening")}
    assert all(back[f"api-{i}"] == pytest.approx(154.5) for i in range(1, MANY + 1) if f"api-{i}" not in killed)


def test_restarts_of_what_is_killed_again_and_again_back_off_and_delay_the_recovery() -> None:
    probe = {"period": "1s", "timeout": "1s", "failures": 3}
    cluster = needy(liveness=probe, reads_from_cache=True)
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
    lost = ha.Crash("db", at="100s", lasting="400s")
    log = log_of(needy(reads_from_cache=True), ha.Load(rate=50), lost, over="600s")
    assert np.all(ended(log, "ok")[within(log, 0.0, 599.0)])


@pytest.mark.parametrize("window", ["10s", "0s"], ids=["systemd", "without a limit"])
def test_systemd_gives_a_server_up_that_dies_too_often(window: str) -> None:
    # A probe a second, one failure kills, the next start is 100 ms later: the sixth start within 10 s is refused.
    restart = {"kind": "systemd", "window": window}
    cluster = needy(liveness={"period": "1s", "failures": 1}, restart=restart)
    run = play(cluster, ha.Load(rate=ha.Replay(times=(1.0, 70.0))), ha.Crash("db", at="20s", lasting="40s"), over="90s")
    gone, back = (np.array([fact.at for fact in facts(run, kind)]) for kind in ("process gone", "listening"))
    log = run.requests
    assert log is not None
    given_up = [fact.at for fact in facts(run, "restart given up")]
    assert np.allclose(back - gone[: len(back)], 0.1, rtol=0, atol=1e-9)
    if window == "0s":
        assert not given_up and len(back) == len(gone) > 35  # a life of up to a second, each a restart of 100 ms
        assert log.to_frame().outcome.tolist() == ["ok", "ok"]
    else:
        assert len(back) == 5 and len(gone) == 6
        assert given_up == [gone[-1]] and gone[-1] < 20.0 + 6 * 1.1
        assert log.to_frame().outcome.tolist() == ["ok", "refused"]


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


# --------------------------------------------------------------------------------------------- readiness

READY = {"period": "10s", "timeout": "1s", "failures": 3}
BESIDE = {"period": "7s", "timeout": "2s", "failures": 50}  # a liveness probe that never kills here


def probed(replicas: int, fault: Any, over: str, **serving: Any) -> tuple[ha.Run, Floats, Floats]:
    """A run of servers behind endpoints that take a second, and when servers were left out and came back."""
    cluster = needy(replicas, {"view_delay": "1s"}, **{"readiness": READY, **serving})
    run = play(cluster, ha.Load(rate=ha.Replay(times=(1.0,))), fault, over=over)
    down, up = (np.array([fact.at for fact in facts(run, kind)]) for kind in ("server down", "server up"))
    return run, down, up


@pytest.mark.parametrize("more", [{}, {"liveness": BESIDE}], ids=["alone", "beside liveness"])
@pytest.mark.parametrize("hangs", [True, False], ids=["hung", "not ready"])
def test_endpoints_follow_the_verdict_of_the_readiness_probe(hangs: bool, more: dict[str, Any]) -> None:
    fault: Any = ha.Pause("api", at="20s", lasting="70s") if hangs else ha.Unready("api", at="20s", lasting="70s")
    _, down, up = probed(MANY, fault, "120s", **more)
    assert len(down) == len(up) == MANY
    # Three failures on a ticker of 10 s, the last of a hung one a second after its tick; the view is a second late.
    assert_law(down - 20.0, stats.uniform(22.0 if hangs else 21.0, 10.0))
    back = up - 90.0 - 1.0
    if hangs:  # one in ten is being probed for that second when it thaws, and answers; the others wait for their tick
        at_once = np.abs(back) < 1e-9
        assert_share(int(at_once.sum()), MANY, 0.1)
        assert_law(back[~at_once], stats.uniform(0.0, 9.0))
    else:
        assert_law(back, stats.uniform(0.0, 10.0))


def test_a_readiness_probe_overlooks_what_passes_before_its_third_failure() -> None:
    fault = ha.Unready("api", at="20s", lasting="15s")
    assert len(probed(40, fault, "60s")[1]) == 0
    assert len(probed(40, fault, "60s", readiness=None)[1]) == 40
    # From 20 to 30 s after its beginning it is seen; this one lasts until half of them have seen it.
    assert_share(len(probed(MANY, ha.Unready("api", at="20s", lasting="25s"), "60s")[1]), MANY, 0.5)


def test_several_successes_delay_the_return() -> None:
    _, down, up = probed(MANY, ha.Unready("api", at="20s", lasting="70s"), "140s", readiness={**READY, "successes": 3})
    assert len(down) == len(up) == MANY
    assert_law(up - 91.0, stats.uniform(20.0, 10.0))


def test_what_has_run_for_long_when_the_run_begins_is_ready_and_past_its_initial_delay() -> None:
    readiness = {**READY, "initial_delay": "5m", "successes": 2}
    _, down, up = probed(MANY, ha.Unready("api", at="20s", lasting="70s"), "130s", readiness=readiness)
    assert len(down) == len(up) == MANY
    assert_law(down - 20.0, stats.uniform(21.0, 10.0))
    assert_law(up - 91.0, stats.uniform(10.0, 10.0))


def test_a_process_that_dies_is_unready_at_once_and_ready_with_its_first_probe() -> None:
    fault = ha.Crash("api-1", at="20.3s", lasting="10s")
    _, down, up = probed(2, fault, "60s")
    assert down.tolist() == pytest.approx([21.3])
    assert up.tolist() == pytest.approx([31.3])
    # The first probe of a container that starts up for three seconds is refused; the next comes with the ticker.
    _, down, up = probed(2, fault, "60s", start_up={"fixed": "3s"})
    assert down.tolist() == pytest.approx([21.3])
    assert 34.3 <= up[0] <= 44.3
    _, down, up = probed(2, fault, "60s", readiness={**READY, "initial_delay": "5s"})
    assert down.tolist() == pytest.approx([21.3])
    assert 36.3 <= up[0] <= 46.3  # the first tick of a container that is five seconds old


def test_a_server_that_is_asked_to_leave_is_left_out_at_once_while_it_still_serves() -> None:
    fault = ha.Stop("api-1", at="20.3s", lasting="20s", graceful=True)
    run, down, up = probed(2, fault, "60s", shutdown_delay="8s")
    (gone,) = facts(run, "process gone")
    assert gone.at == pytest.approx(28.3)
    assert down.tolist() == pytest.approx([21.3])
    assert up.tolist() == pytest.approx([facts(run, "listening")[0].at + 1.0])


def test_both_probes_work_in_one_prober_each_by_its_law() -> None:
    liveness = {"period": "10s", "timeout": "2s", "failures": 5}
    run, down, up = probed(MANY, ha.Pause("api", at="20s", lasting="1d"), "200s", liveness=liveness)
    kills = np.array([fact.at for fact in facts(run, "liveness kill")])
    assert_law(down - 20.0, stats.uniform(22.0, 10.0))
    assert_law(kills - 20.0, stats.uniform(42.0, 10.0))
    # The new process of each, after the grace of 30 s, is ready with its first probe, and the view a second later.
    back = np.array([fact.at for fact in facts(run, "listening")])
    assert np.allclose(np.sort(up), np.sort(back) + 1.0, rtol=0, atol=1e-9)
    assert np.allclose(np.sort(back), np.sort(kills) + 30.0, rtol=0, atol=1e-9)


def test_a_kill_for_liveness_is_news_to_endpoints_only_when_the_process_has_gone_or_readiness_fails() -> None:
    liveness = {"period": "10s", "timeout": "1s", "failures": 1}
    _, down, _ = probed(MANY, ha.Pause("api", at="20s", lasting="1d"), "60s", liveness=liveness)
    assert_law(down - 20.0, stats.uniform(22.0, 10.0))  # killed from 1 to 11 s on, gone 30 s later
    _, down, _ = probed(MANY, ha.Pause("api", at="20s", lasting="1d"), "60s", liveness=liveness, grace="5s")
    assert_law(down - 20.0, stats.uniform(1.0 + 5.0 + 1.0, 10.0))


def test_servers_that_are_down_from_the_start_are_not_in_the_endpoints() -> None:
    parts: dict[str, Any] = {
        "api": {"kind": "pool", "replicas": 40, "serving": {"takes": "1ms", "slots": 100, "readiness": READY}},
        "lb": {"kind": "balancer", "to": "api", "view_delay": "1s"},
    }
    failures = {"api": {"mtbf": "100h", "mttr": "100h"}}
    cluster = ha.Cluster(name="old", parts=parts, failures=failures, services={"web": {"up": ["lb"]}})
    run = ha.simulate(cluster.during(ha.Load(rate=200)), over="20s", start="steady", seed=1)
    log = run.requests
    assert log is not None
    down = {fact.detail["server"] for fact in facts(run, "server down")}
    assert 5 < len(down) < 35  # half of them, by the binomial law, but for a chance of 1e-6
    later = (log.arrived_s > 1.0) & ~ended(log, "unanswered")
    assert np.all(ended(log, "ok")[later])
    assert set(log.server[later].tolist()) == {i for i in range(40) if f"api-{i + 1}" not in down}
