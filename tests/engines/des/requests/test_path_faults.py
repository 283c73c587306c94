"""Processes that stop, start, freeze, slow down and err, alone and on top of one another; luck that is repeatable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from path_scenes import assert_mean, assert_share, ended, facts, latencies, log_of, play, scene, within

import hasim as ha
from hasim.results.request_log import RequestLog

STEADY = ha.Load(rate=ha.Paced(rate=100))
QUICK: dict[str, Any] = {"takes": {"fixed": "10ms"}, "slots": 100}
DISCIPLINES = ["fifo", "sharing"]


def all_in(log: RequestLog, outcome: str, low: float, high: float) -> bool:
    """Whether all that arrived between two times ended so, and there were some."""
    now = within(log, low, high)
    return bool(now.any() and np.all(ended(log, outcome)[now]))


# ------------------------------------------------------------------------------------------------ stops


def test_a_graceful_stop_finishes_what_it_has_and_refuses_what_comes() -> None:
    stop = ha.Stop("api-1", at="5.005s", lasting="10s")
    run = play(scene(takes={"fixed": "2s"}, slots=1000), STEADY, stop, over="30s")
    log = run.requests
    assert log is not None
    assert all_in(log, "ok", 0.0, 5.005)
    assert all_in(log, "refused", 5.005, 15.005)
    assert all_in(log, "ok", 15.005, 27.9)
    (gone,) = facts(run, "process gone")
    assert gone.at == pytest.approx(5.0 + 2.0)  # once the last one is done


def test_grace_ends_what_takes_longer() -> None:
    stop = ha.Stop("api-1", at="5.005s", lasting="10s")
    log = log_of(scene(takes={"fixed": "4s"}, slots=1000, grace="1s"), STEADY, stop, over="30s")
    assert all_in(log, "ok", 0.0, 2.005)
    cut = within(log, 2.0155, 5.005)
    assert np.all(ended(log, "reset")[cut])
    assert np.allclose(log.ended_s[cut], 6.005, rtol=0, atol=1e-9)


def test_a_stop_without_grace_breaks_everything_at_once() -> None:
    stop = ha.Stop("api-1", at="5.005s", lasting="10s", graceful=False)
    log = log_of(scene(takes={"fixed": "4s"}, slots=1000), STEADY, stop, over="30s")
    cut = within(log, 1.0155, 5.005)
    assert np.all(ended(log, "reset")[cut])
    assert np.all(log.ended_s[cut] == 5.005)


def test_during_the_shutdown_delay_it_serves_on_while_its_checks_fail() -> None:
    cluster = scene(2, {"check": {"interval": "200ms"}, "retries": 0}, shutdown_delay="2s", **QUICK)
    stop = ha.Stop("api-1", at="5.005s", lasting="10s")
    run = play(cluster, STEADY, stop, over="30s")
    log = run.requests
    assert log is not None
    assert np.all(ended(log, "ok")[within(log, 0.0, 29.9)])  # it is out within 0.6 s, and serves for 2 s
    (down,), (gone,) = facts(run, "server down"), facts(run, "process gone")
    assert 5.4 <= down.at <= 5.61
    assert gone.at == pytest.approx(7.005)
    hasty = log_of(scene(2, {"check": {"interval": "200ms"}, "retries": 0}, **QUICK), STEADY, stop, over="30s")
    lost = ended(hasty, "503")
    assert 0.4 * 50 - 1 <= lost.sum() <= 0.6 * 50 + 1  # with no delay, every second request until it is out
    assert not lost[~within(hasty, 5.0, 5.7)].any()


@pytest.mark.parametrize("lasting", [1.0, 3.0])
def test_a_start_that_comes_before_the_old_process_has_gone_is_not_forgotten(lasting: float) -> None:
    # The old process serves for 2 s more, then finishes what it has, for 3 s; a supervisor waits for its end.
    cluster = scene(takes={"fixed": "3s"}, slots=1000, shutdown_delay="2s")
    log = log_of(cluster, STEADY, ha.Stop("api-1", at="5.005s", lasting=f"{lasting}s"), over="30s")
    assert all_in(log, "ok", 0.005, 7.005)
    assert all_in(log, "refused", 7.005, 10.0)
    assert all_in(log, "ok", 10.01, 26.9)


def test_a_stop_meets_a_process_that_is_still_starting_up() -> None:
    cluster = scene(start_up={"fixed": "4s"}, **QUICK)
    faults = [ha.Crash("api-1", at="5.005s", lasting="1s"), ha.Stop("api-1", at="8.005s", lasting="10s")]
    log = log_of(cluster, STEADY, *faults, over="30s")
    assert all_in(log, "refused", 5.005, 22.005)
    assert all_in(log, "ok", 22.005, 29.9)


def test_a_second_stop_of_a_process_that_leaves_already_only_keeps_the_next_one_away() -> None:
    cluster = scene(shutdown_delay="4s", **QUICK)
    faults = [
        ha.Stop("api-1", at="5.005s", lasting="500ms"),
        ha.Stop("api-1", at="6.005s", lasting="8s"),
    ]
    log = log_of(cluster, STEADY, *faults, over="30s")
    assert all_in(log, "ok", 5.505, 9.005)
    assert all_in(log, "refused", 9.005, 14.005)
    assert all_in(log, "ok", 14.005, 29.9)


def test_the_next_process_has_a_shutdown_delay_of_its_own() -> None:
    cluster = scene(shutdown_delay="4s", **QUICK)
    faults = [
        ha.Stop("api-1", at="5.005s", lasting="500ms"),
        ha.Crash("api-1", at="6.005s", lasting="1s"),
        ha.Stop("api-1", at="8.005s", lasting="8s"),
    ]
    log = log_of(cluster, STEADY, *faults, over="30s")
    assert all_in(log, "refused", 6.005, 7.005)
    assert all_in(log, "ok", 7.005, 12.005)  # past 9.005, when the delay of the first process would have ended
    assert all_in(log, "refused", 12.005, 16.005)
    assert all_in(log, "ok", 16.005, 29.9)


# -------------------------------------------------------------------------------------- cold and warm


def test_a_cold_server_is_slow_by_a_factor_that_falls_linearly() -> None:
    cluster = scene(start_up={"fixed": "3s"}, warm_up={"factor": 5, "lasting": "10s"}, **QUICK)
    log = log_of(cluster, STEADY, ha.Crash("api-1", at="5.005s", lasting="2s"), over="30s")
    assert all_in(log, "refused", 5.005, 10.005)
    span = within(log, 10.005, 29.0)
    factors = np.maximum(1.0, 5.0 - 4.0 * (log.arrived_s[span] - 10.005) / 10.0)
    assert np.allclose(latencies(log)[span], 0.01 * factors, rtol=0, atol=1e-9)
    assert np.allclose(latencies(log)[within(log, 0.0, 5.0)], 0.01, rtol=0, atol=1e-9)  # it was warm at first


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_slowness_comes_on_slowness_and_goes_with_it(discipline: str) -> None:
    cluster = scene(discipline=discipline, **QUICK)
    slow = [
        ha.SlowServer("api-1", factor=3, at="5s", lasting="10s"),
        ha.SlowServer("api-1", factor=7, at="10s", lasting="10s"),
    ]
    log = log_of(cluster, ha.Load(rate=50), *slow, over="30s")
    for low, high, factor in ((0, 5, 1), (5, 10, 3), (10, 15, 21), (15, 20, 7), (20, 29, 1)):
        span = within(log, low, high)
        assert np.allclose(latencies(log)[span], 0.01 * factor, rtol=0, atol=1e-9)


def test_collections_stop_what_is_there_for_their_share_of_time() -> None:
    collections = {"every": "1s", "lasting": {"fixed": "50ms"}}
    cluster = scene(takes={"fixed": "1ms"}, slots=1000, collections=collections)
    log = log_of(cluster, ha.Load(rate=50), over="1200s")
    late = latencies(log) > 0.001 + 1e-9
    # Who comes in a pause, or is there when one begins: (50 ms + P(a gap < 1 ms) · 1 s) of 1.05 s.
    expected = (0.05 + (1 - math.exp(-0.001))) / 1.05
    assert_mean(late.astype(float), log.arrived_s, expected, end=1200.0)
    assert latencies(log).max() <= 0.051 + 1e-9
    # What is left of a pause is uniform: a half of it on average.
    assert_mean(latencies(log)[late & (latencies(log) > 0.0011)], log.arrived_s[late & (latencies(log) > 0.0011)],
                0.001 + (0.0001 + 0.05) / 2, end=1200.0)  # fmt: skip


# ------------------------------------------------------------------------------------------------- pauses


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_pause_ends_nothing_and_shifts_what_is_under_way(discipline: str) -> None:
    cluster = scene(takes={"fixed": "300ms"}, slots=1000, discipline=discipline)
    log = log_of(cluster, STEADY, ha.Pause("api-1", at="5.005s", lasting="4s"), over="30s")
    assert not within_ended(log, 5.005, 9.005).any()
    under_way, meanwhile = within(log, 4.7055, 5.005), within(log, 5.005, 9.005)
    assert np.allclose(latencies(log)[under_way], 4.3, rtol=0, atol=1e-9)
    assert np.allclose(log.ended_s[meanwhile], 9.305, rtol=0, atol=1e-9)
    assert np.allclose(latencies(log)[within(log, 9.005, 29.0)], 0.3, rtol=0, atol=1e-9)


def within_ended(log: RequestLog, low: float, high: float) -> Any:
    """Which requests ended between two times."""
    return (log.ended_s > low) & (log.ended_s < high)


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_pauses_that_overlap_last_until_the_last_of_them(discipline: str) -> None:
    cluster = scene(discipline=discipline, **QUICK)
    pauses = [ha.Pause("api-1", at="5.005s", lasting="4s"), ha.Pause("api-1", at="7s", lasting="5s")]
    log = log_of(cluster, STEADY, *pauses, over="30s")
    assert not within_ended(log, 5.005, 12.0).any()
    assert all_in(log, "ok", 0.0, 29.9)


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_pause_of_a_process_that_died_does_not_hold_the_next_one(discipline: str) -> None:
    cluster = scene(discipline=discipline, **QUICK)
    crash = ha.Crash("api-1", at="5.005s", lasting="5s")
    for at in ("4s", "7s"):  # it dies while it is frozen; or nothing runs that could be frozen
        log = log_of(cluster, STEADY, crash, ha.Pause("api-1", at=at, lasting="15s"), over="30s")
        assert all_in(log, "refused", 5.005, 10.005)
        assert all_in(log, "ok", 10.005, 29.9)
        assert np.allclose(latencies(log)[within(log, 10.005, 29.9)], 0.01, rtol=0, atol=1e-9)


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_frozen_process_refuses_nobody_and_does_so_when_it_wakes(discipline: str) -> None:
    cluster = scene(takes={"fixed": "10ms"}, slots=10, discipline=discipline, in_flight_limit=50)
    log = log_of(cluster, STEADY, ha.Pause("api-1", at="5.005s", lasting="2s"), over="30s")
    meanwhile = within(log, 5.005, 7.005)
    shed = meanwhile & ended(log, "429")
    assert meanwhile.sum() == 200
    assert (meanwhile & ended(log, "ok")).sum() == 50 - 1  # one was under way
    assert np.allclose(log.ended_s[shed], 7.005, rtol=0, atol=1e-9)


def test_a_hung_process_does_not_leave_when_it_is_asked_to() -> None:
    faults = [ha.Pause("api-1", at="5.005s", lasting="1d"), ha.Stop("api-1", at="6.005s", lasting="50s")]
    run = play(scene(grace="10s", **QUICK), ha.Load(rate=ha.Replay(times=(1.0,))), *faults, over="90s")
    (gone,) = facts(run, "process gone")
    assert gone.at == pytest.approx(16.005)


# ------------------------------------------------------------------------------------------------- errors


def test_error_answers_are_of_the_share_and_pass_away() -> None:
    wrong = ha.ErrorAnswers("api-1", share=0.3, at="5s", lasting="50s")
    log = log_of(scene(2, {"policy": "random"}, **QUICK), ha.Load(rate=200), wrong, over="70s")
    mine = within(log, 5.0, 54.9) & (log.server == 0)
    assert_share(int(ended(log, "500")[mine].sum()), int(mine.sum()), 0.3)
    assert not ended(log, "500")[log.server == 1].any()
    assert not ended(log, "500")[~within(log, 4.9, 55.0)].any()


# ------------------------------------------------------------------------------------------- repeatability

COLUMNS = ("load", "arrived_s", "ended_s", "attempts", "server", "outcome", "user", "write")

BUSY = ha.Load(
    rate=150,
    name="busy",
    writes=0.3,
    clients=ha.Clients(count=20, timeout="50ms", retry=ha.Retry(), hedge=ha.Hedge(after="30ms"), connections="each"),
)
LB: dict[str, Any] = {"policy": "least_request", "check": {}, "ejection": {"kind": "outlier_detection"}, "vrrp": {}}


def busy(seed: int, *more: Any, load: ha.Load = BUSY) -> RequestLog:
    faults = [ha.Pause("api-1", at="5s", lasting="3s"), ha.ErrorAnswers("api-2", share=0.5, at="8s", lasting="4s")]
    return log_of(scene(3, LB, slots=2), load, *faults, *more, over="20s", seed=seed)


def test_one_seed_is_one_log() -> None:
    one, same, other = busy(7), busy(7), busy(8)
    for column in COLUMNS:
        assert np.array_equal(getattr(one, column), getattr(same, column))
    assert not np.array_equal(one.arrived_s, other.arrived_s)


def test_another_load_does_not_change_when_the_first_one_comes() -> None:
    alone, crowded = busy(7), busy(7, ha.Load(rate=100, name="more"))
    mine = crowded.load == crowded.loads.index("busy")
    for column in ("arrived_s", "user", "write"):
        order = np.argsort(crowded.arrived_s[mine], kind="stable")
        assert np.array_equal(getattr(alone, column), getattr(crowded, column)[mine][order])


def test_arrivals_do_not_depend_on_what_servers_and_clients_do() -> None:
    calm = ha.Load(rate=150, name="busy", writes=0.3, clients=ha.Clients(count=20))
    one, other = busy(7), busy(7, load=calm)
    for column in ("arrived_s", "user", "write"):
        assert np.array_equal(getattr(one, column), getattr(other, column))


def test_ctrl_c_keeps_what_has_ended_and_says_what_had_not() -> None:
    cluster = scene(takes={"fixed": "95ms"}, slots=100)
    never = ha.SlowServer("api", factor=2, at="3650d", lasting="1s")

    def stop(now: float, _: float) -> None:
        if now >= 12.0:
            raise KeyboardInterrupt

    whole = log_of(cluster, ha.Load(rate=200), over="60s")
    run = ha.simulate(cluster.during(ha.Load(rate=200), never), over="60s", seed=1, progress=stop)
    log = run.requests
    assert log is not None
    assert log.end_s == pytest.approx(12.0, abs=0.61)
    assert run.warnings[0].startswith("interrupted")
    done = ~ended(log, "unanswered")
    assert 10 < (~done).sum() < 40  # some twenty are under way
    assert np.all(log.ended_s[~done] == log.end_s)
    for column in ("arrived_s", "ended_s", "outcome"):
        assert np.array_equal(getattr(log, column)[done], getattr(whole, column)[: len(log)][done])
