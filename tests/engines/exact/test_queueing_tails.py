"""Formulas of balancing, tails, scaling and overload agree with published values and with independent computation."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate

from hasim.engines.exact.queueing import (
    ScalabilityLaw,
    budgeted_attempts,
    choices_tail,
    choices_time,
    collapse_rate,
    fanout_call_tail,
    fanout_tail,
    hedged_tail,
    hedging_load,
    layered_attempts,
    mean_attempts,
    random_time,
    shedding_goodput,
    stable_rate,
)
from hasim.errors import ModelError

Floats = NDArray[np.float64]


# ------------------------------------------------------------------------------------------- balancing


def test_one_random_server_has_the_published_times() -> None:
    assert random_time([0.9, 0.95, 0.99]) == pytest.approx([10.0, 20.0, 100.0], rel=1e-12)
    assert np.array_equal(choices_time([0.5, 0.9], 1), random_time([0.5, 0.9]))


def test_the_shorter_of_two_lines_has_the_published_times() -> None:
    assert choices_time([0.9, 0.95, 0.99], 2) == pytest.approx([2.614, 3.383, 5.432], abs=5e-4)
    assert float(choices_time(0.9, 3)) == pytest.approx(2.028, abs=5e-4)


@pytest.mark.parametrize(("load", "choices"), [(0.5, 2), (0.9, 2), (0.97, 3), (0.9, 5)])
def test_the_shares_are_where_the_fluid_of_many_servers_comes_to_rest(load: float, choices: int) -> None:
    # Mitzenmacher's equations, run in time from an empty system: ds/dt = λ(s[i-1]ᵈ - s[i]ᵈ) - (s[i] - s[i+1]).
    def flow(_: float, s: Floats) -> Floats:
        around = np.concatenate([[1.0], s, [0.0]])
        joined = load * (around[:-2] ** choices - around[1:-1] ** choices)
        return np.asarray(joined - (around[1:-1] - around[2:]))

    end = integrate.solve_ivp(flow, (0, 3000), np.zeros(30), method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    assert choices_tail(load, choices, np.arange(1, 31)) == pytest.approx(end, abs=1e-7)
    assert float(choices_time(load, choices)) * load == pytest.approx(end.sum(), rel=1e-6), "Little's law"


@pytest.mark.parametrize("choices", [2, 3])
@pytest.mark.parametrize("load", [1e-3, 0.9, 1.0 - 1e-4, 1.0 - 1e-9, 1.0 - 2.0**-53])
def test_the_series_keeps_its_digits_up_to_saturation(load: float, choices: int) -> None:
    # The same sum with fifty decimal digits and whole exponents: (dⁱ - d)/(d - 1) up to where λ to it is below 1e-40.
    with localcontext(prec=50):
        exact, exponent, term = Decimal(0), 0, Decimal(1)
        while term > Decimal("1e-40"):
            exact += term
            exponent = choices * (exponent + 1)
            term = Decimal(load) ** exponent
    assert float(choices_time(load, choices)) == pytest.approx(float(exact), rel=1e-14)


def test_without_load_every_request_is_served_at_once() -> None:
    assert float(choices_time(0.0, 2)) == 1.0
    assert choices_tail(0.0, 2, [0, 1, 2]).tolist() == [1.0, 0.0, 0.0]
    assert choices_tail(0.99, 10, [400])[0] == 0.0


# ------------------------------------------------------------------------------------------------ tails


def test_fan_out_makes_rare_slowness_common() -> None:
    assert float(fanout_tail(0.01, 100)) == pytest.approx(0.634, abs=5e-4)
    assert float(fanout_tail(0.0001, 2000)) == pytest.approx(0.18, abs=5e-3)
    assert 1 - float(fanout_tail(1e-4, 100)) == pytest.approx(0.990, abs=5e-4)
    assert float(fanout_tail(1e-20, 100)) == pytest.approx(1e-18, rel=1e-12, abs=0)
    assert fanout_tail([0.0, 1.0], 5).tolist() == [0.0, 1.0]


def test_what_each_call_may_take_is_the_inverse_of_fan_out() -> None:
    tails = np.array([1e-15, 0.01, 0.5, 1.0])
    assert fanout_tail(fanout_call_tail(tails, 100), 100) == pytest.approx(tails, rel=1e-12, abs=0)


def lognormal_tail(t: Floats) -> Floats:
    from scipy import stats

    return np.asarray(stats.lognorm.sf(t, 1.2, scale=0.01))


def test_a_hedged_request_takes_what_the_faster_of_two_draws_takes() -> None:
    rng = np.random.default_rng(41)
    delay, count = 0.02, 400_000
    first, second = rng.lognormal(math.log(0.01), 1.2, (2, count))
    times = np.minimum(first, delay + second)
    at = np.array([0.005, 0.02, 0.03, 0.05, 0.1, 0.2])
    expected = hedged_tail(lognormal_tail, at, delay)
    seen = np.array([(times > t).mean() for t in at])
    assert np.all(np.abs(seen - expected) < 4.5 * np.sqrt(expected * (1 - expected) / count))
    extra = float(hedging_load(lognormal_tail, delay))
    assert abs((first > delay).mean() - extra) < 4.5 * math.sqrt(extra * (1 - extra) / count)


def test_hedging_at_once_squares_the_tail_and_never_asks_alone() -> None:
    at = np.array([0.001, 0.01, 0.1])
    assert hedged_tail(lognormal_tail, at, 0.0) == pytest.approx(lognormal_tail(at) ** 2, rel=1e-12)
    assert float(hedging_load(lognormal_tail, 0.0)) == 1.0


# ------------------------------------------------------------------------------------- scaling, overload


def test_scalability_peaks_where_its_formula_says() -> None:
    law = ScalabilityLaw(rate=1000.0, contention=0.05, coherency=0.0002)
    many = np.linspace(1, 500, 499_001)
    assert many[law.throughput(many).argmax()] == pytest.approx(law.peak_workers, abs=1e-3)
    assert law.peak_workers == pytest.approx(math.sqrt(0.95 / 0.0002))
    assert float(law.throughput(1)) == 1000.0


def test_without_coherency_the_law_is_amdahls() -> None:
    law = ScalabilityLaw(rate=1.0, contention=0.1, coherency=0.0)
    assert law.peak_workers == math.inf
    assert float(law.throughput(1e12)) == pytest.approx(10.0, rel=1e-9)
    assert float(law.throughput(8)) == pytest.approx(1 / (0.1 + 0.9 / 8), rel=1e-14)


def test_shedding_keeps_the_server_busy_until_refusing_is_all_it_does() -> None:
    rates = np.array([0.0, 50.0, 100.0, 150.0, 500.0, 1000.0, 2000.0])
    served = shedding_goodput(rates, 100.0, 0.1)
    assert served[:3].tolist() == rates[:3].tolist()
    crowded = rates[3:6]
    assert served[3:6] + 0.1 * (crowded - served[3:6]) == pytest.approx(np.full(3, 100.0), rel=1e-12)
    assert served[5] == pytest.approx(0.0, abs=1e-12) and served[6] == 0.0
    assert float(collapse_rate(100.0, 0.1)) == pytest.approx(1000.0)
    assert float(collapse_rate(100.0, 0.0)) == math.inf
    assert float(shedding_goodput(1e9, 100.0, 0.0)) == 100.0


@pytest.mark.parametrize("attempts", [1, 2, 3, 10])
def test_attempts_are_the_sum_of_the_chances_to_come_to_each(attempts: int) -> None:
    failing = np.array([0.0, 1e-9, 0.3, 0.999999, 1.0 - 2.0**-53, 1.0])
    expected = [math.fsum(f**k for k in range(attempts)) for f in failing.tolist()]
    assert mean_attempts(failing, attempts) == pytest.approx(expected, rel=1e-12)


def test_layers_multiply_and_budgets_cap() -> None:
    assert float(layered_attempts(3, 5)) == 243.0
    assert float(mean_attempts(1.0, 3)) == 3.0
    assert float(budgeted_attempts(0.1)) == 1.1
    assert float(stable_rate(100.0, 3)) == pytest.approx(33.333, abs=5e-4)
    assert float(stable_rate(100.0, budgeted_attempts(0.1))) == pytest.approx(90.909, abs=5e-4)


def heals(rate: float, capacity: float, attempts: int, patience: float, stop: float) -> bool:
    """Whether a FIFO server heals from a full stop, as a fluid in steps of 10 ms, by the age of what it serves.

    Each cohort of users arrives at `rate`; whoever has waited for `patience` without an answer asks once more, up to
    `attempts` in all, and the server goes on with the work of those who have gone.
    """
    step, horizon = 0.01, 400.0
    steps, late = int(horizon / step), int(patience / step)
    arriving = np.full((attempts, steps + late + 1), 0.0)
    arriving[0] = rate * step
    backlog = 0.0
    for i in range(steps):
        backlog += arriving[:, i].sum()
        # What comes now is answered after the backlog before it, and after the stop.
        delay = backlog / capacity + max(0.0, stop - i * step)
        if delay > patience:
            arriving[1:, i + late] += arriving[:-1, i]
        if i * step >= stop:
            backlog = max(0.0, backlog - capacity * step)
    return backlog < capacity * patience


def test_below_the_stable_rate_an_outage_heals_and_above_it_does_not() -> None:
    limit = float(stable_rate(100.0, 3))
    assert heals(0.9 * limit, 100.0, 3, patience=1.0, stop=10.0)
    assert not heals(1.1 * limit, 100.0, 3, patience=1.0, stop=10.0)


# --------------------------------------------------------------------------------------------- refusals

REFUSED = [
    (lambda: random_time(1.0), "load: got 1; give a share from 0 to below 1"),
    (lambda: choices_time(0.5, 0), "choices: got 0"),
    (lambda: choices_tail(1.0, 2, 1), "load: got 1"),
    (lambda: fanout_tail(1.5, 2), "tail: got 1.5; give a share from 0 to 1"),
    (lambda: fanout_tail(0.5, 0), "calls: got 0"),
    (lambda: hedged_tail(lognormal_tail, 1.0, -1.0), "delay: got -1"),
    (lambda: hedged_tail(lambda t: t + 5.0, 1.0, 1.0), "tail: got 6"),
    (lambda: ScalabilityLaw(0.0, 0.1, 0.1), "rate: got 0"),
    (lambda: ScalabilityLaw(1.0, 1.1, 0.1), "contention: got 1.1"),
    (lambda: ScalabilityLaw(1.0, 0.1, -0.1), "coherency: got -0.1"),
    (lambda: shedding_goodput(1.0, 1.0, 1.0), "rejection_cost: got 1"),
    (lambda: mean_attempts(1.1, 2), "failure_share: got 1.1"),
    (lambda: mean_attempts(0.1, 0), "attempts: got 0"),
    (lambda: stable_rate(100.0, 0.5), "attempts: got 0.5; a request is tried at least once"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_numbers_beyond_a_formula_are_refused_by_name(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(ModelError) as refusal:
        call()
    assert str(refusal.value).startswith(said)
