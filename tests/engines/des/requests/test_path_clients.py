"""What clients do about time and failure, played against servers that are down, full, wrong or silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import Floats, assert_law, assert_share, ended, latencies, log_of, scene, within
from scipy import stats

import hasim as ha
from hasim.clients import Budget
from hasim.clients.budget import ConcurrentRetriesMeter
from hasim.results.outcomes import OUTCOMES
from hasim.results.request_log import RequestLog

DOWN = ha.Crash("api-1", at="0s", lasting="1d")


def refused(clients: ha.Clients, over: str = "400s", rate: Any = 10.0) -> RequestLog:
    """Calls to a server that refuses every connection."""
    log = log_of(scene(), ha.Load(rate=rate, clients=clients), DOWN, over=over)
    assert not ended(log, "ok").any()
    return log


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        ({"kind": "constant", "wait": "1s"}, 3.0),
        ({"kind": "exponential", "base": "100ms", "cap": "10s"}, 0.1 + 0.2 + 0.4),
        ({"kind": "exponential", "base": "100ms", "cap": "150ms"}, 0.1 + 0.15 + 0.15),
        ("none", 0.0),
    ],
    ids=["constant", "exponential", "capped", "none"],
)
def test_four_attempts_take_the_three_waits_between_them(backoff: Any, waits: float) -> None:
    log = refused(ha.Clients(retry=ha.Retry(attempts=4, backoff=backoff)), over="50s")
    done = ended(log, "refused")
    assert np.all(log.attempts[done] == 4)
    assert np.allclose(latencies(log)[done], waits, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("full_jitter", 0.0, 0.4), ("equal_jitter", 0.2, 0.4), ("decorrelated_jitter", 0.4, 1.2)]
)
def test_a_jittered_wait_is_uniform_between_its_bounds(kind: str, low: float, high: float) -> None:
    backoff = {"kind": kind, "base": "400ms", "cap": "10s"}
    log = refused(ha.Clients(retry=ha.Retry(attempts=2, backoff=backoff)))
    assert_law(latencies(log)[ended(log, "refused")], stats.uniform(low, high - low))


def test_independent_failures_make_as_many_attempts_as_the_geometric_law_says() -> None:
    f, m = 0.3, 3
    clients = ha.Clients(retry=ha.Retry(attempts=m, backoff="none"))
    wrong = ha.ErrorAnswers("api-1", share=f, at="0s", lasting="1d")
    log = log_of(scene(slots=20), ha.Load(rate=100, clients=clients), wrong, over="200s")
    done = ~ended(log, "unanswered")
    total = int(done.sum())
    for attempts, share in ((1, 1 - f), (2, f * (1 - f)), (3, f * f)):
        assert_share(int((log.attempts[done] == attempts).sum()), total, share)
    assert_share(int(ended(log, "500").sum()), total, f**m)
    assert np.all(log.attempts[ended(log, "500")] == m)


@pytest.mark.parametrize("on", [["timeout"], ["5xx"]])
def test_only_what_is_listed_is_tried_again(on: Any) -> None:
    log = refused(ha.Clients(retry=ha.Retry(attempts=5, on=on)), over="20s")
    assert np.all(log.attempts == 1)


def test_a_timeout_ends_an_attempt_and_a_deadline_ends_the_call() -> None:
    frozen = ha.Pause("api-1", at="0s", lasting="1d")
    retry = ha.Retry(attempts=9, backoff={"kind": "constant", "wait": "50ms"})
    clients = ha.Clients(timeout="300ms", deadline="1s", retry=retry)
    log = log_of(scene(), ha.Load(rate=20, clients=clients), frozen, over="60s")
    late = ended(log, "timeout")
    assert np.allclose(latencies(log)[late], 1.0, rtol=0, atol=1e-9)
    assert np.all(log.attempts[late] == 3)  # at 0, 350 and 700 ms; a fourth would begin at 1.05 s
    log = log_of(scene(), ha.Load(rate=20, clients=ha.Clients(timeout="300ms")), frozen, over="60s")
    assert np.allclose(latencies(log)[ended(log, "timeout")], 0.3, rtol=0, atol=1e-9)
    log = log_of(scene(), ha.Load(rate=20), frozen, over="60s")
    assert np.all(ended(log, "unanswered"))
    assert np.all(log.ended_s == 60.0)


def test_a_call_that_was_given_up_keeps_the_server_busy_all_the_same() -> None:
    # Every service takes 100 ms, of which 50 are after the caller has gone: 5 a second make half of it busy.
    log = log_of(
        scene(takes={"fixed": "100ms"}),
        ha.Load(rate=ha.Replay(times=(1.0, 1.06)), clients=ha.Clients(timeout="50ms")),
        over="3s",
    )
    assert np.all(ended(log, "timeout"))
    log = log_of(
        scene(takes={"fixed": "100ms"}, drop_expired=True),
        ha.Load(rate=ha.Replay(times=(1.0, 1.01, 1.02)), clients=ha.Clients(timeout="85ms", deadline="200ms")),
        ha.SlowServer("api-1", factor=0.84, at="1.005s", lasting="1s"),
        over="3s",
    )
    assert np.all(ended(log, "timeout"))


# ---------------------------------------------------------------------------------------------- budgets


def test_a_ratio_bounds_amplification_by_one_plus_itself() -> None:
    budget = {"kind": "retry_ratio", "share": 0.2, "reserve": 0}
    log = refused(ha.Clients(retry=ha.Retry(attempts=4, backoff="none", budget=budget)), rate=100.0, over="100s")
    amplification = log.attempts.sum() / len(log)
    assert 1.19 < amplification <= 1.2 + 1e-9  # the first second has less than a whole retry to give


def test_a_bucket_of_tokens_is_empty_after_a_hundred_retries() -> None:
    clients = ha.Clients(retry=ha.Retry(attempts=3, backoff="none", budget="token_bucket"))
    log = refused(clients, over="100s")
    assert (log.attempts - 1).sum() == 500 // 5
    log = log_of(
        scene(), ha.Load(rate=10, clients=clients), ha.Crash("api-1", at="10s", lasting="20s"), over="60s"
    )  # every success returns one token, up to a full bucket
    retries = (log.attempts - 1).sum()
    assert retries == min(100, 2 * within(log, 10.0, 30.0).sum())


def test_concurrent_retries_are_held_to_their_least() -> None:
    budget = {"kind": "concurrent_retries", "share": 0.0, "least": 3}
    backoff = {"kind": "constant", "wait": "1s"}
    log = refused(ha.Clients(retry=ha.Retry(attempts=2, backoff=backoff, budget=budget)), rate=50.0, over="60s")
    again = log.attempts == 2
    starts = np.sort(log.arrived_s[again])
    assert np.all(starts[3:] - starts[:-3] >= 1.0 - 1e-9)  # never more than three within their second
    assert again.sum() > 3 * 55  # and as a rule three


def test_a_retry_that_comes_too_late_for_the_deadline_costs_the_budget_nothing() -> None:
    budget = {"kind": "concurrent_retries", "share": 0.0, "least": 3}
    backoff = {"kind": "full_jitter", "base": "1s", "cap": "1s"}
    clients = ha.Clients(deadline="500ms", retry=ha.Retry(attempts=2, backoff=backoff, budget=budget))
    log = refused(clients, rate=ha.Paced(rate=1), over="400s")
    assert_share(int((log.attempts == 2).sum()), len(log), 0.5)


def test_what_a_breaker_keeps_back_leaves_the_budget_as_it_was() -> None:
    budget = {"kind": "concurrent_retries", "share": 0.0, "least": 1}
    breaker = ha.CircuitBreaker(least=1, window="1s", open_for="200ms")
    retry = ha.Retry(attempts=2, backoff={"kind": "constant", "wait": "100ms"}, budget=budget)
    clients = ha.Clients(retry=retry, breaker=breaker)
    faults = [DOWN.model_copy(update={"lasting": 20.0}), ha.ErrorAnswers("api-1", share=0.1, at="40s", lasting="1d")]
    log = log_of(scene(), ha.Load(rate=ha.Paced(rate=1), clients=clients), *faults, over="300s")
    # While it is down, each retry meets a breaker that has just opened; later some errors are tried again.
    assert np.all(log.attempts[within(log, 0.5, 20.0)] == 1)
    assert ended(log, "refused")[within(log, 0.5, 20.0)].all()  # a call that was sent once is not called unsent


def test_a_retry_that_a_copy_made_needless_leaves_the_budget_as_it_was() -> None:
    budget = {"kind": "concurrent_retries", "share": 0.0, "least": 1}
    retry = ha.Retry(attempts=2, backoff={"kind": "constant", "wait": "1s"}, budget=budget)
    clients = ha.Clients(retry=retry, hedge=ha.Hedge(after="50ms"))
    wrong = ha.ErrorAnswers("api-1", share=0.5, at="0s", lasting="1d")
    log = log_of(scene(takes={"fixed": "10ms"}), ha.Load(rate=ha.Paced(rate=0.5), clients=clients), wrong, over="1200s")
    # Calls do not meet, so each may try again. None is slow: it fails in no time, and no copy is sent while it waits
    # for its next attempt. So it fails if first and retry do.
    done = ~ended(log, "unanswered")
    assert_share(int(ended(log, "500").sum()), int(done.sum()), 1 / 4)
    assert log.attempts.max() == 2


def test_a_retry_waits_for_the_copy_and_both_together_stay_within_their_bounds() -> None:
    # First and copy both fail, after 100 and 110 ms; then there is one retry, with no copy left for it.
    retry = ha.Retry(attempts=2, backoff="none")
    clients = ha.Clients(retry=retry, hedge=ha.Hedge(after="10ms"))
    wrong = ha.ErrorAnswers("api-1", at="0s", lasting="1d")
    log = log_of(
        scene(takes={"fixed": "100ms"}, slots=99), ha.Load(rate=ha.Paced(rate=2), clients=clients), wrong, over="60s"
    )
    done = ended(log, "500")
    assert np.all(log.attempts[done] == 3)
    assert np.allclose(latencies(log)[done], 0.21, rtol=0, atol=1e-9)


def test_a_call_that_is_given_up_takes_all_its_attempts_off_the_budget() -> None:
    # Behind a balancer that nobody holds for 3 s, first attempts and copies are out when the deadline comes.
    meters: list[ConcurrentRetriesMeter] = []

    class Watched(Budget):
        """A budget whose meters are kept."""

        def start(self) -> ConcurrentRetriesMeter:
            meters.append(ConcurrentRetriesMeter(ha.ConcurrentRetries(share=0.2, least=0)))
            return meters[-1]

    clients = ha.Clients(deadline="500ms", retry=ha.Retry(budget=Watched()), hedge=ha.Hedge(after="100ms"))
    lb = {"failover": {"takes": {"fixed": "3s"}}}
    load = ha.Load(rate=100, lasting="8s", clients=clients)
    log = log_of(scene(1, lb, slots=99), load, ha.Crash("lb-1", at="2s", lasting="1d"), over="20s")
    assert ended(log, "timeout").sum() > 200
    assert [(meter.firsts, meter.retries) for meter in meters] == [(0, 0)]


def test_copies_are_neither_calls_nor_retries_to_a_budget() -> None:
    budget = {"kind": "concurrent_retries", "share": 0.5, "least": 0}
    retry = ha.Retry(attempts=2, backoff="none", budget=budget)
    clients = ha.Clients(retry=retry, hedge=ha.Hedge(after="100ms"))
    wrong = ha.ErrorAnswers("api-1", at="0s", lasting="1d")
    cluster = scene(takes={"fixed": "1s"}, slots=500)
    log = log_of(cluster, ha.Load(rate=ha.Paced(rate=20), clients=clients), wrong, over="200s")
    # Some twenty calls are in flight at any time, of which retries are as many as half of all: one for one.
    for low in (10.0, 100.0, 180.0):
        assert (log.attempts[within(log, low, low + 10.0)] == 3).sum() > 50


# ----------------------------------------------------------------------------- breakers and throttles


def test_a_breaker_opens_lets_a_probe_through_each_five_seconds_and_closes() -> None:
    clients = ha.Clients(breaker=ha.CircuitBreaker())
    log = log_of(
        scene(), ha.Load(rate=50, clients=clients), ha.Crash("api-1", at="20s", lasting="20s"), over="60s", seed=3
    )
    kept = log.arrived_s[ended(log, "not sent")]
    # Half of what is in ten buckets of a second has failed after some five seconds.
    assert 24.0 < kept[0] < 26.5
    probes = log.arrived_s[ended(log, "refused") & (log.arrived_s > kept[0])]
    assert np.all(np.diff(np.concatenate([[kept[0]], probes])) > 5.0 - 0.2)
    assert 2 <= len(probes) <= 3
    closed = log.arrived_s[ended(log, "ok") & (log.arrived_s > kept[0])][0]
    assert 40.0 <= closed <= 45.2
    after = log.outcome[log.arrived_s > closed + 0.2]
    assert not np.isin(after, log.outcome[ended(log, "not sent")]).any()


@pytest.mark.parametrize("breaker", [ha.CircuitBreaker(), ha.CountBreaker(last=20, least=20, open_for="5s", probes=2)])
def test_a_probe_that_ends_with_its_deadline_is_no_answer_that_never_comes(breaker: Any) -> None:
    clients = ha.Clients(deadline="500ms", breaker=breaker)
    frozen = ha.Pause("api-1", at="20s", lasting="20s")
    log = log_of(scene(slots=100), ha.Load(rate=50, clients=clients), frozen, over="60s", seed=3)
    assert ended(log, "not sent")[within(log, 30.0, 40.0)].mean() > 0.9
    assert np.all(ended(log, "ok")[within(log, 46.0, 59.0)])


def test_a_throttled_client_sends_twice_what_is_accepted() -> None:
    throttling = ha.AdaptiveThrottling(k=2, window="10s", buckets=100)
    clients = ha.Clients(throttling=throttling)
    log = log_of(scene(in_flight_limit=10), ha.Load(rate=400, clients=clients), over="120s")
    steady = within(log, 20.0, 119.0)
    sent, accepted = int((log.attempts[steady] > 0).sum()), int(ended(log, "ok")[steady].sum())
    # Each request is sent with chance 2·accepted/asked, over the last window: so many within 4.5 standard errors,
    # and the window at either end of the span counts for what it differs from the mean, another such error of it.
    error = 4.5 * np.sqrt(sent) + 2 * 4.5 * np.sqrt(2 * 10 * 100)
    assert abs(sent - 2 * accepted) < error
    assert np.all(log.attempts[ended(log, "not sent")] == 0)


# ------------------------------------------------------------------------------------------------ names


def pool_on_hosts() -> ha.Cluster:
    hosts = ["h1", "h2", "h3"]
    return ha.Cluster(
        name="names",
        topology={"hosts": hosts},
        parts={"api": {"kind": "pool", "replicas": 3, "on": hosts, "serving": {"takes": "1ms", "slots": 50}}},
        services={"web": {"up": ["api"]}},
    )


def dns_outages(dns: dict[str, Any], fault: Any, over: str, users: int = 300) -> tuple[Floats, int]:
    """From a crash at 10 s to the first success of each client that a failure met; and how many never had one."""
    clients = ha.Clients(count=users, timeout="100ms", dns=ha.Dns(healthy_only=True, **dns))
    log = log_of(pool_on_hosts(), ha.Load(users=users, think={"fixed": "200ms"}, clients=clients), fault, over=over)
    outages, never = [], 0
    for user in range(users):
        mine = (log.user == user) & (log.arrived_s >= 10.0)
        bad = ended(log, "ok")[mine]
        if bad[0] and bad[1]:
            continue
        good = log.arrived_s[mine & ended(log, "ok") & (log.arrived_s > log.arrived_s[mine][0] + 0.15)]
        if len(good):
            outages.append(good[0] - 10.0)
        else:
            never += 1
    return np.array(outages), never


@pytest.mark.parametrize("fault", ["api-1", "h1"])
def test_a_client_is_out_for_what_is_left_of_its_answer(fault: str) -> None:
    outages, never = dns_outages({"ttl": "20s"}, ha.Crash(fault, at="10s", lasting="1d"), "40s")
    assert never == 0
    assert_share(len(outages), 300, 1 / 3)
    # The first request that meets the new answer comes up to 0.3 s after it: the mean of what that adds, taken off.
    assert_law(outages - 0.15, stats.uniform(0, 20))


def test_a_client_that_never_looks_again_is_out_until_the_server_is_back() -> None:
    outages, never = dns_outages({"ttl": None}, ha.Crash("h1", at="10s", lasting="1d"), "60s")
    assert len(outages) == 0
    assert_share(never, 300, 1 / 3)
    outages, never = dns_outages({"ttl": None}, ha.Crash("h1", at="10s", lasting="30s"), "60s")
    assert never == 0
    assert np.all((outages >= 30.0) & (outages < 30.4))


def test_names_that_list_the_dead_as_well_lead_there_again_and_again() -> None:
    users = 300
    clients = ha.Clients(count=users, timeout="100ms", dns=ha.Dns(ttl="5s"))
    crash = ha.Crash("h1", at="10s", lasting="1d")
    log = log_of(pool_on_hosts(), ha.Load(users=users, think={"fixed": "200ms"}, clients=clients), crash, over="81s")
    for at in (20.0, 40.0, 60.0, 80.0):
        now = within(log, at, at + 0.35)
        lost = {int(user) for user in log.user[now & ended(log, "timeout")]}
        assert_share(len(lost), users, 1 / 3)


def test_a_name_that_is_late_sends_clients_to_the_dead_for_that_long() -> None:
    outages, never = dns_outages({"ttl": "1s", "delay": "10s"}, ha.Crash("h1", at="10s", lasting="1d"), "60s")
    assert never == 0
    # Who looks up meanwhile gets the dead one with a chance of 1/3; after 10 s it takes at most one life of an answer.
    assert outages.max() < 10.0 + 1.0 + 0.4
    assert (outages > 2.0).sum() > 10


# --------------------------------------------------------------------------------------------- outcomes

EACH, KEPT = ha.Clients(timeout="5s", connections="each"), ha.Clients(timeout="5s")
FRONT = {"connect_timeout": "100ms", "server_timeout": "2s"}


def two_requests(fault: str, balanced: bool, clients: ha.Clients) -> list[tuple[str, float]]:
    """What becomes of a request under way when its only server falls at 1 s, and of one that comes a second later."""
    parts: dict[str, Any] = {
        "api": {"kind": "pool", "replicas": 1, "on": ["h1"], "serving": {"takes": {"fixed": "8s"}}}
    }
    if balanced:
        parts["lb"] = {"kind": "balancer", "to": "api", "replicas": 1, **FRONT}
    cluster = ha.Cluster(
        name="two", topology={"hosts": ["h1"]}, parts=parts, services={"web": {"up": ["lb" if balanced else "api"]}}
    )
    load = ha.Load(rate=ha.Replay(times=(0.5, 2.0)), clients=clients)
    log = log_of(cluster, load, ha.Crash(fault, at="1s", lasting="1d"), over="20s")
    return [(OUTCOMES[code], round(took, 6)) for code, took in zip(log.outcome, latencies(log).tolist(), strict=True)]


def test_clients_without_a_balancer_see_resets_refusals_and_silence() -> None:
    assert two_requests("api-1", False, KEPT) == [("reset", 0.5), ("refused", 0.0)]
    assert two_requests("h1", False, KEPT) == [("timeout", 5.0), ("timeout", 5.0)]
    assert two_requests("h1", False, ha.Clients()) == [("unanswered", 19.5), ("unanswered", 18.0)]


def test_clients_of_a_balancer_see_what_it_says() -> None:
    # Three retries, a turn-around of min(connect timeout, 1 s) apart; or four connect timeouts.
    assert two_requests("api-1", True, EACH) == [("502", 0.5), ("503", 0.3)]
    assert two_requests("api-1", True, KEPT) == [("reset", 0.5), ("503", 0.3)]
    assert two_requests("h1", True, EACH) == [("504", 2.0), ("503", 0.4)]


def test_clients_of_a_dead_balancer_hear_of_its_death_and_nothing_until_the_takeover() -> None:
    # The one under way is broken off at once; the one that comes next meets an address that nobody holds.
    assert two_requests("lb-1", True, EACH) == [("reset", 0.5), ("timeout", 5.0)]


def test_who_answers_first_has_answered_whoever_was_asked_last() -> None:
    slow = ha.SlowServer("api-1", factor=1e4, at="0s", lasting="1d")
    clients = ha.Clients(hedge=ha.Hedge(after="200ms"), timeout="5s")
    cluster = scene(2, takes={"fixed": "300ms"}, slots=500)
    log = log_of(cluster, ha.Load(rate=20, clients=clients), slow, over="60s")
    done = ended(log, "ok")
    assert np.all(log.attempts[done] == 2)
    assert np.all(log.server[done] == 1)
    straight = np.isclose(latencies(log)[done], 0.3, rtol=0, atol=1e-9)
    assert np.allclose(latencies(log)[done][~straight], 0.5, rtol=0, atol=1e-9)
    assert_share(int(straight.sum()), int(done.sum()), 0.5)


def test_a_copy_goes_to_another_server_than_the_first() -> None:
    slow = ha.SlowServer("api-1", factor=1e4, at="0s", lasting="1d")
    clients = ha.Clients(hedge=ha.Hedge(after="200ms"), timeout="5s")
    log = log_of(scene(2, slots=50), ha.Load(rate=20, clients=clients), slow, over="60s")
    done = ended(log, "ok")
    assert np.all(log.server[done] == 1)
    copied = log.attempts[done] == 2
    assert_share(int(copied.sum()), int(done.sum()), 0.5)
    assert np.all(latencies(log)[done][copied] > 0.2)
