"""Queues whose answers are in the textbooks, played request by request.

Sources: Kleinrock, Queueing Systems I (1975) for M/M/1, M/M/c, M/G/1, M/M/1/K and the machine repairmen; Harchol-
Balter, Performance Modeling and Design of Computer Systems (2013) for processor sharing; Mitzenmacher (1996) for two
choices.
Where it can be had, the test goes further than a mean: a log of arrivals and ends implies the service time of every
request, if the discipline is what it should be, and those are independent draws of the law.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from path_scenes import (
    Floats,
    assert_law,
    assert_mean,
    assert_share,
    batch_means,
    ended,
    exponential,
    fifo_services,
    found_there,
    latencies,
    log_of,
    scene,
    settled,
    shared_work,
)
from scipy import stats

import hasim as ha
from hasim.model.laws import Law


def erlang_c(servers: int, offered: float) -> float:
    """Chance to wait in M/M/c, by the recursion of Erlang's B."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    rho = offered / servers
    return blocked / (1 - rho * (1 - blocked))


def test_erlang_c_has_the_published_values() -> None:
    assert erlang_c(10, 8) == pytest.approx(0.409180, abs=5e-7)
    assert erlang_c(100, 95) == pytest.approx(0.506457, abs=5e-7)


def test_mm1_has_the_sojourn_times_and_queue_lengths_of_the_textbook() -> None:
    end, rho, mu = 1500.0, 0.8, 100.0
    log = log_of(scene(), ha.Load(rate=rho * mu), over="1500s")
    arrived, ends = settled(log)
    # The relaxation time 1/(μ(1-√ρ)²) is 0.9 s, and a batch is fifty of them long.
    assert_mean(ends - arrived, arrived, 1 / (mu - rho * mu), end=end)
    for length in (1, 3):  # Poisson arrivals see time averages
        there = (found_there(arrived, ends) >= length).astype(float)
        assert_mean(there, arrived, rho**length, end=end)
    late = ((ends - arrived) > 0.05).astype(float)
    assert_mean(late, arrived, math.exp(-(mu - rho * mu) * 0.05), end=end)
    seldom = np.searchsorted(arrived, np.arange(5.0, end, 5.0))  # five relaxation times apart: nearly independent
    assert_law((ends - arrived)[seldom[seldom < len(arrived)]], exponential(1 / (mu - rho * mu)))


@pytest.mark.parametrize(
    ("slots", "offered", "over", "batches"), [(2, 1.6, 400, 30), (10, 8.0, 60, 30), (100, 80.0, 10, 30)]
)
def test_mmc_waits_with_the_chance_of_erlang(slots: int, offered: float, over: int, batches: int) -> None:
    log = log_of(scene(slots=slots), ha.Load(rate=offered * 100), over=f"{over}s")
    arrived, ends = settled(log)
    starts, services = fifo_services(arrived, ends, slots)
    assert np.all(services > 0)
    assert_law(services, exponential(0.01))
    waits = starts - arrived
    chance = erlang_c(slots, offered)
    mean, error = batch_means((waits > 0).astype(float), arrived, batches, 0.0, float(over))
    assert abs(mean - chance) < stats.t.ppf(1 - 5e-6, batches - 1) * error
    assert error < chance / 4
    mean, error = batch_means(waits, arrived, batches, 0.0, float(over))
    assert abs(mean - chance * 0.01 / (slots - offered)) < stats.t.ppf(1 - 5e-6, batches - 1) * error


@pytest.mark.slow
def test_a_hundred_busy_slots_wait_with_the_chance_of_erlang() -> None:
    log = log_of(scene(slots=100), ha.Load(rate=9500), over="60s")
    arrived, ends = settled(log)
    waits = fifo_services(arrived, ends, 100)[0] - arrived
    assert_mean((waits > 0).astype(float), arrived, 0.506457, end=60.0, batches=30)  # a batch: 13 relaxation times
    assert_mean(waits, arrived, 0.506457 * 0.01 / 5, end=60.0, batches=20)


GAMMA_OF_SCV_4 = stats.gamma(0.25, scale=0.04)


