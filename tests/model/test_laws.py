"""Laws of durations: draws follow the formulas, texts come back equal, wrong parameters are refused."""

from __future__ import annotations

import json
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter
from scipy.integrate import quad

from hasim.errors import CannotModel, ModelError
from hasim.model.laws import (
    Election,
    Empirical,
    Exponential,
    Fixed,
    Gamma,
    Law,
    LawField,
    Lognormal,
    Mixture,
    Total,
    Uniform,
    Weibull,
    parse_law,
)
from hasim.model.laws.reading import LAW_SCHEMA, LAWS
from hasim.units import h, s

SMOOTH: dict[str, Law] = {
    "exponential": Exponential(mean="30s"),
    "weibull with falling hazard": Weibull(shape=0.7, mean="7700h"),
    "weibull with rising hazard": Weibull(shape=3.0, scale="10m"),
    "weibull of shape one": Weibull(shape=1.0, mean="1h"),
    "lognormal by mean and median": Lognormal(mean="3.25h", median="1h"),
    "lognormal by median and sigma": Lognormal(median="20ms", sigma=0.8),
    "lognormal by mean and sigma": Lognormal(mean="1d", sigma=0.3),
    "gamma": Gamma(shape=0.6, mean="5m"),
    "erlang": Gamma(shape=3, scale="10s"),
    "uniform": Uniform(low="1s", high="2s"),
    "mixture": Mixture(parts=[(0.55, "10s"), ("45%", Weibull(shape=2.0, mean="10m"))]),
    "shifted": Total(laws=[{"fixed": "30s"}, Gamma(shape=2, mean="1m"), {"fixed": "1s"}]),
}
STEPPED: dict[str, Law] = {
    "fixed": Fixed(value="30s"),
    "total of fixed": Total(laws=[Fixed(value="30s"), Fixed(value="2s")]),
    "empirical": Empirical(data=["10s", "2m", "2m", "0s", "7s"], source="a notebook"),
    "restart or repair": Mixture(parts=[(0.8, Fixed(value="10s")), (0.2, Exponential(mean="1h"))]),
    "mixture of fixed": Mixture(parts=[(0.25, Fixed(value="0s")), (0.5, {"fixed": "1s"}), (0.25, {"fixed": "9s"})]),
}
SAMPLED: dict[str, Law] = {"election": Election(members=3, pre_vote=False)}
LAWS_TRIED = {**SMOOTH, **STEPPED, **SAMPLED}
DRAWS = 20_000
# Dvoretzky-Kiefer-Wolfowitz-Massart: P[sup |F_n - F| > d] <= 2 exp(-2 n d²) for every law. With 1e-8 a test,
# the whole file fails by chance less than once in a million runs.
FARTHEST = math.sqrt(math.log(2 / 1e-8) / (2 * DRAWS))

every_law = pytest.mark.parametrize("law", LAWS_TRIED.values(), ids=LAWS_TRIED.keys())
few_steps = pytest.mark.parametrize("law", {**SMOOTH, **STEPPED}.values(), ids={**SMOOTH, **STEPPED}.keys())
smooth_law = pytest.mark.parametrize("law", SMOOTH.values(), ids=SMOOTH.keys())


def integrals_of_survival(law: Law, ends: np.ndarray) -> np.ndarray:
    """∫ survival from 0 to each of the increasing `ends`."""
    pieces = [
        quad(lambda t: float(law.survival(t)), a, b, epsrel=1e-9, limit=200)[0] for a, b in pairwise([0.0, *ends])
    ]
    return np.cumsum(pieces)


def gap(drawn: np.ndarray, points: np.ndarray, exact: np.ndarray) -> float:
    """Largest |F_n - F| at these points."""
    return float(np.max(np.abs(np.searchsorted(np.sort(drawn), points, side="right") / drawn.size - exact)))


@every_law
def test_draws_follow_the_survival_function(law: Law) -> None:
    drawn = law.draw(np.random.default_rng(1), DRAWS)
    assert drawn.shape == (DRAWS,) and drawn.dtype == np.float64 and np.all(drawn >= 0)
    points = np.unique(np.concatenate([drawn, np.nextafter(drawn, 0.0)]))
    assert gap(drawn, points, 1.0 - law.survival(points)) < FARTHEST


