"""`solve` against problems whose answers are known to 18 digits, and against formulas worked out here."""

from __future__ import annotations

from fractions import Fraction
from math import comb, expm1

import pytest
from problems import ANSWERS, PROBLEMS, nine_in_zones, one_crew, seven_hosts, standby_pair

import hasim as ha
from hasim.results import ServiceFigures
from hasim.units import YEAR

TEN_DIGITS = 5e-11
HOUR = 3600.0


def only(cluster: ha.Cluster, over: str | None = None) -> ServiceFigures:
    return ha.solve(cluster, over=over).services["s"]


def close(found: ha.Estimate | None, wanted: float | str | Fraction) -> None:
    assert found is not None
    assert found.value == pytest.approx(float(wanted), rel=TEN_DIGITS, abs=0)


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_the_published_answers_are_met_to_ten_digits(name: str) -> None:
    answer = ANSWERS[name]
    figures = only(PROBLEMS[name](), over="8760h")
    close(figures.unavailability, answer["unavailability"])
    close(figures.outages_per_year, answer["outage_frequency_per_year"])
    close(figures.mean_outage_s, float(answer["mean_outage_duration_hours"]) * HOUR)
    close(figures.mean_uptime_s, float(answer["mean_up_period_hours"]) * HOUR)
    close(figures.mttf_s, float(answer["mttf_from_all_up_hours"]) * HOUR)
    close(figures.interval_unavailability, answer["interval_unavailability_first_year"])
    close(figures.outages_in_horizon, answer["expected_outages_first_year"])
    close(figures.downtime_s_per_year, float(answer["unavailability"]) * YEAR)


@pytest.mark.parametrize("name", [name for name in PROBLEMS if "birnbaum_importance" in ANSWERS[name]])
def test_importances_are_met_to_all_printed_digits(name: str) -> None:
    figures = only(PROBLEMS[name]())
    for field, key in (("birnbaum", "birnbaum_importance"), ("criticality", "criticality_importance")):
        found = sorted(getattr(blame, field) for blame in figures.blame)
        assert found == pytest.approx(sorted(map(float, ANSWERS[name][key].values())), rel=1e-11, abs=0)
    assert sum(blame.share for blame in figures.blame) == pytest.approx(1)


@pytest.mark.parametrize(
    "law", [{"weibull": {"shape": 0.7, "mean": "1000h"}}, {"fixed": "1000h"}, {"gamma": {"shape": 3, "mean": "1000h"}}]
)
def test_only_the_means_of_independent_units_matter(law: object) -> None:
    cluster = PROBLEMS["P1"]().replace("failures.u.mtbf", law)
    close(only(cluster).unavailability, ANSWERS["P1"]["unavailability"])
    close(only(cluster).outages_per_year, ANSWERS["P1"]["outage_frequency_per_year"])


def test_nine_members_in_three_zones_equal_an_enumeration_of_zones() -> None:
    host, zone = Fraction(4, 2164), Fraction(1, 87601)
    down = Fraction(0)
    for lost in range(4):
        hosts = 9 - 3 * lost
        chance = comb(3, lost) * zone**lost * (1 - zone) ** (3 - lost)
        down += chance * sum(
            comb(hosts, up) * (1 - host) ** up * host ** (hosts - up) for up in range(min(5, hosts + 1))
        )
    close(only(nine_in_zones()).unavailability, down)


def test_seven_hosts_and_one_crew_are_a_birth_death_chain() -> None:
    fail, repair = Fraction(1, 2160), Fraction(1, 4)
    weight = [Fraction(1)]
    for down in range(7):
        weight.append(weight[-1] * (7 - down) * fail / repair)
    figures = only(seven_hosts(crew=True))
    close(figures.unavailability, sum(weight[4:]) / sum(weight))
    close(figures.outages_per_year, 8760 * weight[3] * 4 * fail / sum(weight))