@pytest.mark.parametrize(
    ("law", "scv", "cdf"),
    [
        (ha.Fixed(value="10ms"), 0, None),
        (ha.Exponential(mean="10ms"), 1, exponential(0.01)),
        (ha.Gamma(shape=0.25, mean="10ms"), 4, GAMMA_OF_SCV_4),
    ],
    ids=["fixed", "exponential", "gamma"],
)
def test_mg1_waits_as_pollaczek_and_khinchine_say(law: Law, scv: float, cdf: stats.rv_continuous | None) -> None:
    end, rho = 1500.0, 0.7
    log = log_of(scene(takes=law), ha.Load(rate=rho * 100), over="1500s")
    arrived, ends = settled(log)
    starts, services = fifo_services(arrived, ends, 1)
    if cdf is None:
        assert np.allclose(services, 0.01, rtol=0, atol=1e-9)
    else:
        assert_law(services, cdf)
    assert_mean(starts - arrived, arrived, rho * (1 + scv) * 0.01 / (2 * (1 - rho)), end=end)


def test_dm1_has_the_sojourn_time_of_the_root() -> None:
    rate, mu, end = 80.0, 100.0, 600.0
    root = 0.5
    for _ in range(200):  # σ = E[exp(-μ(1-σ)A)] for a gap A that is always 1/λ
        root = math.exp(-mu * (1 - root) / rate)
    log = log_of(scene(), ha.Load(rate=ha.Paced(rate=rate)), over="600s")
    arrived, ends = settled(log)
    assert_mean(ends - arrived, arrived, 1 / (mu * (1 - root)), end=end)
    assert_mean((ends - arrived > 0.05).astype(float), arrived, math.exp(-mu * (1 - root) * 0.05), end=end)


@pytest.mark.parametrize(("rho", "limit", "loss"), [(0.8, 5, 0.088819), (0.8, 10, 0.023493), (1.2, 10, 0.192586)])
def test_an_in_flight_limit_loses_what_mm1k_loses(rho: float, limit: int, loss: float) -> None:
    log = log_of(scene(in_flight_limit=limit), ha.Load(rate=rho * 100), over="600s")
    shed = ended(log, "429")
    assert_mean(shed.astype(float), log.arrived_s, loss, end=600.0)
    assert np.all(latencies(log)[shed] == 0)
    served = ~shed
    found = np.arange(len(log)) - np.searchsorted(np.sort(log.ended_s[served]), log.arrived_s, side="right")
    found -= np.concatenate([[0], np.cumsum(shed)[:-1]])  # the shed were never there
    assert np.all(found[shed] == limit)
    assert np.all(found[served] < limit)


@pytest.mark.parametrize(
    ("law", "cdf"),
    [
        (ha.Fixed(value="10ms"), None),
        (ha.Exponential(mean="10ms"), exponential(0.01)),
        (ha.Gamma(shape=0.25, mean="10ms"), GAMMA_OF_SCV_4),
    ],
    ids=["fixed", "exponential", "gamma"],
)
def test_processor_sharing_does_not_feel_the_law_of_service(law: Law, cdf: stats.rv_continuous | None) -> None:
    rho, end = 0.7, 1200.0
    log = log_of(scene(takes=law, discipline="sharing"), ha.Load(rate=rho * 100), over="1200s")
    done = ~ended(log, "unanswered")
    arrived, took = log.arrived_s[done], latencies(log)[done]
    work = shared_work(log.arrived_s, log.ended_s, 1)[done]
    if cdf is None:
        assert np.allclose(work, 0.01, rtol=0, atol=1e-8)
    else:
        assert_law(work, cdf)
    assert_mean(took, arrived, 0.01 / (1 - rho), end=end)
    stretch = (took - work / (1 - rho)) * work  # E[T|x] = x/(1-ρ): nothing is left that goes with x
    mean, error = batch_means(stretch, arrived, 30, 0.0, end)
    assert abs(mean) < stats.t.ppf(1 - 5e-6, 29) * error


def test_processors_that_are_shared_by_few_give_each_a_whole_one() -> None:
    log = log_of(scene(slots=4, discipline="sharing"), ha.Load(rate=350), over="100s")
    done = ~ended(log, "unanswered")
    assert_law(shared_work(log.arrived_s, log.ended_s, 4)[done], exponential(0.01))


