"""Every route against exact values: unavailability, frequency, first years, time to the first outage, blame."""

from __future__ import annotations

import numpy as np
import pytest
from montecarlo_models import HOUR, POOL, Z, one, truth, z_of_mean

from hasim.units import YEAR

# Runs of a year such that some thousand outages are seen where that is cheap.
STEADY = [
    ("P1", "ticks", 40_000),
    ("P1", "scan", 20_000),
    ("P1", "lockstep", 8_192),
    ("P2", "ticks", 400_000),
    ("P5", "ticks", 60_000),
    ("P5", "scan", 30_000),
    ("P5", "lockstep", 6_000),
    ("P3", "lockstep", 12_000),
    ("P4", "lockstep", 8_192),
]


@pytest.mark.parametrize(("problem", "route", "runs"), STEADY)
def test_the_long_run_is_the_exact_one(problem: str, route: str, runs: int) -> None:
    seen, known = one(problem, runs, route=route), truth(problem)
    assert abs(z_of_mean(seen.downtime / YEAR, known["unavailability"])) < Z
    assert abs(z_of_mean(seen.outages, known["outage_frequency_per_year"])) < Z
    ratio = seen.downtime - known["mean_outage_duration_hours"] * HOUR * seen.outages
    assert abs(z_of_mean(ratio, 0.0)) < Z


@pytest.mark.parametrize(("problem", "route", "runs"), [case for case in STEADY if case[0] != "P2"])
def test_the_first_year_of_a_new_cluster_is_the_exact_one(problem: str, route: str, runs: int) -> None:
    seen, known = one(problem, runs, route=route, new=True, seed=3), truth(problem)
    assert abs(z_of_mean(seen.downtime / YEAR, known["interval_unavailability_first_year"])) < Z
    assert abs(z_of_mean(seen.outages, known["expected_outages_first_year"])) < Z


@pytest.mark.parametrize(
    ("problem", "route", "years"), [("P1", "ticks", 30), ("P3", "lockstep", 8), ("P4", "lockstep", 2)]
)
def test_the_first_outage_comes_when_it_should(problem: str, route: str, years: float) -> None:
    seen, known = one(problem, 3_000, route=route, new=True, years=years), truth(problem)
    # Few runs are without an outage, exp(-years/mttf): they are cut at the horizon, and so is the expectation.
    mean, horizon = known["mttf_from_all_up_hours"] * HOUR, years * YEAR
    first = np.minimum(seen.first, horizon)
    # The first outage of these three is exponential but for a start of some hours; the bias is below 1e-3.
    assert abs(first.mean() - mean * -np.expm1(-horizon / mean)) < Z * first.std(ddof=1) / np.sqrt(3_000) + 2e-3 * mean


@pytest.mark.parametrize("problem", ["P1", "P5"])
@pytest.mark.parametrize(("shape", "route"), [(0.7, "scan"), (1.8, "scan"), (0.7, "lockstep")])
def test_the_long_run_knows_only_the_means_of_independent_laws(problem: str, shape: float, route: str) -> None:
    from montecarlo_models import MODELS

    text = MODELS[problem]
    for mean in ("1000h", "2160h", "8760h", "720h", "1440h"):
        text = text.replace(f"mtbf: {mean}", f"mtbf: {{weibull: {{shape: {shape}, mean: {mean}}}}}")
    for mean in ("10h", "4h", "2h", "0.1h", "0.25h"):
        text = text.replace(f"mttr: {mean}", f"mttr: {{lognormal: {{mean: {mean}, sigma: 0.94}}}}")  # cv 1.2
    seen, known = one(text, 8_192 if route == "scan" else 4_096, route=route), truth(problem)
    assert abs(z_of_mean(seen.downtime / YEAR, known["unavailability"])) < Z
    assert abs(z_of_mean(seen.outages, known["outage_frequency_per_year"])) < Z


def test_general_repairs_on_the_calendar_clock_keep_the_long_run() -> None:
    text = POOL.replace("10h", "{lognormal: {mean: 10h, sigma: 0.94}}")
    seen, known = one(text, 20_000, route="ticks"), truth("P1")
    assert abs(z_of_mean(seen.downtime / YEAR, known["unavailability"])) < Z
    assert abs(z_of_mean(seen.outages, known["outage_frequency_per_year"])) < Z


@pytest.mark.parametrize(("route", "runs"), [("ticks", 60_000), ("scan", 30_000), ("lockstep", 6_000)])
def test_blame_is_the_criticality_of_each_unit(route: str, runs: int) -> None:
    seen, known = one("P5", runs, route=route, seed=5), truth("P5")["criticality_importance"]
    assert np.isclose(seen.pattern_s.sum(), seen.downtime.sum(), rtol=1e-9)
    share = seen.blame_s / seen.downtime.sum()
    # Units in the order of the system: hosts, then lb, api, etcd, sched. Hosts and etcd members decide most often.
    hosts, etcd = share[:3].sum(), share[8:11].sum()
    # The share is a ratio of sums over outages, of which about `events` are seen; durations vary with scv 4.
    events = int(seen.outages.sum())
    error = np.sqrt(5 * 0.25 / events)
    assert abs(hosts - sum(known[name] for name in ("h1", "h2", "h3"))) < 3 * Z * error
    assert abs(etcd - sum(known[name] for name in ("e1", "e2", "e3"))) < Z * error