@smooth_law
def test_mean_and_scv_are_the_integrals_of_the_survival_function(law: Law) -> None:
    # In the variable u = ln t: the mean is the integral of t S, the second moment that of 2 t² S.
    top = math.log(law.mean) + 12
    first, second = (
        sum(quad(lambda u, k=k: k * math.exp(k * u) * float(law.survival(math.exp(u))), a, b, limit=300)[0]
            for a, b in pairwise(np.linspace(top - 40, top, 41)))
        for k in (1, 2)
    )  # fmt: skip
    assert first == pytest.approx(law.mean, rel=1e-6)
    assert second / first**2 - 1 == pytest.approx(law.scv, rel=1e-4, abs=1e-6)


@every_law
def test_mean_of_draws_is_the_mean(law: Law) -> None:
    drawn = law.draw(np.random.default_rng(2), 200_000)
    # six standard errors; the sum of 200 000 draws of these laws is near enough to normal for 1e-8
    assert abs(drawn.mean() - law.mean) <= 6 * law.mean * math.sqrt(law.scv / drawn.size) + 1e-12 * law.mean


@few_steps
def test_length_biased_draws_have_the_density_x_f_over_mean(law: Law) -> None:
    points = np.unique(law.quantile(np.linspace(0.02, 0.99, 40)))
    # ∫0^t x f(x) dx = ∫0^t S - t S(t), up to and including an atom at t
    exact = (integrals_of_survival(law, points) - points * law.survival(points)) / law.mean
    drawn = law.length_biased(np.random.default_rng(3), DRAWS)
    assert gap(drawn, points, exact) < FARTHEST


@few_steps
def test_residual_draws_have_the_density_survival_over_mean(law: Law) -> None:
    points = np.unique(law.quantile(np.linspace(0.02, 0.99, 40)))
    drawn = law.residual(np.random.default_rng(4), DRAWS)
    assert gap(drawn, points, integrals_of_survival(law, points) / law.mean) < FARTHEST


@every_law
def test_length_biased_mean_is_mean_times_one_plus_scv(law: Law) -> None:
    rng = np.random.default_rng(5)
    for drawn, exact in (
        (law.length_biased(rng, 200_000), law.mean * (1 + law.scv)),
        (law.residual(rng, 200_000), law.mean * (1 + law.scv) / 2),
    ):
        # six standard errors, the standard deviation taken from the draws
        assert abs(drawn.mean() - exact) <= 6 * drawn.std() / math.sqrt(drawn.size) + 1e-12 * exact


@smooth_law
def test_quantile_is_the_inverse_of_the_distribution_function(law: Law) -> None:
    p = np.array([1e-9, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-9])
    assert 1.0 - law.survival(law.quantile(p)) == pytest.approx(p, rel=1e-6)


@every_law
def test_quantile_is_the_smallest_time_that_reaches_p(law: Law) -> None:
    p = np.array([0.01, 0.2, 0.25, 0.4, 0.6, 0.8, 0.95])
    t = law.quantile(p)
    assert np.all(1.0 - law.survival(t * (1 + 1e-12)) >= p - 1e-12)
    assert np.all(1.0 - law.survival(t * (1 - 1e-9) - 1e-15) <= p + 1e-12)


@every_law
def test_the_ends_of_the_quantile_function_are_the_ends_of_the_law(law: Law) -> None:
    low, high = law.quantile([0.0, 1.0])
    assert 0 <= low <= high
    assert float(law.survival(-1.0)) == 1.0 and float(law.survival(math.inf)) == 0.0
    assert float(law.survival(high)) == 0.0
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        law.quantile([0.5, 1.5])


@every_law
def test_the_shape_of_draws_is_the_size_asked_for(law: Law) -> None:
    rng = np.random.default_rng(6)
    for draw in (law.draw, law.length_biased, law.residual):
        assert draw(rng, (3, 4)).shape == (3, 4) and draw(rng, 0).shape == (0,)


@every_law
def test_draws_are_repeated_by_the_same_seed_and_never_shared(law: Law) -> None:
    first, again = (law.draw(np.random.default_rng(7), 50) for _ in range(2))
    assert np.array_equal(first, again)
    first += 1.0
    assert np.array_equal(law.draw(np.random.default_rng(7), 50), again)


@every_law
def test_scaling_multiplies_time_and_nothing_else(law: Law) -> None:
    slow = law.scaled(2.5)
    assert slow.mean == pytest.approx(2.5 * law.mean, rel=1e-14) and slow.scv == pytest.approx(law.scv, abs=1e-12)
    p = np.array([0.1, 0.5, 0.9])
    assert slow.quantile(p) == pytest.approx(2.5 * law.quantile(p), rel=1e-9)
    for factor in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="scaled by a finite number above zero"):
            law.scaled(factor)