def test_random_of_ten_is_ten_times_mm1() -> None:
    log = log_of(scene(10, {"policy": "random"}), ha.Load(rate=800), over="150s")
    done = ~ended(log, "unanswered")
    assert_mean(latencies(log)[done], log.arrived_s[done], 1 / 20, end=150.0)
    for server in range(10):
        mine = done & (log.server == server)
        assert_share(int(mine.sum()), int(done.sum()), 0.1)
        assert_law(fifo_services(log.arrived_s[mine], log.ended_s[mine], 1)[1], exponential(0.01))
    alone = log.arrived_s[done & (log.server == 3)]
    assert_law(np.diff(alone), exponential(1 / 80))  # thinned Poisson streams are Poisson


Pick = Callable[[list[int], np.random.Generator], int]


def two_choices(lengths: list[int], rng: np.random.Generator) -> int:
    one, other = (int(rng.random() * len(lengths)) for _ in range(2))
    return one if lengths[one] <= lengths[other] else other


def shortest(lengths: list[int], rng: np.random.Generator) -> int:
    return lengths.index(min(lengths))


def jump_chain(servers: int, rho: float, pick: Pick, steps: int, seed: int, batches: int = 20) -> tuple[float, float]:
    """Mean sojourn (in mean services) of exponential servers under a policy, from the chain of their lengths alone.

    At most n(ρ+1) events a unit of time; an event is an arrival with chance ρ/(ρ+1), else a server is drawn, which
    ends a request if it has one. E[T] is the mean number over n·ρ, by Little's law. No time is needed, and no request.
    """
    rng = np.random.default_rng(seed)
    lengths, total = [0] * servers, 0
    sums = np.zeros(batches)
    arrive = rho / (rho + 1)
    warm = steps // 10
    for step in range(-warm, steps):
        if step >= 0:
            sums[step * batches // steps] += total
        if rng.random() < arrive:
            lengths[pick(lengths, rng)] += 1
            total += 1
        else:
            one = int(rng.random() * servers)
            if lengths[one]:
                lengths[one] -= 1
                total -= 1
    means = sums / (steps / batches) / (servers * rho)
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(batches))


def test_two_choices_are_as_good_as_a_chain_of_lengths_says() -> None:
    servers, rho = 50, 0.9
    expected, its_error = jump_chain(servers, rho, two_choices, 400_000, seed=5)
    log = log_of(scene(servers, {"policy": "least_request"}), ha.Load(rate=rho * servers * 100), over="22s")
    done = ~ended(log, "unanswered")
    mean, error = batch_means(latencies(log)[done] / 0.01, log.arrived_s[done], 20, 2.0, 22.0)
    assert abs(mean - expected) < stats.t.ppf(1 - 5e-6, 19) * math.hypot(error, its_error)
    assert max(error, its_error) < 0.05 * expected
    # For n → ∞ E[T] is the sum of ρ^(2^i - 2), 2.614; a finite n adds a term of the order of 1/n.
    limit = sum(rho ** (2**i - 2) for i in range(1, 12))
    assert limit == pytest.approx(2.614, abs=5e-4)
    assert limit < mean < limit * (1 + 10 / servers)


def test_the_shortest_queue_is_as_good_as_a_chain_of_lengths_says_and_has_a_shorter_tail_than_two_choices() -> None:
    servers, rho = 10, 0.9
    tails: dict[str, tuple[Floats, float, float]] = {}
    for policy in ("least_connections", "least_request"):
        log = log_of(scene(servers, {"policy": policy}), ha.Load(rate=rho * servers * 100), over="102s")
        done = ~ended(log, "unanswered")
        at, waited = log.arrived_s[done], latencies(log)[done]
        late = batch_means((waited > 0.06).astype(float), at, 20, 2.0, 102.0)
        mean = batch_means(waited / 0.01, at, 20, 2.0, 102.0)
        tails[policy] = (np.array(mean), *late)
    expected, its_error = jump_chain(servers, rho, shortest, 400_000, seed=6)
    (mean_, error), share, share_error = tails["least_connections"]
    assert abs(mean_ - expected) < stats.t.ppf(1 - 5e-6, 19) * math.hypot(error, its_error)
    _, other, other_error = tails["least_request"]
    assert other - share > stats.t.ppf(1 - 5e-6, 19) * math.hypot(share_error, other_error)


