"""Overload that outlives its cause, and what cures it: the thresholds of a first-come queue with impatient callers.

The model: one server of 100 requests a second, callers who give up after a second and try three times in all, at once
(without back-off). While nobody is answered in time every call makes three attempts, so the server sees 3λ. It catches
up only if 3λ < μ, that is below 100/3 calls a second (T2 of Huang et al., Metastable Failures in the Wild, OSDI 2022:
stable if L < C/w). A server that serves nothing wakes to a queue that is older than the patience of those in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import assert_share, ended, latencies, log_of, scene, within
from scipy import stats

import hasim as ha

IMPATIENT = ha.Clients(timeout="1s", retry=ha.Retry(attempts=3, backoff="none"))


def goodput_long_after(
    rate: float, stopped: float, seed: int, clients: ha.Clients = IMPATIENT, **serving: Any
) -> float:
    """Share of calls answered in the last 40 s of the 150 s after a stop."""
    load = ha.Load(rate=rate, clients=clients)
    stop = ha.Pause("api-1", at="20s", lasting=f"{stopped}s")
    end = 20.0 + stopped + 150.0
    log = log_of(scene(**serving), load, stop, over=f"{end + 5}s", seed=seed)
    before, after = within(log, 5.0, 15.0), within(log, end - 40.0, end)
    assert ended(log, "ok")[before].mean() > 0.99, "it was well before the stop"
    return float(ended(log, "ok")[after].mean())


SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_below_a_third_of_the_capacity_it_heals_from_ten_seconds_of_nothing(seed: int) -> None:
    assert goodput_long_after(30, 10, seed) > 0.99


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [34, 60])
def test_above_a_third_of_the_capacity_it_is_lost_for_good(rate: float, seed: int) -> None:
    # At 34 the queue grows by 2 a second; that luck brings it back has a chance of exp(-2·2·818/406), 3e-4.
    assert goodput_long_after(rate, 10, seed) < 0.05


def test_just_below_the_threshold_healing_takes_as_long_as_a_random_walk_home() -> None:
    rate, mu, after, seeds = 32.0, 100.0, 150.0, 12
    # When the server wakes, calls of 10 s have made 27 attempts for each a second; they are to become a second's work.
    # From there the queue falls by 4 a second, with a variance of μ + 9λ: a Brownian motion, and its first passage.
    way, drift, spread = 27 * rate - mu, mu - 3 * rate, np.sqrt((mu + 9 * rate) * after)
    healed = float(stats.norm.cdf((drift * after - way) / spread))
    healed += np.exp(2 * drift * way / (mu + 9 * rate)) * float(stats.norm.cdf((-drift * after - way) / spread))
    assert 0.1 < healed < 0.4, "a run of 150 s cannot tell 32 from 100/3, only several can"
    lost = sum(goodput_long_after(rate, 10, seed) < 0.05 for seed in range(seeds))
    assert_share(lost, seeds, 1 - healed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_just_below_the_threshold_it_heals_in_the_end(seed: int) -> None:
    load = ha.Load(rate=32, clients=IMPATIENT)
    log = log_of(scene(), load, ha.Pause("api-1", at="20s", lasting="10s"), over="1500s", seed=seed)
    assert ended(log, "ok")[within(log, 1400.0, 1500.0 - 5)].mean() > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_at_sixty_a_second_it_survives_a_stop_of_one_second_and_not_of_two(seed: int) -> None:
    assert goodput_long_after(60, 1, seed) > 0.99
    assert goodput_long_after(60, 2, seed) < 0.05


@pytest.mark.parametrize("cure", [{"drop_expired": True}, {"discipline": "lifo"}], ids=["drop expired", "lifo"])
@pytest.mark.parametrize("seed", SEEDS)
def test_dropping_what_nobody_waits_for_and_the_newest_first_both_heal(cure: dict[str, Any], seed: int) -> None:
    assert goodput_long_after(60, 10, seed, **cure) > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_a_budget_for_retries_heals(seed: int) -> None:
    # With a tenth of retries the server sees 66 of 100 a second, once the reserve is spent.
    budget = {"kind": "retry_ratio", "share": 0.1, "reserve": 0}
    clients = ha.Clients(timeout="1s", retry=ha.Retry(attempts=3, backoff="none", budget=budget))
    assert goodput_long_after(60, 10, seed, clients) > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bound_on_the_queue_heals(seed: int) -> None:
    # Fifty in flight are half a second of work: whoever gets in is answered in time, whatever is refused.
    assert goodput_long_after(60, 10, seed, in_flight_limit=50) > 0.99


def test_while_it_is_lost_every_call_makes_three_attempts_and_fails_after_three_timeouts() -> None:
    load = ha.Load(rate=60, clients=IMPATIENT)
    log = log_of(scene(), load, ha.Pause("api-1", at="20s", lasting="10s"), over="180s")
    lost = within(log, 100.0, 170.0)
    assert np.all(log.attempts[lost] == 3)
    assert np.all(ended(log, "timeout")[lost])
    assert np.allclose(latencies(log)[lost], 3.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_shedding_at_a_price_leaves_what_is_left_of_the_server(share: float) -> None:
    """Goodput (μ - φλ)/(1 - φ) for λ > μ, if refusing takes φ of serving."""
    mu, rate, over = 100.0, 150.0, 400.0
    takes = {"fixed": f"{10 * share}ms"}
    log = log_of(scene(in_flight_limit=20, shedding_takes=takes), ha.Load(rate=rate), over=f"{over}s")
    expected = (mu - share * rate) / (1 - share)
    counts = np.histogram(log.ended_s[ended(log, "ok")], np.linspace(0, over, 41))[0] / (over / 40)
    # Saturated throughout: the counts of 10 s are nearly independent.
    assert abs(counts[1:].mean() - expected) < 4.5 * counts[1:].std(ddof=1) / np.sqrt(39)
    assert ended(log, "429").sum() > 0


def test_shedding_at_a_price_serves_nothing_once_refusals_take_all() -> None:
    log = log_of(scene(in_flight_limit=20, shedding_takes={"fixed": "5ms"}), ha.Load(rate=240), over="200s")
    assert ended(log, "ok")[within(log, 20.0, 200.0)].sum() == 0


def test_shedding_for_nothing_keeps_the_whole_server() -> None:
    over = 200.0
    log = log_of(scene(in_flight_limit=20), ha.Load(rate=300), over="200s")
    # The chance to be idle is (1-ρ)/(1-ρ^21) for ρ = 3, some 1e-10: services follow one another without a gap.
    assert abs(ended(log, "ok").sum() - 100 * over) < 4.5 * np.sqrt(100 * over)
