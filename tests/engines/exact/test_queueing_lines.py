"""Formulas of queues agree with published values, with birth-death chains solved as such, and with integrals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate

from hasim.engines.exact.queueing import (
    MM1,
    MMc,
    MMcK,
    erlang_b,
    erlang_c,
    kingman_wait,
    loss_share,
    pollaczek_khinchine_wait,
    sharing_time,
)
from hasim.errors import ModelError

Floats = NDArray[np.float64]


def chain(arrival_rate: float, service_rate: float, servers: int, room: int) -> Floats:
    """The long run of a birth-death chain by solving its balance equations, shape (room + 1,)."""
    rates = np.zeros((room + 1, room + 1))
    for n in range(room):
        rates[n, n + 1] = arrival_rate
        rates[n + 1, n] = min(n + 1, servers) * service_rate
    rates -= np.diag(rates.sum(axis=1))
    system = np.vstack([rates.T[:-1], np.ones(room + 1)])
    return np.linalg.solve(system, np.eye(room + 1)[-1])


# ------------------------------------------------------------------------------------------ one server


def test_one_server_at_nine_tenths_has_the_textbook_numbers() -> None:
    queue = MM1(0.9, 1.0)
    assert float(queue.time_quantile(0.99)) * 0.1 == pytest.approx(4.605, abs=5e-4)
    assert float(queue.mean_time) == pytest.approx(10.0)
    assert float(queue.mean_number) == pytest.approx(9.0)
    assert float(queue.mean_wait) == pytest.approx(9.0)
    assert float(queue.time_tail(20.0)) == pytest.approx(math.exp(-2.0))


def test_one_server_agrees_with_its_chain() -> None:
    law = chain(0.7, 1.0, 1, 150)  # cut where 0.7¹⁵⁰ = 6e-24
    queue = MM1(0.7, 1.0)
    assert float(queue.mean_number) == pytest.approx(law @ np.arange(151), rel=1e-9)
    assert float(queue.load) == pytest.approx(1 - law[0], rel=1e-9)
    assert float(queue.mean_time) * 0.7 == pytest.approx(float(queue.mean_number), rel=1e-12)


@pytest.mark.parametrize("queue", [MM1(0.6, 1.0), MMc(5.0, 1.0, 6)], ids=["M/M/1", "M/M/c"])
def test_means_are_integrals_of_tails_and_quantiles_their_inverses(queue: MM1 | MMc) -> None:
    for mean, tail in ((queue.mean_wait, queue.wait_tail), (queue.mean_time, queue.time_tail)):
        area = integrate.quad(lambda t, tail=tail: float(tail(t)), 0, np.inf)[0]
        assert area == pytest.approx(float(mean), rel=1e-7)
    levels = np.array([0.9, 0.99, 0.999999])
    assert queue.wait_tail(queue.wait_quantile(levels)) == pytest.approx(1 - levels, rel=1e-9)
    assert queue.time_tail(queue.time_quantile(levels)) == pytest.approx(1 - levels, rel=1e-9)
    assert float(queue.wait_quantile(0.01)) == 0.0, "most do not wait at all"


def test_arrays_of_rates_give_arrays_of_answers() -> None:
    waits = MM1(np.array([0.5, 0.9]), np.array([[1.0], [2.0]])).mean_wait
    assert waits.shape == (2, 2)
    assert waits[1, 1] == float(MM1(0.9, 2.0).mean_wait)
    several = MMc([0.5, 0.9], 1.0, [[1], [4]])
    assert several.mean_wait.shape == (2, 2)
    assert several.mean_wait[0] == pytest.approx(MM1([0.5, 0.9], 1.0).mean_wait, rel=1e-12)
    assert several.time_quantile(0.5)[0] == pytest.approx(MM1([0.5, 0.9], 1.0).time_quantile(0.5), rel=1e-9)


# -------------------------------------------------------------------------------------- several servers


@pytest.mark.parametrize(
    ("servers", "offered", "waiting"), [(10, 8, 0.409180), (100, 80, 0.019646), (100, 95, 0.506457), (2, 1.6, 0.711111)]
)
def test_the_chance_to_wait_has_the_published_digits(servers: int, offered: float, waiting: float) -> None:
    assert float(erlang_c(servers, offered)) == pytest.approx(waiting, abs=5e-7)
    assert float(MMc(offered, 1.0, servers).waiting_share) == pytest.approx(waiting, abs=5e-7)


def exact_erlang_b(servers: int, offered: Fraction) -> Fraction:
    """The definition in rational numbers: the last of the terms aᵏ/k! over their sum."""
    term = total = Fraction(1)
    for k in range(1, servers + 1):
        term *= offered / k
        total += term
    return term / total


@pytest.mark.parametrize(("servers", "offered"), [(1, 0.5), (5, 20.0), (40, 39.5), (300, 200.0), (300, 299.999)])
def test_erlangs_formulas_keep_all_digits_of_rational_arithmetic(servers: int, offered: float) -> None:
    lost = exact_erlang_b(servers, Fraction(offered))
    assert float(erlang_b(servers, offered)) == pytest.approx(float(lost), rel=1e-14, abs=0)
    if offered < servers:
        waiting = servers * lost / (servers - Fraction(offered) * (1 - lost))
        assert float(erlang_c(servers, offered)) == pytest.approx(float(waiting), rel=1e-13, abs=0)


def test_a_million_servers_near_saturation_keep_their_digits() -> None:
    # B is the ratio of the Poisson weight of c to its distribution function. Its reciprocal is Σ c!/(c-k)!/aᵏ over
    # k = 0…c, whose terms fall like exp(-k²/2c): summed here to k = 20 000, where they are below 1e-80.
    servers = 1_000_000
    for offered in (servers - 1.0, float(servers), servers + 5000.0):
        k = np.arange(20_000)
        reciprocal = math.fsum(np.exp(np.concatenate([[0.0], np.cumsum(np.log((servers - k) / offered))])).tolist())
        assert float(erlang_b(servers, offered)) == pytest.approx(1 / reciprocal, rel=1e-11)
    # Halfin and Whitt: with a = c - β√c the chance to wait tends to 1/(1 + √(2π) β Φ(β) exp(β²/2)); the gap is O(1/√c).
    beta = 0.5
    normal = (1 + math.erf(beta / math.sqrt(2))) / 2
    limit = 1 / (1 + math.sqrt(2 * math.pi) * beta * normal * math.exp(beta**2 / 2))
    gaps = [float(erlang_c(c, c - beta * math.sqrt(c))) - limit for c in (10_000, servers)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.05), "a hundred times the servers, a tenth of the gap"
    nearly = MMc(servers - 1e-3, 1.0, servers)
    assert 1 - 3e-6 < float(nearly.waiting_share) < 1
    assert float(nearly.mean_wait) == pytest.approx(1000.0, rel=1e-5)


@pytest.mark.parametrize(("servers", "rate"), [(3, 2.0), (12, 11.0)])
def test_several_servers_agree_with_their_chain(servers: int, rate: float) -> None:
    law = chain(rate, 1.0, servers, 450)  # (11/12)⁴³⁸ = 3e-17 and (2/3)⁴⁴⁷ are cut off
    queue = MMc(rate, 1.0, servers)
    assert float(queue.waiting_share) == pytest.approx(law[servers:].sum(), rel=1e-9)
    assert float(queue.mean_number) == pytest.approx(law @ np.arange(451), rel=1e-9)
    # Who finds n ≥ c waits for n - c + 1 departures of rate c: an Erlang law.
    from scipy import stats

    beyond = np.arange(servers, 451)
    tail = law[servers:] @ stats.gamma.sf(1.5, beyond - servers + 1, scale=1 / servers)
    assert float(queue.wait_tail(1.5)) == pytest.approx(tail, rel=1e-8)
    assert float(queue.wait_quantile(1 - tail)) == pytest.approx(1.5, rel=1e-7)


@pytest.mark.parametrize("rate", [3.0, 2.999999, 2.0, 3.9], ids=str)
def test_the_time_in_the_system_is_wait_plus_service(rate: float) -> None:
    # With 4 servers of rate 1 and λ = 3 the spare rate equals the service rate, where the textbook form is 0/0.
    queue = MMc(rate, 1.0, 4)

    def both(
        t: float,
    ) -> float:  # service longer than what the wait w leaves of t; the density of w is -d/dw of its tail
        density = float(queue.waiting_share * queue.spare_rate)
        inner = integrate.quad(lambda w: density * math.exp(-float(queue.spare_rate) * w - (t - w)), 0, t)[0]
        return float((1 - queue.waiting_share) * math.exp(-t) + inner + queue.wait_tail(t))

    for t in (0.0, 0.3, 2.0, 9.0):
        assert float(queue.time_tail(t)) == pytest.approx(both(t), rel=1e-9)


# ------------------------------------------------------------------------------------------ lost work


@pytest.mark.parametrize(("load", "room", "lost"), [(0.8, 5, 0.088819), (0.8, 10, 0.023493), (1.2, 10, 0.192586)])
def test_a_bounded_line_loses_the_published_share(load: float, room: int, lost: float) -> None:
    assert float(loss_share(1, room, load)) == pytest.approx(lost, abs=5e-7)
    assert float(loss_share(1, room, load)) == pytest.approx(
        (1 - load) * load**room / (1 - load ** (room + 1)), rel=1e-12
    )
    assert MMcK(load, 1.0, 1, room).loss == pytest.approx(lost, abs=5e-7)


def test_at_a_load_of_one_every_length_is_as_likely() -> None:
    assert float(loss_share(1, 9, 1.0)) == pytest.approx(0.1, rel=1e-14)
    assert MMcK(1.0, 1.0, 1, 9).probabilities == pytest.approx(np.full(10, 0.1), rel=1e-13)


@pytest.mark.parametrize(
    ("rate", "servers", "room"), [(2.0, 3, 3), (2.0, 3, 20), (9.0, 3, 20), (30.0, 40, 60), (3.0, 3, 8)]
)
def test_a_bounded_line_agrees_with_its_chain(rate: float, servers: int, room: int) -> None:
    law = chain(rate, 1.0, servers, room)
    queue = MMcK(rate, 1.0, servers, room)
    assert queue.probabilities == pytest.approx(law, rel=1e-8, abs=1e-14)
    assert queue.loss == pytest.approx(law[-1], rel=1e-8)
    assert queue.goodput == pytest.approx(rate * (1 - law[-1]), rel=1e-9)
    assert queue.mean_number == pytest.approx(law @ np.arange(room + 1), rel=1e-9)
    assert queue.mean_time * rate * (1 - law[-1]) == pytest.approx(queue.mean_number, rel=1e-9)


def test_a_line_without_places_is_erlang_b_and_a_long_one_loses_nobody() -> None:
    assert np.array_equal(loss_share(7, 7, [3.0, 7.0, 20.0]), erlang_b(7, [3.0, 7.0, 20.0]))
    assert float(loss_share(4, 2000, 2.0)) < 1e-300
    assert float(loss_share(4, 2000, 8.0)) == pytest.approx(0.5, rel=1e-12)
    assert MMcK(1e9, 1.0, 4, 2000).goodput == pytest.approx(4.0, rel=1e-12)


# --------------------------------------------------------------------------------------- other services


def test_the_spread_of_services_costs_as_pollaczek_and_khinchine_said() -> None:
    assert pollaczek_khinchine_wait(0.8, [0.0, 1.0, 4.0]) == pytest.approx([2.0, 4.0, 10.0], rel=1e-12)
    assert float(pollaczek_khinchine_wait(0.8, 1.0, 0.05)) == pytest.approx(float(MM1(16.0, 20.0).mean_wait))


def test_the_wait_behind_constant_services_solves_lindleys_equation() -> None:
    # An embedded chain, independent of the formula: the number left behind by a departure from M/D/1.
    load, size = 0.6, 200
    step = [math.exp(-load) * load**k / math.factorial(k) for k in range(60)]
    moves = np.zeros((size, size))
    for n in range(size):
        for k, p in enumerate(step):
            moves[n, min(max(n - 1, 0) + k, size - 1)] += p
    system = np.vstack([(moves.T - np.eye(size))[:-1], np.ones(size)])
    law = np.linalg.solve(system, np.eye(size)[-1])
    wait = law @ np.arange(size) / load - 1.0  # Little's law, less the service
    assert float(pollaczek_khinchine_wait(load, 0.0)) == pytest.approx(wait, rel=1e-9)


def test_kingman_is_exact_for_poisson_arrivals_and_symmetric_in_the_two_spreads() -> None:
    scv = np.array([0.0, 1.0, 7.0])
    assert kingman_wait(0.7, 1.0, scv, 2.0) == pytest.approx(pollaczek_khinchine_wait(0.7, scv, 2.0), rel=1e-12)
    assert kingman_wait(0.7, 3.0, 0.5) == pytest.approx(float(kingman_wait(0.7, 0.5, 3.0)), rel=1e-14)
    assert float(kingman_wait(0.5, 0.0, 0.0)) == 0.0


def test_a_shared_server_takes_each_request_in_proportion_to_its_size() -> None:
    assert sharing_time([0.1, 2.0], 0.75) == pytest.approx([0.4, 8.0])
    # With exponential sizes the number in the system is that of M/M/1, so by Little's law the mean time is too.
    sizes = integrate.quad(lambda x: float(sharing_time(x, 0.75)) * math.exp(-x), 0, np.inf)[0]
    assert sizes == pytest.approx(float(MM1(0.75, 1.0).mean_time), rel=1e-8)


# -------------------------------------------------------------------------------------------- refusals

REFUSED = [
    (lambda: MM1(1.0, 1.0), "arrival_rate: got 1; the queue grows without end unless it is below the capacity, 1"),
    (lambda: MM1(-1.0, 1.0), "arrival_rate: got -1; give a finite number above 0"),
    (lambda: MM1(1.0, "2"), "service_rate: got '2'; give a number"),
    (lambda: MM1([0.5, math.nan], 1.0), "arrival_rate: got nan"),
    (lambda: MMc(8.0, 2.0, 4), "arrival_rate: got 8; the queue grows without end unless it is below the capacity, 8"),
    (lambda: MMc(1.0, 2.0, 2.5), "servers: got 2.5; give a whole number of at least 1"),
    (lambda: MMc(1.0, 2.0, 1).wait_tail(-1.0), "t: got -1"),
    (lambda: MMc(1.0, 2.0, 1).wait_quantile(1.0), "p: got 1; give a share from 0 to below 1"),
    (lambda: erlang_c(4, 4.0), "offered: got 4"),
    (lambda: erlang_b(0, 4.0), "servers: got 0"),
    (lambda: loss_share(4, 3, 1.0), "room: got 3; there is room for all 4 servers"),
    (lambda: MMcK(1.0, 1.0, 2, 1), "room: got 1"),
    (lambda: pollaczek_khinchine_wait(1.0, 1.0), "load: got 1; give a share from 0 to below 1"),
    (lambda: kingman_wait(0.5, -1.0, 1.0), "arrival_scv: got -1"),
    (lambda: sharing_time(1.0, 1.5), "load: got 1.5"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_numbers_without_a_stationary_law_are_refused_by_name(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(ModelError) as refusal:
        call()
    assert str(refusal.value).startswith(said)
