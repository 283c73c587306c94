"""The attempts law: exact figures against draws, and both against attempts counted one by one by each supervisor."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from hasim.errors import CannotModel
from hasim.model.laws import (
    Attempts,
    Empirical,
    Exponential,
    Fixed,
    Gamma,
    Law,
    Lognormal,
    Mixture,
    Total,
    Uniform,
    Weibull,
    parse_law,
)
from hasim.model.laws.attempts import integrals
from hasim.protocols.health import CrashLoopBackOff, Monit, Schedule, SystemdRestart, schedule
from hasim.protocols.health.schedules import Supervisor
from hasim.units import s

SUPERVISORS: dict[str, tuple[Supervisor, float]] = {  # and how long an attempt takes
    "kubelet": (CrashLoopBackOff(), 5.0),
    "kubelet, attempts of no time": (CrashLoopBackOff.reduced(), 0.0),
    "kubelet that forgets": (CrashLoopBackOff(reset=s(4)), 5.0),
    "systemd that gives up": (SystemdRestart(), 0.3),
    "systemd that goes on": (SystemdRestart(), 5.0),
    "the kubelet's unit": (SystemdRestart.kubelet(), 1.0),
    "monit": (Monit(), 1.0),
    "monit, long attempts": (Monit(cycle=s(10), failures=3), 25.0),
    "monit that gives up": (Monit(cycle=s(10), failures=2, restarts=5, within=5), 1.0),
}
REPAIRS: dict[str, Law] = {
    "exponential": Exponential(mean="2m"),
    "short": Exponential(mean="5s"),
    "lognormal": Lognormal(mean="6m", median="2m"),
    "weibull": Weibull(shape=3.0, mean="2m"),
    "fixed": Fixed(value="2m"),
    "empirical": Empirical(data=["10s", "2m", "2m", "0s", "7s"]),
    "mixture": Mixture(parts=[(0.3, Fixed(value="1m")), (0.7, "5m")]),
    "shifted": Total(laws=[Fixed(value="1m"), "1m"]),
}
DRAWS = 1_000_000
COUNTED = 2000
# Each supervisor with three of the repairs, turn by turn, so that every repair meets some of each sort.
ALL = [(name, list(REPAIRS)[(n + turn) % len(REPAIRS)]) for n, name in enumerate(SUPERVISORS) for turn in (0, 3, 5)]
every_law = pytest.mark.parametrize(("supervisor", "repair"), ALL)


def law_of(supervisor: str, repair: str) -> Attempts:
    declared, takes = SUPERVISORS[supervisor]
    return Attempts(schedule=schedule(declared, takes), repair=REPAIRS[repair])


def farthest(count: int) -> float:
    """Dvoretzky, Kiefer, Wolfowitz, Massart: P[sup |F_n - F| > d] <= 2 exp(-2 n d²); 1e-8 a test."""
    return math.sqrt(math.log(2 / 1e-8) / (2 * count))


def apart(law: Law, drawn: np.ndarray, slack: float = 0.0) -> float:
    """The largest |F_n - F|, where a draw that is off by `slack` counts as the same."""
    points = np.unique(drawn)
    before, after = (np.searchsorted(np.sort(drawn), points, side=side) / drawn.size for side in ("left", "right"))
    below = np.nextafter(points, -1.0) if not slack else points - slack
    low, high = 1.0 - law.survival(below), 1.0 - law.survival(points + slack)
    return float(max(np.max(after - high), np.max(low - before)))


@every_law
def test_mean_and_scv_are_those_of_a_million_draws(supervisor: str, repair: str) -> None:
    law = law_of(supervisor, repair)
    drawn = law.draw(np.random.default_rng(1), DRAWS)
    assert abs(drawn.mean() - law.mean) <= 4 * law.mean * math.sqrt(law.scv / DRAWS) + 1e-9 * law.mean
    squares = (drawn - law.mean) ** 2
    assert abs(squares.mean() - law.scv * law.mean**2) <= 5 * squares.std() / math.sqrt(DRAWS) + 1e-9 * law.mean**2


@every_law
def test_draws_follow_the_survival_function(supervisor: str, repair: str) -> None:
    law = law_of(supervisor, repair)
    drawn = law.draw(np.random.default_rng(2), 20_000)
    assert drawn.dtype == np.float64 and np.all(drawn >= law.schedule.starts[0])
    assert apart(law, drawn) < farthest(drawn.size)


def begin(declared: Supervisor, takes: float, repaired: float, rng: np.random.Generator) -> float:
    """Attempt after attempt, when the counter says, until one begins that is not before the repair."""
    started, died = -1e9, 0.0
    restarts = (
        declared.counting(-declared.cycle * (1000 + rng.random()))
        if isinstance(declared, Monit)
        else declared.counting()
    )
    while True:
        wait = restarts.delay(started, died)
        if wait == math.inf:
            later = declared.wait if isinstance(declared, SystemdRestart) else 0.0
            if isinstance(declared, Monit):  # it finds out that it has had enough in the cycle after the start
                later = started + 0.2 + declared.cycle - died
            return max(died + later, repaired)
        started = died + wait
        if started >= repaired:
            return started
        died = started + takes


@every_law
def test_the_law_is_what_the_counters_count_one_by_one(supervisor: str, repair: str) -> None:
    law, (declared, takes) = law_of(supervisor, repair), SUPERVISORS[supervisor]
    rng = np.random.default_rng(3)
    counted = np.array([begin(declared, takes, t, rng) for t in law.repair.draw(rng, COUNTED).tolist()])
    assert abs(counted.mean() - law.mean) <= 4 * law.mean * math.sqrt(law.scv / COUNTED) + 1e-9 * law.mean
    assert apart(law, counted, slack=1e-6) < farthest(COUNTED)


@every_law
def test_length_bias_and_what_is_left_have_the_right_means_and_shape(supervisor: str, repair: str) -> None:
    law, rng = law_of(supervisor, repair), np.random.default_rng(4)
    for drawn, exact in (
        (law.length_biased(rng, 100_000), law.mean * (1 + law.scv)),
        (law.residual(rng, 100_000), law.mean * (1 + law.scv) / 2),
    ):
        assert abs(drawn.mean() - exact) <= 5 * drawn.std() / math.sqrt(drawn.size) + 1e-9 * exact
    # P[biased <= t] = (∫0^t S - t S(t)) / mean, on a grid fine enough for the steps of S
    points = np.unique(law.quantile(np.linspace(0.05, 0.95, 6)))
    grid = np.concatenate([np.linspace(a, b, 2001)[:-1] for a, b in pairwise([0.0, *points])])
    middle = (grid[1:] + grid[:-1]) / 2.0
    area = np.concatenate([[0.0], np.cumsum(law.survival(middle) * np.diff(grid))])
    biased = np.sort(law.length_biased(rng, 20_000))
    share = np.searchsorted(biased, grid, side="right") / biased.size
    exact_share = (area - grid * law.survival(grid)) / law.mean
    step = float(np.max(np.diff(grid))) / law.mean  # by so much the area of a step may be off
    assert np.max(np.abs(share - exact_share)) < farthest(biased.size) + 20 * step


@every_law
def test_the_quantile_is_the_smallest_time_that_reaches_p(supervisor: str, repair: str) -> None:
    law = law_of(supervisor, repair)
    p = np.array([0.01, 0.2, 0.25, 0.4, 0.6, 0.8, 0.95])
    t = law.quantile(p)
    assert np.all(1.0 - law.survival(t * (1 + 1e-12)) >= p - 1e-12)
    assert np.all(1.0 - law.survival(t * (1 - 1e-9) - 1e-12) <= p + 1e-12)
    low, high = law.quantile([0.0, 1.0])
    assert low >= law.schedule.starts[0] and low <= high
    assert float(law.survival(-1.0)) == 1.0 and float(law.survival(math.inf)) == 0.0
    assert float(law.survival(high)) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        law.quantile([0.5, 1.5])


@every_law
def test_the_law_is_a_value_of_the_house(supervisor: str, repair: str) -> None:
    law = law_of(supervisor, repair)
    rng = np.random.default_rng(6)
    for draw in (law.draw, law.length_biased, law.residual):
        assert draw(rng, (3, 4)).shape == (3, 4) and draw(rng, 0).shape == (0,)
    slow = law.scaled(2.5)
    assert slow.mean == pytest.approx(2.5 * law.mean, rel=1e-12) and slow.scv == pytest.approx(law.scv, abs=1e-9)
    assert slow.quantile([0.1, 0.9]) == pytest.approx(2.5 * law.quantile([0.1, 0.9]), rel=1e-9)
    again = law_of(supervisor, repair)
    assert pickle.loads(pickle.dumps(law)) == law == again != slow and hash(law) == hash(again)
    assert law.phases() is None and "\n" not in law.text() and "next attempt" in str(law)


def test_after_a_long_outage_containers_come_back_two_and_a_half_minutes_late_on_average() -> None:
    """Attempts come every five minutes by then: after 20 to 40 minutes they are U(0, 300) s away, from whole rows."""
    outage = Uniform(low="20m", high="40m")
    law = Attempts(schedule=schedule(CrashLoopBackOff(), 0.0), repair=outage)
    assert law.mean - outage.mean == pytest.approx(150.0, rel=1e-9)
    repair = outage.draw(np.random.default_rng(8), 20_000)
    late = law.schedule.next(repair) - repair
    assert late.min() >= 0 and late.max() <= 300
    assert np.max(np.abs(np.sort(late) / 300.0 - np.arange(20_000) / 20_000)) < farthest(20_000)


def test_closed_forms_by_hand() -> None:
    """Two attempts, at 1 s and 4 s, and given up at 6 s, over a repair of mean 2 s."""
    law = Attempts(schedule=Schedule((1.0, 4.0), None, 6.0), repair=Exponential(mean="2s"))
    chance = [math.exp(-t / 2.0) for t in (1.0, 4.0, 6.0)]
    mean = 1.0 + 3.0 * chance[0] + 2.0 * chance[1] + 2.0 * chance[2]
    assert law.mean == pytest.approx(mean, rel=1e-12)
    square = 1.0 + 15.0 * chance[0] + 20.0 * chance[1] + 2.0 * (6.0 * 2.0 + 4.0) * chance[2]
    assert law.scv == pytest.approx(square / mean**2 - 1.0, rel=1e-12)
    assert law.survival([0.9, 1.0, 3.9, 4.0, 5.9, 6.0, 8.0]) == pytest.approx(
        [1.0, chance[0], chance[0], chance[1], chance[1], chance[2], math.exp(-4.0)]
    )


def test_endless_rows_are_summed_as_exactly_as_they_are_dense() -> None:
    """A geometric series: with exponential repairs the number of attempts is geometric."""
    for gap, mean in ((0.1, 86400.0), (10.0, 3600.0), (300.0, 1.0)):
        law = Attempts(schedule=schedule(SystemdRestart(wait=s(gap), burst=0), 0.0), repair=Exponential(mean=s(mean)))
        failed = math.exp(-gap / mean)
        exact = gap + gap * failed / -math.expm1(-gap / mean)
        assert law.mean == pytest.approx(exact, rel=1e-10)
        assert law.scv == pytest.approx(failed, rel=1e-6)


@pytest.mark.parametrize(
    "repair",
    [
        *REPAIRS.values(),
        Gamma(shape=1000, mean="1m"),
        Gamma(shape=0.3, mean="1m"),
        Weibull(shape=0.3, mean="1h"),
        Uniform(low="1m", high="4m"),
        Total(laws=[Fixed(value="1m"), Fixed(value="1s")]),
    ],
    ids=lambda law: law.text(),
)
def test_partial_integrals_of_the_survival_function_are_those_of_a_quadrature(repair: Law) -> None:
    ends = np.array([0.0, 0.3, 20.0, 61.0, 100.0, 1000.0])
    found = integrals(repair, ends)
    jumps = sorted({0.0, 1.0, 60.0, 7.0, 10.0, 120.0, 240.0, *ends.tolist(), *np.geomspace(0.01, 1000.0, 30).tolist()})
    for k in range(3):
        pieces = [
            (a, quad(lambda x, k=k: x**k * float(repair.survival(x)), a, b, epsabs=0, epsrel=1e-11)[0])
            for a, b in pairwise(jumps)
        ]
        expected = [math.fsum(value for a, value in pieces if a < end) for end in ends]
        assert found[k] == pytest.approx(expected, rel=1e-7)
    assert integrals(repair, np.array([1e12]))[0] == pytest.approx(repair.mean, rel=1e-9)


def test_repairs_that_take_no_time_and_schedules_that_begin_at_once() -> None:
    law = Attempts(schedule=schedule(CrashLoopBackOff(), 1.0), repair=Fixed(value="0s"))
    assert (law.mean, law.scv) == (0.0, 0.0)
    assert not law.length_biased(np.random.default_rng(1), 5).any()
    law = Attempts(schedule=schedule(Monit(), 1.0), repair=Fixed(value="0s"))
    assert (law.mean, law.scv) == pytest.approx((15.0, 1 / 3)), "what is left is the phase of the poll"


def test_what_the_law_cannot_do_is_said() -> None:
    law = Attempts(schedule=schedule(CrashLoopBackOff(), 1.0), repair=Total(laws=["10s", "20s"]))
    with pytest.raises(CannotModel, match="no closed form here"):
        _ = law.mean
    with pytest.raises(ValueError, match="got 'attempts'; laws are exponential"):
        parse_law(law_of("kubelet", "fixed").to_plain())


def test_what_a_law_is_said_to_be_tells_it_from_every_other() -> None:
    """Engines name their streams of chance after it."""
    laws = [law_of(supervisor, repair) for supervisor in SUPERVISORS for repair in REPAIRS]
    assert len({str(law.to_plain()) for law in laws}) == len(laws)
    assert laws[0].to_plain()["attempts"]["starts"] == ["0s", "15s", "40s", "1m25s", "2m50s", "5m35s"]