def balance(rates: dict[tuple[object, object], Fraction]) -> dict[object, Fraction]:
    """Stationary distribution by elimination in rationals, written apart from the engine."""
    states = sorted({state for pair in rates for state in pair}, key=repr)
    n = len(states)
    rows = [[Fraction(0)] * (n + 1) for _ in range(n)]
    for (here, there), rate in rates.items():
        i, j = states.index(here), states.index(there)
        rows[j][i] += rate
        rows[i][i] -= rate
    rows[0] = [Fraction(1)] * (n + 1)
    for i in range(n):
        pivot = next(r for r in range(i, n) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(n):
            if r != i and rows[r][i] != 0:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return {state: rows[i][n] for i, state in enumerate(states)}


def test_erlang_repairs_by_one_crew_equal_their_chain_of_stages() -> None:
    stage, fail = Fraction(4, 10), Fraction(1, 1000)
    rates: dict[tuple[object, object], Fraction] = {}
    for down in range(4):
        for passed in range(4) if down else [0]:
            if down < 3:
                rates[(down, passed), (down + 1, passed)] = (3 - down) * fail
            if down:
                after = (down, passed + 1) if passed < 3 else (down - 1, 0)
                rates[(down, passed), after] = stage
    pi = balance(rates)
    figures = only(one_crew({"gamma": {"shape": 4, "mean": "10h"}}))
    close(figures.unavailability, sum(share for (down, _), share in pi.items() if down >= 2))
    close(figures.outages_per_year, 8760 * sum(share * 2 * fail for (down, _), share in pi.items() if down == 1))


@pytest.mark.parametrize("rate", [Fraction(1, 2), Fraction(1)])
def test_a_warm_standby_equals_its_chain_of_five_states(rate: Fraction) -> None:
    fail, repair, cover = Fraction(1, 2000), Fraction(1, 4), Fraction(95, 100)
    rates: dict[tuple[object, object], Fraction] = {
        ("both", "one"): rate * fail,
        ("both", "failover"): fail * cover,
        ("both", "manual"): fail * (1 - cover),
        ("failover", "one"): Fraction(120),
        ("manual", "one"): Fraction(2),
        ("failover", "both"): repair,
        ("manual", "both"): repair,
        ("failover", "none"): rate * fail,
        ("manual", "none"): rate * fail,
        ("one", "both"): repair,
        ("one", "none"): fail,
        ("none", "one"): 2 * repair,
    }
    pi = balance(rates)
    figures = only(standby_pair(mode="hot") if rate == 1 else standby_pair(mode="warm", warm_rate=float(rate)))
    close(figures.unavailability, pi["failover"] + pi["manual"] + pi["none"])
    close(figures.outages_per_year, 8760 * (pi["both"] * fail + pi["one"] * fail))


def test_a_common_cause_is_a_unit_in_series() -> None:
    beta, q = 0.1, 0.01
    cluster = ha.Cluster(
        name="beta",
        parts={"u": ha.Pool(replicas=2)},
        failures={"u": {"mtbf": "990h", "mttr": "10h", "common_cause": beta}},
        services={"s": ["u"]},
    )
    own = 10 / (990 / (1 - beta) + 10)
    common = 10 / (990 / beta + 10)
    close(only(cluster).unavailability, 1 - (1 - common) * (1 - own**2))
    assert only(cluster).unavailability.value > 5 * q**2  # type: ignore[union-attr]


def test_detection_and_restart_lengthen_the_down_time_as_their_means() -> None:
    failure = {"mtbf": "1000h", "mttr": "10h", "detect": {"fixed": "1h"}, "restart": {"takes": "2h", "works": "75%"}}
    cluster = ha.Cluster(name="x", parts={"u": ha.Unit()}, failures={"u": failure}, services={"s": ["u"]})
    down = 1 + 2 + 0.25 * 10
    close(only(cluster).unavailability, down / (1000 + down))


def test_planned_windows_add_to_failures_as_time_shares() -> None:
    cluster = ha.Cluster(
        name="x",
        parts={"u": ha.Unit()},
        failures={"u": {"mtbf": {"weibull": {"shape": 2, "mean": "990h"}}, "mttr": {"fixed": "10h"}}},
        maintenance={"patch": {"on": "u", "every": "100h", "first": "3h", "lasting": "4h"}},
        services={"s": ["u"]},
    )
    figures = only(cluster)
    close(figures.availability, 0.99 * 0.96)
    # An outage begins when the unit falls outside a window, or when a window opens on a unit that is up.
    close(figures.outages_per_year, 8760 * (0.96 / 1000 + 0.99 / 100))


def test_windows_of_different_periods_are_taken_over_their_common_one() -> None:
    windows = {
        "a": {"on": "u-1", "every": "4h", "lasting": "1h"},
        "b": {"on": "u-2", "every": "6h", "lasting": "1h"},
    }
    cluster = ha.Cluster(
        name="x",
        parts={"u": ha.Pool(replicas=2)},
        failures={"u": {"mtbf": "1000000h", "mttr": {"fixed": "1us"}}},
        maintenance=windows,
        services={"s": ["u"]},
    )
    # In 12 h: a is out in 0-1, 4-5, 8-9; b in 0-1, 6-7; both in 0-1 only.
    assert only(cluster).unavailability.value == pytest.approx(1 / 12, rel=1e-6, abs=0)  # type: ignore[union-attr]


def test_a_cluster_that_never_fails_says_so_and_not_more() -> None:
    solution = ha.solve(ha.Cluster(name="x", parts={"u": ha.Unit()}, services={"s": ["u"]}))
    assert solution.services["s"].unavailability == ha.Estimate.exact(0)
    assert "never fails" in " ".join(solution.warnings)


def test_a_degraded_service_is_up_and_counted() -> None:
    cluster = ha.Cluster(
        name="x",
        parts={"web": ha.Unit(needs={"cache": "degraded"}), "cache": ha.Unit()},
        failures={"web": {"mtbf": "99h", "mttr": "1h"}, "cache": {"mtbf": "90h", "mttr": "10h"}},
        services={"s": ["web"]},
    )
    close(only(cluster).availability, 0.99)
    close(only(cluster).degraded, 0.99 * 0.1)


@pytest.mark.parametrize(("replicas", "required"), [(12, 9), (40, 37), (10_000, 9_970)])
def test_a_pool_of_like_units_is_binomial(replicas: int, required: int) -> None:
    cluster = ha.Cluster(
        name="x",
        parts={"u": ha.Pool(replicas=replicas, required=required)},
        failures={"u": {"mtbf": "999h", "mttr": "1h"}},
        services={"s": ["u"]},
    )
    q, tolerated = Fraction(1, 1000), replicas - required
    tail = 1 - sum(comb(replicas, i) * q**i * (1 - q) ** (replicas - i) for i in range(tolerated + 1))
    falls = replicas * comb(replicas - 1, tolerated) * q**tolerated * (1 - q) ** required / 999
    figures = only(cluster)
    close(figures.unavailability, tail)
    close(figures.outages_per_year, 8760 * falls)
    assert sum(blame.share for blame in figures.blame) == pytest.approx(1)


def test_a_pool_counted_at_once_is_the_pool_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = ha.Cluster(
        name="x",
        parts={"u": ha.Pool(replicas=12, required=9), "v": ha.Unit(needs="u")},
        failures={"process": {"mtbf": "99h", "mttr": "1h"}},
        services={"s": ["v"], "t": {"any_of": ["u", "v"]}},
    )
    at_once = ha.solve(cluster)
    monkeypatch.setattr("hasim.engines.exact.blocks.SMALLEST", 99)
    one_by_one = ha.solve(cluster)
    assert one_by_one.nodes > at_once.nodes
    for name in ("s", "t"):
        a, b = at_once.services[name], one_by_one.services[name]
        close(a.unavailability, b.unavailability.value)  # type: ignore[union-attr]
        close(a.outages_per_year, b.outages_per_year.value)  # type: ignore[union-attr]
        assert {blame.unit: blame.share for blame in a.blame} == pytest.approx(
            {blame.unit: blame.share for blame in b.blame}
        )


@pytest.mark.parametrize("crew", [False, True])
def test_one_unit_is_down_at_a_time_with_its_transient_chance(crew: bool) -> None:
    """q (1 - exp(-(λ+μ) t)), by closed form and, with a crew of its own, by the matrix exponential."""
    cluster = ha.Cluster(
        name="x",
        parts={"u": ha.Unit()},
        crews={"c": ha.Crew()} if crew else {},
        failures={"u": {"mtbf": "90h", "mttr": "10h", **({"crew": "c"} if crew else {})}},
        services={"s": ["u"]},
    )
    rate, over = 1 / 90 + 1 / 10, 7.0
    figures = only(cluster, over="7h")
    close(figures.unavailability_at_end, 0.1 * -expm1(-rate * over))
    close(figures.interval_unavailability, 0.1 * (1 + expm1(-rate * over) / (rate * over)))