PHASES: dict[str, tuple[Law, int | None]] = {
    "exponential": (SMOOTH["exponential"], 1),
    "weibull of shape one": (SMOOTH["weibull of shape one"], 1),
    "erlang": (SMOOTH["erlang"], 1),
    "weibull": (SMOOTH["weibull with rising hazard"], None),
    "gamma of broken shape": (SMOOTH["gamma"], None),
    "gamma of huge shape": (Gamma(shape=1000, mean="1s"), None),
    "lognormal": (SMOOTH["lognormal by mean and median"], None),
    "uniform": (SMOOTH["uniform"], None),
    "empirical": (STEPPED["empirical"], None),
    "fixed": (Fixed(value="1s"), None),
    "fixed zero": (Fixed(value="0s"), 1),
    "mixture": (Mixture(parts=[(0.5, "10s"), (0.5, {"gamma": {"shape": 2, "mean": "4s"}})]), 2),
    "mixture with a fixed part": (STEPPED["restart or repair"], None),
    "coin then repair": (
        Total(laws=[Mixture(parts=[(0.3, {"fixed": "0s"}), (0.7, "5s")]), Gamma(shape=4, mean="1m")]),
        2,
    ),
    "two coins": (
        Total(laws=[Mixture(parts=[(0.3, "1s"), (0.7, "5s")]), Mixture(parts=[(0.6, "2s"), (0.4, "9s")])]),
        4,
    ),
    "total with a fixed part": (SMOOTH["shifted"], None),
    "too many branches": (Total(laws=[Mixture(parts=[(0.5, "1s"), (0.5, "5s")])] * 9), None),
}


@pytest.mark.parametrize(("law", "branches"), PHASES.values(), ids=PHASES.keys())
def test_phases_have_the_moments_of_the_law(law: Law, branches: int | None) -> None:
    phases = law.phases()
    if branches is None:
        assert phases is None
        return
    assert phases is not None and len(phases) == branches
    means = [sum(1 / rate for rate in branch.stages) for branch in phases]
    variances = [sum(1 / rate**2 for rate in branch.stages) for branch in phases]
    weights = [branch.weight for branch in phases]
    assert sum(weights) == pytest.approx(1.0)
    first = sum(w * m for w, m in zip(weights, means, strict=True))
    second = sum(w * (m * m + v) for w, m, v in zip(weights, means, variances, strict=True))
    assert first == pytest.approx(law.mean)
    assert second - first**2 == pytest.approx(law.scv * law.mean**2)


def test_a_total_of_two_equal_exponentials_draws_like_an_erlang_law() -> None:
    total, erlang = Total(laws=["10s", "10s"]), Gamma(shape=2, scale="10s")
    points = erlang.quantile(np.linspace(0.01, 0.99, 99))
    rng = np.random.default_rng(8)
    assert gap(total.draw(rng, DRAWS), points, 1 - erlang.survival(points)) < FARTHEST
    longer = Gamma(shape=3, scale="10s")  # x times the Erlang-2 density is the Erlang-3 density
    assert gap(total.length_biased(rng, DRAWS), points, 1 - longer.survival(points)) < FARTHEST
    assert (total.mean, total.scv) == (20.0, 0.5)


def test_length_bias_picks_the_right_part_of_an_uneven_total() -> None:
    total = Total(laws=[Exponential(mean="1s"), Weibull(shape=0.7, mean="9s"), Fixed(value="3s")])
    drawn = total.length_biased(np.random.default_rng(9), 200_000)
    exact = total.mean * (1 + total.scv)
    assert abs(drawn.mean() - exact) <= 6 * drawn.std() / math.sqrt(drawn.size)


def test_a_total_of_several_random_laws_has_no_closed_form() -> None:
    total = Total(laws=["10s", Uniform(low="1s", high="2s")])
    for call in (total.survival, total.quantile):
        with pytest.raises(CannotModel, match="no closed form here"):
            call(0.5)


def test_laws_that_last_no_time_at_all_are_allowed() -> None:
    nothing = Fixed(value="0s")
    for law in (nothing, Total(laws=[nothing, nothing]), Mixture(parts=[(0.5, nothing), (0.5, nothing)])):
        assert law.mean == 0 and law.scv == 0
        assert not law.length_biased(np.random.default_rng(1), 5).any()
        assert not law.residual(np.random.default_rng(1), 5).any()


