"""What a balancer sees of its servers and when: checks, ejection, takeover, late news, limits, slow start, bad links.

The laws of detection are in HAProxy's manual and code (inter, fall, rise; src/check.c): a check begins `inter` after
the last one ended, so a server that refuses is out after U(0, 2) + 2·2 s and a silent one after U(0, 2) + 3·2 + 2·2 s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from path_scenes import (
    Floats,
    assert_law,
    assert_mean,
    assert_share,
    ended,
    facts,
    fifo_services,
    latencies,
    log_of,
    play,
    scene,
    within,
)
from scipy import stats

import hasim as ha
from hasim.faults import DROP, PASS, Delay

CALM = ha.Load(rate=ha.Replay(times=(0.5,)))
"""A load that is hardly one: for tests that look at checks alone."""

MANY = 150


def many_servers(**lb: Any) -> ha.Cluster:
    """As many servers as a law needs draws, each on a host of its own."""
    hosts = [f"h{i + 1}" for i in range(MANY)]
    return ha.Cluster(
        name="many",
        topology={"hosts": hosts},
        parts={
            "api": {"kind": "pool", "replicas": MANY, "on": hosts, "serving": {"takes": "10ms"}},
            "lb": {"kind": "balancer", "to": "api", **lb},
        },
        services={"web": {"up": ["lb"]}},
    )


def turns(run: ha.Run, kind: str, since: float) -> Floats:
    """Seconds from a time to each fact of a kind about a server, after it."""
    return np.array([fact.at - since for fact in facts(run, kind) if fact.at >= since])


@pytest.mark.parametrize(
    ("silent", "down", "up"),
    # A server rises with the second check after its return. One that refuses is checked every 2 s, a silent one every
    # 4 s; it is down for ten times as long, so its checks stand as they stood when it fell: the next is U(0, 2) away.
    [(False, (4, 2), (2, 2)), (True, (10, 2), (2, 2))],
    ids=["refused", "silent"],
)
def test_checks_find_the_dead_and_the_living_as_haproxy_does(
    silent: bool, down: tuple[float, float], up: tuple[float, float]
) -> None:
    name = "h" if silent else "api-"
    crashes = [ha.Crash(f"{name}{i + 1}", at="20s", lasting="40s") for i in range(MANY)]
    run = play(many_servers(check={"timeout": "2s"}), CALM, *crashes, over="80s")
    fell, rose = turns(run, "server down", 20.0), turns(run, "server up", 60.0)
    assert len(fell) == len(rose) == MANY
    assert_law(fell, stats.uniform(*down))
    assert_law(rose, stats.uniform(*up))


def test_a_hung_server_is_found_like_a_silent_one_and_answers_its_check_when_it_wakes() -> None:
    pause = ha.Pause("api", at="20s", lasting="41s")
    run = play(many_servers(check={"timeout": "2s"}), CALM, pause, over="80s")
    fell, rose = turns(run, "server down", 20.0), turns(run, "server up", 61.0)
    assert_law(fell, stats.uniform(10, 2))
    # Its checks begin at 60 s + U(0, 2). One that began before it woke is answered then, and the next comes 2 s later.
    assert len(rose) == MANY
    at_once = np.isclose(rose, 2.0, rtol=0, atol=1e-9)
    assert_share(int(at_once.sum()), MANY, 0.5)
    assert_law(rose[~at_once], stats.uniform(2, 1))


def test_a_pause_shorter_than_a_check_takes_nobody_out() -> None:
    pause = ha.Pause("api", at="20s", lasting="1s")
    run = play(many_servers(check={"timeout": "2s"}), CALM, pause, over="60s")
    assert not facts(run, "server down")


@pytest.mark.parametrize("how", ["unready", "crash", "stop"])
def test_news_of_readiness_come_exactly_as_late_as_said(how: str) -> None:
    fault: Any = {
        "unready": ha.Unready("api-1", at="5s", lasting="4s"),
        "crash": ha.Crash("api-1", at="5s", lasting="4s"),
        "stop": ha.Stop("api-1", at="5s", lasting="4s"),
    }[how]
    run = play(scene(3, {"view_delay": "1500ms"}), CALM, fault, over="20s")
    assert turns(run, "server down", 0.0).tolist() == pytest.approx([6.5])
    assert turns(run, "server up", 0.0).tolist() == pytest.approx([10.5])


def test_a_stop_with_notice_longer_than_the_news_take_loses_nothing() -> None:
    load = ha.Load(rate=200, clients=ha.Clients(connections="each"))
    lb = {"view_delay": "1s", "policy": "random"}
    stops = [ha.Stop("api-1", at="5s", notice=notice, lasting="5s") for notice in ("1100ms", "0s")]
    kind, hasty = (log_of(scene(3, lb, slots=9), load, stop, over="20s") for stop in stops)
    assert np.all(ended(kind, "ok") | ended(kind, "unanswered"))
    # Without notice, a third of what comes in the second until the news meets a closed listener, and waits for 1 s and
    # more for its retries on the same server.
    met = within(hasty, 5.0, 6.0) & (latencies(hasty) >= 1.0)
    assert_share(int(met.sum()), int(within(hasty, 5.0, 6.0).sum()), 1 / 3)


def test_a_server_that_errs_five_times_in_a_row_is_out_for_30_and_then_60_seconds() -> None:
    cluster = scene(10, {"ejection": {"kind": "outlier_detection"}, "policy": "round_robin"}, slots=9)
    wrong = ha.ErrorAnswers("api-1", at="10s", lasting="55s")
    run = play(cluster, ha.Load(rate=100), wrong, over="130s")
    out, back = turns(run, "server ejected", 10.0), turns(run, "server back", 10.0)
    assert len(out) == len(back) == 2
    assert run.requests is not None
    assert ended(run.requests, "500").sum() == 10  # five before each
    # Envoy looks at the ejected every 10 s: the first comes back 30 s on, or up to 10 s later, the second 60 s on.
    assert 30.0 <= back[0] - out[0] <= 40.0
    assert 60.0 <= back[1] - out[1] <= 70.0


def test_a_server_that_failed_once_is_left_alone_for_ten_seconds() -> None:
    cluster = scene(3, {"ejection": {"kind": "max_fails"}, "redispatch": True}, slots=9)
    run = play(cluster, ha.Load(rate=100), ha.Crash("api-1", at="10s", lasting="95s"), over="100s")
    out = turns(run, "server ejected", 10.0)
    # nginx counts whole seconds and wants more than ten of them, 10 s to 11 s; then a request tries the server, within
    # 0.3 s (some thirty come in that time), and so on from the beginning of a second.
    pauses = np.diff(out)
    assert 10.0 <= pauses[0] < 11.3
    assert np.all(np.abs(pauses[1:] - 11.0) < 0.3)
    assert len(out) == 1 + 1 + math.floor((90.0 - out[1]) / 11.0)
    assert run.requests is not None
    assert np.all(ended(run.requests, "ok") | ended(run.requests, "unanswered"))


def silences(crash: str, over: str, runs: int, **lb: Any) -> Floats:
    """How long after a crash at 5 s no request that comes is answered."""
    load = ha.Load(rate=ha.Paced(rate=200), clients=ha.Clients(timeout="1s"))
    found = []
    for seed in range(runs):
        log = log_of(scene(2, {"replicas": 2, **lb}, takes={"fixed": "1ms"}, slots=9), load,
                     ha.Crash(crash, at="5s", lasting="1d"), over=over, seed=seed)  # fmt: skip
        lost = ended(log, "timeout")
        assert not ended(log, "ok")[within(log, 5.0, 5.0 + 0.004)].any()
        found.append(log.arrived_s[lost].max() - 5.0 if lost.any() else 0.0)
    return np.array(found)


def test_clients_hear_nothing_until_the_address_is_taken_over() -> None:
    # VRRP, priority 100: three adverts and the skew, 3 + 156/256 s, less U(0, 1) since the last advert.
    skew = (256 - 100) / 256
    found = silences("lb-1", "10s", 60, vrrp={})
    assert_law(found + 0.0025, stats.uniform(2 + skew, 1.0))  # arrivals are 5 ms apart


def test_the_fall_of_the_instance_that_waits_is_not_noticed() -> None:
    load = ha.Load(rate=100, clients=ha.Clients(timeout="1s"))
    log = log_of(scene(2, {"replicas": 2, "vrrp": {}}), load, ha.Crash("lb-2", at="5s", lasting="1d"), over="10s")
    assert np.all(ended(log, "ok") | ended(log, "unanswered"))


def test_what_a_dead_balancer_held_is_broken_off() -> None:
    lb = {"replicas": 2, "failover": {"takes": {"fixed": "1s"}}, "max_connections": 1, "server_timeout": "3s"}
    cluster = scene(1, lb, takes={"fixed": "2s"})
    times = (1.0, 1.1, 1.2, 6.0)  # one served, two queue in the balancer; one comes after the takeover
    log = log_of(cluster, ha.Load(rate=ha.Replay(times=times)), ha.Crash("lb-1", at="2s", lasting="1d"), over="20s")
    # Nothing says that its host has gone, so its kernel closes its connections.
    assert log.to_frame().outcome.tolist() == ["reset"] * 3 + ["ok"]
    assert log.ended_s.tolist() == pytest.approx([2.0] * 3 + [8.0])


def test_what_a_balancer_on_a_dead_host_held_is_answered_by_nobody() -> None:
    lb = {"replicas": 2, "failover": {"takes": {"fixed": "1s"}}, "server_timeout": "3s"}
    plain = scene(1, lb, takes={"fixed": "2s"})
    cluster = plain.replace("topology", {"hosts": ["h1", "h2"]}).replace("lb.on", ["h1", "h2"])
    times = (1.0, 6.0)
    log = log_of(cluster, ha.Load(rate=ha.Replay(times=times)), ha.Crash("h1", at="2s", lasting="1d"), over="20s")
    assert log.to_frame().outcome.tolist() == ["unanswered", "ok"]


# ---------------------------------------------------------------------------------------- limits and shares


def test_a_limit_of_connections_makes_the_balancer_the_queue_of_mmc() -> None:
    c, end = 4, 150.0
    log = log_of(scene(1, {"max_connections": c}, slots=100), ha.Load(rate=320), over="150s")
    done = ~ended(log, "unanswered")
    starts, services = fifo_services(log.arrived_s[done], log.ended_s[done], c)
    assert np.all(services > 0)
    assert_law(services, stats.expon(scale=0.01))
    assert_mean((starts - log.arrived_s[done] > 0).astype(float), log.arrived_s[done], 0.5964, end=end)  # C(4, 3.2)


def test_a_queue_timeout_loses_what_mm1_with_patience_loses() -> None:
    lam, mu, patience, end = 90.0, 100.0, 0.05, 600.0
    lb = {"max_connections": 1, "queue_timeout": f"{patience}s"}
    log = log_of(scene(1, lb, slots=100), ha.Load(rate=lam), over="600s")
    lost = ended(log, "503")
    assert np.allclose(latencies(log)[lost], patience, rtol=0, atol=1e-9)
    # M/M/1+D (Barrer, 1957): ρ(1-ρ)E / (1-ρ²E) with E = exp(-(μ-λ)d).
    rho, e = lam / mu, math.exp(-(mu - lam) * patience)
    assert_mean(lost.astype(float), log.arrived_s, rho * (1 - rho) * e / (1 - rho * rho * e), end=end)


def test_a_limit_of_connections_holds_for_each_server() -> None:
    lb = {"max_connections": 2, "policy": "random", "queue_timeout": "1m"}
    log = log_of(scene(3, lb, slots=100), ha.Load(rate=570), over="40s")
    done = ~ended(log, "unanswered")
    services = fifo_services(log.arrived_s[done], log.ended_s[done], 6)[1]
    assert_law(services, stats.expon(scale=0.01))  # one queue before six places, whichever server is drawn


@pytest.mark.parametrize(("panic", "used"), [(0.5, {0, 1, 2}), (0.0, {2}), (0.2, {2})])
def test_below_the_panic_threshold_everybody_is_used(panic: float, used: set[int]) -> None:
    lb = {"check": {"interval": "500ms"}, "panic": panic, "policy": "random"}
    sick = [ha.Unready(f"api-{i}", at="5s", lasting="1d") for i in (1, 2)]
    log = log_of(scene(3, lb, slots=99), ha.Load(rate=100), *sick, over="30s")
    late = within(log, 10.0, 29.0)
    assert set(log.server[late & ended(log, "ok")].tolist()) == used
    assert np.all(ended(log, "ok")[late])


def test_with_nobody_up_everything_is_503_at_once() -> None:
    lb = {"check": {"interval": "500ms"}}
    sick = [ha.Unready(f"api-{i}", at="5s", lasting="1d") for i in (1, 2)]
    log = log_of(scene(2, lb), ha.Load(rate=100), *sick, over="30s")
    late = within(log, 10.0, 29.0)
    assert np.all(ended(log, "503")[late])
    assert np.all(latencies(log)[late] == 0)


def test_a_server_that_comes_back_gets_its_share_in_twenty_steps() -> None:
    lb = {"check": {"interval": "100ms"}, "slow_start": "40s", "policy": "random", "redispatch": True}
    crash = ha.Crash("api-1", at="5s", lasting="5s")
    run = play(scene(2, lb, slots=99, takes="1ms"), ha.Load(rate=500), crash, over="60s")
    (up,) = turns(run, "server up", 0.0)
    log = run.requests
    assert log is not None
    for step in range(1, 23):
        now = within(log, up + 2.0 * (step - 1), up + 2.0 * step)
        weight = min(step, 20) / 20
        assert_share(int((log.server[now] == 0).sum()), int(now.sum()), weight / (1 + weight))


# -------------------------------------------------------------------------------------------------- links


@dataclass(frozen=True)
class Bad:
    """A link from the balancer to the first server, or back, that delays by so much, or loses (None)."""

    extra: float | None
    forth: bool
    back: bool
    at: float = 5.0
    targets: tuple[str, ...] = ("api-1",)

    def script(self, world: Any) -> Any:
        ways = {("lb", "api-1")} if self.forth else set()
        ways |= {("api-1", "lb")} if self.back else set()
        verdict = DROP if self.extra is None else Delay(self.extra)
        yield self.at
        with world.rule(lambda src, dst, _: verdict if (src, dst) in ways else PASS):
            yield 1e9


@pytest.mark.parametrize(("forth", "back"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("connections", ["kept", "sticky"])
def test_a_slow_link_adds_its_delay_each_way(forth: bool, back: bool, connections: Any) -> None:
    load = ha.Load(rate=50, clients=ha.Clients(connections=connections))
    log = log_of(scene(1, {}, takes={"fixed": "1ms"}, slots=99), load, Bad(0.3, forth, back), over="20s")
    late = within(log, 5.1, 19.0)
    assert np.allclose(latencies(log)[late], 0.001 + 0.3 * (forth + back), rtol=0, atol=1e-9)


def test_an_answer_slower_than_the_server_timeout_is_a_504() -> None:
    lb = {"server_timeout": "200ms"}
    log = log_of(scene(1, lb, takes={"fixed": "1ms"}, slots=99), ha.Load(rate=50), Bad(0.3, False, True), over="20s")
    late = within(log, 5.1, 19.0)
    assert np.all(ended(log, "504")[late])
    assert np.allclose(latencies(log)[late], 0.2, rtol=0, atol=1e-9)


def test_a_server_behind_a_cut_is_tried_for_the_connect_timeout_and_left_by_redispatch() -> None:
    lb = {"connect_timeout": "200ms", "redispatch": True, "policy": "random"}
    cut = ha.Partition("api-1", at="5s", lasting="1d")
    log = log_of(scene(2, lb, takes={"fixed": "1ms"}, slots=99), ha.Load(rate=50), cut, over="60s")
    late = within(log, 5.0, 59.0)
    assert np.all(ended(log, "ok")[late])
    met = latencies(log)[late] > 0.1
    assert_share(int(met.sum()), len(met), 0.5)
    assert np.allclose(latencies(log)[late][met], 0.201, rtol=0, atol=1e-9)
    assert np.all(log.server[late] == 1)


@pytest.mark.parametrize(("forth", "back"), [(True, False), (False, True)])
def test_checks_see_a_cut_in_either_way_and_a_link_slower_than_their_timeout(forth: bool, back: bool) -> None:
    for extra, falls in ((None, True), (2.1, True), (1.9, False)):
        run = play(scene(2, {"check": {"timeout": "2s"}}), CALM, Bad(extra, forth, back, at=20.0), over="60s")
        down = turns(run, "server down", 20.0)
        assert len(down) == falls
        assert np.all((down >= 10.0) & (down <= 12.0))


def test_checks_see_a_cut_and_its_end() -> None:
    cut = ha.Partition("api-1", at="20s", lasting="40s")
    run = play(scene(2, {"check": {"timeout": "2s"}}), CALM, cut, over="80s")
    (down,), (up,) = turns(run, "server down", 20.0), turns(run, "server up", 60.0)
    assert 10.0 <= down <= 12.0
    assert 2.0 <= up <= 6.0


@pytest.mark.parametrize("closes", [True, False])
def test_requests_at_a_silent_server_end_when_it_is_marked_down_or_at_the_server_timeout(closes: bool) -> None:
    lb = {"check": {"timeout": "2s"}, "closes_on_down": closes, "server_timeout": "35s", "replicas": 1}
    cluster = ha.Cluster(
        name="silent",
        topology={"hosts": ["h1"]},
        parts={
            "api": {"kind": "pool", "replicas": 1, "on": ["h1"], "serving": {"takes": {"fixed": "3s"}, "slots": 50}},
            "lb": {"kind": "balancer", "to": "api", **lb},
        },
        services={"web": {"up": ["lb"]}},
    )
    load = ha.Load(rate=ha.Replay(times=(18.0, 19.0)), clients=ha.Clients(connections="each"))
    run = play(cluster, load, ha.Crash("h1", at="20s", lasting="1d"), over="80s")
    (down,) = turns(run, "server down", 0.0)
    log = run.requests
    assert log is not None
    assert log.ended_s.tolist() == pytest.approx([down, down] if closes else [53.0, 54.0])
    assert np.all(ended(log, "reset" if closes else "504"))