def test_hedged_requests_have_the_law_of_the_faster_of_two() -> None:
    after = 0.02
    clients = ha.Clients(hedge=ha.Hedge(after=f"{after}s"))
    log = log_of(scene(50, {"policy": "round_robin"}), ha.Load(rate=20, clients=clients), over="1000s")
    done = ~ended(log, "unanswered")

    class Faster:
        """P(T > t) = F̄(t) F̄(t - d) for t > d."""

        def cdf(self, t: Floats) -> Floats:
            return 1 - np.exp(-t / 0.01 - np.maximum(t - after, 0) / 0.01)

    assert_law(latencies(log)[done], Faster())
    assert_share(int((log.attempts[done] == 2).sum()), int(done.sum()), math.exp(-after / 0.01))


def repairmen(users: int, think: float, takes: float, slots: int) -> float:
    """Throughput of a closed loop, M/M/c//N: a birth-death chain of those who wait or are served."""
    chances = [1.0]
    for there in range(1, users + 1):
        chances.append(chances[-1] * (users - there + 1) / think * takes / min(there, slots))
    busy = sum(chance * min(there, slots) for there, chance in enumerate(chances)) / sum(chances)
    return busy / takes


@pytest.mark.parametrize(("users", "slots"), [(12, 1), (50, 3)])
def test_a_closed_loop_has_the_throughput_and_response_of_the_repairmen(users: int, slots: int) -> None:
    end, think = 1010.0, 0.2
    load = ha.Load(users=users, think=f"{think}s")
    log = log_of(scene(slots=slots, takes="20ms"), load, over="1010s")
    x = repairmen(users, think, 0.02, slots)
    done = ~ended(log, "unanswered")
    counts = np.histogram(log.ended_s[done], np.linspace(10, end, 51))[0] / 20.0
    assert abs(counts.mean() - x) < stats.t.ppf(1 - 5e-6, 49) * counts.std(ddof=1) / math.sqrt(50)
    # N = X (R + Z), the interactive response time law.
    assert_mean(latencies(log)[done], log.arrived_s[done], users / x - think, start=10.0, end=end)
    assert set(log.user.tolist()) == set(range(users))
    for user in (0, users - 1):
        mine = log.user == user
        thoughts = log.arrived_s[mine][1:] - log.ended_s[mine][:-1]
        assert_law(thoughts, exponential(think))


def test_users_who_do_not_think_keep_every_slot_busy() -> None:
    log = log_of(scene(slots=2), ha.Load(users=7), over="100s")
    done = ~ended(log, "unanswered")
    rate = done.sum() / 100.0  # a Poisson count: both slots are always busy
    assert abs(rate - 200) < 4.5 * math.sqrt(200 / 100)
    assert int((~done).sum()) == 7


def test_users_who_do_not_think_and_are_refused_at_once_do_not_stop_the_clock() -> None:
    log = log_of(scene(), ha.Load(users=3), ha.Crash("api-1", at="1s", lasting="1s"), over="3s")
    refused = ended(log, "refused")
    assert 3 * 900 < refused.sum() <= 3 * 1001  # one a millisecond and user
    assert (ended(log, "ok") & (log.arrived_s > 2.002)).any()


def test_the_newest_first_has_the_mean_of_the_oldest_first_and_the_second_moment_of_its_own() -> None:
    end, rho, mu = 2000.0, 0.6, 100.0
    log = log_of(scene(discipline="lifo"), ha.Load(rate=rho * mu), over="2000s")
    done = ~ended(log, "unanswered")
    arrived, took = log.arrived_s[done], latencies(log)[done]
    assert_mean(took, arrived, 1 / (mu - rho * mu), end=end)
    # M/G/1, last come first served: E[W²] = λx₃/(3(1-ρ)²) + (λx₂)²/(2(1-ρ)³), for M/M/1 2ρ/(μ²(1-ρ)³); in order of
    # arrival it is less by a factor 1-ρ. The service that follows is independent of the wait.
    waits, waits_squared = rho / (mu - rho * mu), 2 * rho / (mu**2 * (1 - rho) ** 3)
    assert_mean(took**2, arrived, waits_squared + 2 * waits / mu + 2 / mu**2, end=end)