def test_derived_parameters() -> None:
    assert Weibull(shape=0.7, mean="7700h").scale == pytest.approx(6083 * 3600, rel=1e-4)
    assert Weibull(shape=0.5, scale="1s").mean == pytest.approx(2.0)  # gamma(3) = 2
    assert Gamma(shape=4, mean="1m").scale == 15.0
    assert Lognormal(median="1s", sigma=1.0).mean == pytest.approx(math.exp(0.5))
    assert Lognormal(mean="3.25h", median="1h").sigma == pytest.approx(math.sqrt(2 * math.log(3.25)))
    assert Weibull(shape=2, mean=h(3)) == Weibull(shape=2, mean="3h")


@every_law
def test_laws_are_values(law: Law) -> None:
    again = parse_law(json.loads(json.dumps(law.to_plain())))
    assert again == law and hash(again) == hash(law) and again is not law
    for one in (law, again):
        one.length_biased(np.random.default_rng(1), 3)  # fills caches, which are no part of the value
    assert pickle.loads(pickle.dumps(law)) == law == again and hash(law) == hash(again)
    assert law != Fixed(value="77s") and law != law.scaled(2.0) and law != "a law"
    assert str(law) == law.text() and "\n" not in str(law)
    with pytest.raises(Exception, match="frozen"):
        law.shape = 3  # type: ignore[attr-defined]


durations = st.floats(1e-6, 1e12).map(s)
shapes = st.floats(0.1, 100) | st.integers(1, 100)
simple_laws: st.SearchStrategy[Law] = st.one_of(
    st.builds(Exponential, mean=durations),
    st.builds(Weibull, shape=shapes, mean=durations),
    st.builds(Weibull, shape=shapes, scale=durations),
    st.builds(Gamma, shape=shapes, mean=durations),
    st.builds(Gamma, shape=shapes, scale=durations),
    st.builds(lambda m, f: Lognormal(median=m, mean=s(m * f)), durations, st.floats(1.001, 1e4)),
    st.builds(Lognormal, mean=durations, sigma=st.floats(0.001, 5)),
    st.builds(Lognormal, median=durations, sigma=st.floats(0.001, 5)),
    st.builds(Fixed, value=durations | st.just(s(0))),
    st.builds(lambda low, f: Uniform(low=low, high=s(low * f)), durations, st.floats(1.001, 1e4)),
    st.builds(Empirical, data=st.lists(durations, min_size=1, max_size=5), source=st.none() | st.just("here")),
)


@st.composite
def nested_laws(draw: st.DrawFn, inner: st.SearchStrategy[Law]) -> Law:
    laws = draw(st.lists(inner, min_size=1, max_size=4))
    if draw(st.booleans()):
        return Total(laws=laws)
    raw = np.array(draw(st.lists(st.floats(0.01, 1), min_size=len(laws), max_size=len(laws))))
    return Mixture(parts=list(zip((raw / raw.sum()).tolist(), laws, strict=True)))


@given(st.recursive(simple_laws, nested_laws, max_leaves=6))
@settings(max_examples=300, deadline=None)
def test_every_law_comes_back_equal_from_its_plain_form(law: Law) -> None:
    assert parse_law(json.loads(json.dumps(law.to_plain()))) == law
    assert parse_law(law.scaled(3.0).to_plain()) == law.scaled(3.0)


READ = [
    ("30s", Exponential(mean="30s")),
    (s(30), Exponential(mean="30s")),
    ({"exponential": "30s"}, Exponential(mean="30s")),
    ({"exponential": {"mean": "30s"}}, Exponential(mean="30s")),
    ({"weibull": {"shape": 0.7, "mean": "6083h"}}, Weibull(shape=0.7, mean="6083h")),
    ({"lognormal": {"mean": "3.3h", "median": "1h"}}, Lognormal(mean="3.3h", median="1h")),
    ({"gamma": {"shape": 2, "mean": "1m"}}, Gamma(shape=2, mean="60s")),
    ({"fixed": "30s"}, Fixed(value="30s")),
    ({"fixed": {"value": "0s"}}, Fixed(value="0s")),
    ({"uniform": {"low": "1s", "high": "2s"}}, Uniform(low="1s", high="2s")),
    ({"total": ["30s", {"fixed": "1s"}]}, Total(laws=[Exponential(mean="30s"), Fixed(value="1s")])),
    (
        {"mixture": [{"weight": "55%", "law": "1s"}, {"weight": 0.45, "law": {"fixed": "2s"}}]},
        Mixture(parts=[(0.55, Exponential(mean="1s")), (0.45, Fixed(value="2s"))]),
    ),
    (
        {"election": {"members": 3, "pre_vote": False, "latency": "10ms"}},
        Election(members=3, pre_vote=False, latency="10ms"),
    ),
    ({"empirical": {"data": ["10s", "2m"], "source": "x"}}, Empirical.measured([10.0, 120.0], source="x")),
]


