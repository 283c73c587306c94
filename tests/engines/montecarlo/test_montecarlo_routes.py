"""Different routes to the same answer: where several apply they agree, in means and in whole distributions."""

from __future__ import annotations

import numpy as np
import pytest
from montecarlo_models import HOUR, MODELS, POOL, Z, one, system, tally, truth, z_of_mean, z_of_two

from hasim.engines.montecarlo.plan import best_route
from hasim.units import YEAR

GENERAL = POOL.replace("1000h", "{weibull: {shape: 1.5, mean: 1000h}}").replace(
    "10h", "{lognormal: {mean: 10h, sigma: 0.8}}"
)
TWO_SERVICES = """
topology: {zones: {z: {hosts: [h1, h2, h3]}}}
failures:
  host: {mtbf: 500h, mttr: 5h}
  cache: {mtbf: 200h, mttr: 3h}
parts:
  db: {kind: quorum, members: 3, on: [h1, h2, h3]}
  cache: {kind: pool, replicas: 2}
  web: {kind: pool, replicas: 3, on: [h1, h2, h3], needs: {db: hard, cache: degraded}}
maintenance: {patch: {on: [h1, h2], every: 14d, lasting: 2h, first: 5d, one_by_one: true}}
services: {site: {up: [web]}, anything: {up: {any_of: [h1, cache]}}}
"""


@pytest.mark.parametrize(
    ("problem", "route"),
    [
        ("P1", "ticks"),
        ("P2", "ticks"),
        ("P5", "ticks"),
        ("P3", "lockstep"),
        ("P4", "lockstep"),
        (GENERAL, "scan"),
        (TWO_SERVICES, "scan"),
    ],
)
def test_the_fastest_route_that_does_justice_is_chosen(problem: str, route: str) -> None:
    assert best_route(system(problem)) == route


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize(
    ("problem", "fast", "slow", "runs"),
    [("P1", "ticks", "lockstep", 8_000), ("P1", "ticks", "scan", 16_000), (GENERAL, "scan", "lockstep", 8_000)],
)
def test_routes_agree_in_means_and_distributions(problem: str, fast: str, slow: str, runs: int, new: bool) -> None:
    from scipy.stats import ks_2samp

    one_way = one(problem, 4 * runs, route=fast, new=new, seed=1)
    other = one(problem, runs, route=slow, new=new, seed=2)
    assert abs(z_of_two(one_way.downtime, other.downtime)) < Z
    assert abs(z_of_two(one_way.outages, other.outages)) < Z
    whole = one_way.durations[~one_way.cut], other.durations[~other.cut]
    assert ks_2samp(*whole).pvalue > 1e-3
    # Most runs see no outage; the distribution function of the first one is compared over the whole horizon.
    first = np.minimum(one_way.first, YEAR), np.minimum(other.first, YEAR)
    assert ks_2samp(*first).pvalue > 1e-3


@pytest.mark.parametrize("new", [False, True])
def test_services_degradation_and_windows_agree(new: bool) -> None:
    fast = tally(TWO_SERVICES, 4_000, new=new, seed=3, route="scan")
    slow = tally(TWO_SERVICES, 2_000, new=new, seed=4, route="lockstep")
    for one_way, other in zip(fast.services, slow.services, strict=True):
        assert abs(z_of_two(one_way.downtime, other.downtime)) < Z
        assert abs(z_of_two(one_way.outages, other.outages)) < Z
        if one_way.reduced.any() or other.reduced.any():
            assert abs(z_of_two(one_way.reduced, other.reduced)) < Z
        blame = one_way.blame_s / one_way.downtime.sum(), other.blame_s / other.downtime.sum()
        assert np.abs(blame[0] - blame[1]).max() < Z * np.sqrt(8 / other.outages.sum())