@pytest.mark.parametrize(("value", "law"), READ, ids=[str(value)[:40] for value, _ in READ])
def test_a_law_is_read_from_every_documented_form(value: object, law: Law) -> None:
    assert parse_law(value) == law
    assert parse_law(law) is law


REFUSED = [
    (30, "got 30; a duration needs a unit"),
    (True, "got True; a duration is text with a unit"),
    (None, "; write '30s'"),
    (["30s"], "got ['30s']; write '30s'"),
    ("30", "got '30'; a duration needs a unit"),
    ("0s", "got '0s'; the mean of an exponential law is above zero; write {fixed: 0s}"),
    ("-5s", "zero or more"),
    ("lanl_server", "a preset is named under `preset`; as a law write '30s'"),
    ("wiebull", "got 'wiebull'; a law needs its parameters: write"),
    ({}, "got nothing; a law is one name with its parameters"),
    ({"fixed": "1s", "gamma": {}}, "got the keys fixed, gamma; a law is one name"),
    ({"wiebull": {}}, "total, empirical; did you mean 'weibull'?"),
    ({3: {}}, "got 3; laws are exponential"),
    ({"weibull": "30s"}, "weibull: got '30s'; the weibull law takes a mapping of shape, mean, scale"),
    ({"weibull": {"shape": 0.7}}, "got none of them; a weibull law takes exactly one of mean, scale"),
    (
        {"weibull": {"shape": 0.7, "mean": "1h", "scale": "1h"}},
        "got mean and scale; a weibull law takes exactly one of",
    ),
    ({"weibull": {"mean": "1h"}}, "weibull.shape: is missing"),
    ({"weibull": {"shape": 0.05, "mean": "1h"}}, "weibull.shape: got 0.05; "),
    ({"weibull": {"shape": True, "mean": "1h"}}, "weibull.shape: got True; "),
    ({"weibull": {"shape": "0.7", "mean": "1h"}}, "weibull.shape: got '0.7'; "),
    ({"weibull": {"shape": math.nan, "mean": "1h"}}, "weibull.shape: got nan; "),
    ({"weibull": {"shape": 2, "mean": 30}}, "weibull.mean: got 30; a duration needs a unit"),
    ({"weibull": {"shape": 2, "mean": "0s"}}, "weibull.mean: got 0.0; "),
    ({"weibull": {"shape": 2, "maen": "1s"}}, "weibull.maen: unknown key; "),
    ({"weibull": {"shape": 2, 7: "1s"}}, "weibull: got the key 7; allowed here: shape, mean, scale"),
    ({"weibull": {"shape": 0.1, "scale": "1e304s"}}, "the mean that follows, inf s, is beyond"),
    (
        {"lognormal": {"mean": "1h", "median": "2h"}},
        "got mean 1h and median 2h; the mean of a lognormal law is above",
    ),
    ({"lognormal": {"mean": "1h"}}, "got mean; a lognormal law takes exactly two of mean, median, sigma"),
    ({"lognormal": {"mean": "1h", "median": "30m", "sigma": 1}}, "takes exactly two of"),
    ({"lognormal": {"mean": "1e9s", "median": "1s"}}, "so sigma 6.44; sigma is at most 5"),
    ({"gamma": {"shape": 2}}, "a gamma law takes exactly one of mean, scale"),
    ({"uniform": {"low": "2s", "high": "1s"}}, "got low 2s and high 1s; low is below high"),
    ({"mixture": {"weight": 1}}, "mixture: got {'weight': 1}; write a list, like"),
    ({"mixture": ["30s"]}, "mixture[0]: got '30s'; write {weight: 55%, law: 30s}"),
    ({"mixture": [{"weight": 0.5, "law": "1s"}]}, "the weights add up to 0.5; they must add up to 1 (100%)"),
    ({"mixture": [{"weight": 50, "law": "1s"}]}, "mixture[0].weight: got 50; a share is from 0 to 1"),
    (
        {"mixture": [{"weight": 1, "law": {"weibull": {"shape": -1, "mean": "1s"}}}]},
        "mixture[0].law.weibull.shape: got -1; ",
    ),
    ({"mixture": []}, "mixture"),
    ({"total": "30s"}, "total: got '30s'; write a list, like"),
    ({"total": [30]}, "total[0]: got 30; a duration needs a unit"),
    ({"total": []}, "total"),
    ({"empirical": ["30s"]}, "empirical: got ['30s']; the empirical law takes a mapping of data, source"),
    ({"election": "1s"}, "election: got '1s'; the election law takes a mapping of members, down, heartbeat"),
    ({"election": {}}, "election.members: is missing"),
    ({"election": {"members": 2}}, "election.members: got 2; give a whole number from 3 to 9"),
    ({"election": {"members": 3, "down": 2}}, "election: down: got 2 of 3 members; the leader is down, and 2 must be"),
    ({"election": {"members": 3, "election_timeout": "400ms"}}, "it is at least five times the heartbeat of 100 ms"),
    ({"election": {"members": 3, "prevote": True}}, "election.prevote: unknown key; "),
    ({"election": {"members": 3, "pre_vote": "no"}}, "election.pre_vote: got 'no'; give true or false"),
    ({"election": {"members": 3, "latency": 3}}, "election.latency: got 3; a duration needs a unit"),
    ({"empirical": {"data": []}}, "an empirical law needs at least one duration"),
    ({"empirical": {"data": ["1s", 2]}}, "empirical.data: value 2: got 2; a duration needs a unit"),
    ({"empirical": {"data": ["0s"]}}, "all durations are zero; write {fixed: 0s}"),
    ({"empirical": {"data": "1s"}}, "an empirical law takes a list of durations"),
    ({"empirical": {}}, "takes either data (a list of durations) or csv (a file)"),
    ({"empirical": {"data": ["1s"], "csv": "x.csv"}}, "takes either data"),
    ({"empirical": {"data": ["1s"], "unit": "h"}}, "column and unit describe a csv file"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[str(value)[:50] for value, _ in REFUSED])
def test_what_is_no_law_is_refused_with_a_reason(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_law(value)
    assert message in str(caught.value)


def test_all_mistakes_of_a_mixture_are_named_at_once() -> None:
    with pytest.raises(ModelError) as caught:
        parse_law({"mixture": [{"weight": 2, "law": "1s"}, {"weight": 0.5, "law": "soon"}]})
    assert [problem.loc for problem in caught.value.problems] == [
        ("mixture", 0, "weight"),
        ("mixture", 1, "law"),
    ]


def test_laws_made_in_python_are_refused_in_the_same_words() -> None:
    with pytest.raises(ModelError, match=r"shape: got -1; "):
        Weibull(shape=-1, mean="1h")
    with pytest.raises(ModelError, match=r"weights add up to 0\.9"):
        Mixture(parts=[(0.5, "1s"), (0.4, "1s")])


class Repair(BaseModel):
    """A model with a law."""

    model_config = ConfigDict(frozen=True)

    takes: LawField


def test_a_field_of_a_model_reads_and_writes_laws() -> None:
    repair = Repair.model_validate({"takes": {"fixed": "30s"}})
    assert repair.takes == Fixed(value="30s")
    assert Repair(takes=Weibull(shape=2, mean="1h")).model_dump() == {"takes": {"weibull": {"shape": 2, "mean": "1h"}}}
    assert Repair.model_validate_json(repair.model_dump_json()) == repair
    with pytest.raises(ValueError, match="a duration needs a unit"):
        Repair.model_validate({"takes": 30})


def test_the_json_schema_names_the_same_laws_and_fields_as_the_code() -> None:
    schema = Repair.model_json_schema()["properties"]["takes"]
    assert json.loads(json.dumps(schema))["anyOf"] == LAW_SCHEMA["anyOf"]
    properties = LAW_SCHEMA["anyOf"][1]["properties"]
    assert list(properties) == list(LAWS)
    for name, law in LAWS.items():
        forms = properties[name].get("anyOf", [properties[name]])
        for form in forms:
            if form["type"] == "object":
                assert set(form["properties"]) == set(law.model_fields)
    assert TypeAdapter(LawField).json_schema()["examples"][0] == "30s"