@pytest.mark.parametrize(("problem", "route"), [("P1", "ticks"), ("P1", "scan"), (TWO_SERVICES, "scan")])
@pytest.mark.parametrize("new", [False, True])
def test_one_long_run_is_as_good_as_many_short_ones(problem: str, route: str, new: bool) -> None:
    long = tally(problem, 20, years=200, route=route, new=new, seed=5)
    short = tally(problem, 4_000, years=1, route=route, new=new, seed=6)
    for one_way, other in zip(long.services, short.services, strict=True):
        # A run that begins new is a little better in its first year: by less than 2 % for these models.
        better = 0.02 if new else 0.0
        for samples in ((one_way.downtime / 200, other.downtime), (one_way.outages / 200, other.outages)):
            spread = [x.std(ddof=1) / np.sqrt(x.size) for x in samples]
            assert abs(samples[0].mean() - samples[1].mean()) < Z * np.hypot(*spread) + better * samples[0].mean()


SHORT = [("P1", "ticks"), ("P1", "scan"), ("P1", "lockstep"), (GENERAL, "scan"), (GENERAL, "lockstep")]


@pytest.mark.parametrize(("problem", "route"), SHORT)
def test_runs_shorter_than_a_repair_are_cut_where_they_end(problem: str, route: str) -> None:
    hours, runs = 2.0, 200_000
    seen = one(problem, runs, years=hours * HOUR / YEAR, route=route, seed=8)
    # Whatever the laws: unavailability and frequency of problem P1.
    assert abs(z_of_mean(seen.downtime / (hours * HOUR), truth("P1")["unavailability"])) < Z
    assert seen.durations.max() <= hours * HOUR
    assert seen.cut.mean() > 0.2
    # Outages found going on at the start are no starts: their number is that of the frequency, one by one.
    expected = truth("P1")["outage_frequency_per_hour"] * hours * runs
    assert abs(seen.outages.sum() - expected) < Z * np.sqrt(expected)


@pytest.mark.parametrize("route", ["ticks", "scan", "lockstep"])
def test_a_steady_start_finds_repairs_half_done(route: str) -> None:
    text = "parts: {a: {kind: unit}}\nfailures: {a: {mtbf: 100h, mttr: {fixed: 10h}}}\nup: [a]\n"
    seen = one(text, 20_000, years=10 * HOUR / YEAR, route=route, seed=11)
    assert abs(z_of_mean(seen.downtime / (10 * HOUR), 10 / 110)) < Z
    # What is left of a repair is anything from nothing to all of it, with the same chance.
    left = seen.downtime[seen.first == 0] / HOUR
    assert abs(z_of_mean(np.minimum(left, 5.0), 3.75)) < Z


@pytest.mark.parametrize("route", ["ticks", "scan", "lockstep"])
@pytest.mark.parametrize("shape", [1.0, 3.0])
def test_units_that_are_down_a_third_of_the_time_are_no_different(route: str, shape: float) -> None:
    life = "10h" if shape == 1 else f"{{weibull: {{shape: {shape}, mean: 10h}}}}"
    if shape != 1 and route == "ticks":
        route = "scan"
    text = POOL.replace("1000h", life).replace("mttr: 10h", "mttr: 5h")
    seen = one(text, 400, years=0.5, route=route, seed=9)
    down = 1 / 3
    assert abs(z_of_mean(seen.downtime / (YEAR / 2), 3 * down**2 - 2 * down**3)) < Z
    # Each of three units decides when exactly one of the other two is up, and fails once in 15 hours.
    rate = 3 * 2 * down * (1 - down) / 15
    assert abs(z_of_mean(seen.outages, rate * 4380)) < Z


@pytest.mark.parametrize("route", ["ticks", "scan", "lockstep"])
def test_failures_and_repairs_are_counted(route: str) -> None:
    runs = {"ticks": 60_000, "scan": 40_000, "lockstep": 10_000}[route]
    events = tally("P1", runs, route=route, seed=10).events
    expected = 3 * 2 / 1010 * 8760 * runs
    # They come in pairs, so that the variance of a Poisson count is at most doubled.
    assert abs(events - expected) < Z * np.sqrt(2 * expected)


def test_a_long_wait_for_a_common_unit_shows_in_every_service_that_needs_it() -> None:
    text = MODELS["P5"].replace("up: [lb, api, etcd, sched]", "services: {a: {up: [etcd]}, b: {up: [etcd, lb]}}")
    a, b = tally(text, 2_000, route="ticks").services
    assert (b.downtime >= a.downtime).all()
    assert (b.first <= a.first).all()
