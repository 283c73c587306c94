"""From tallies to figures: every number with its interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hasim.engines.montecarlo.book import ServiceTally, windows_in
from hasim.engines.montecarlo.plan import Plan
from hasim.model.cuts import minimal_cuts
from hasim.model.outlook import longest_outage_mean
from hasim.model.service import SLO
from hasim.model.system import System
from hasim.results import Blame, Cut, Estimate, ServiceFigures
from hasim.results.intervals import (
    mean_outage_estimate,
    proportion_estimate,
    quantile_estimate,
    rate_estimate,
    t_interval,
    unavailability_interval,
    unseen_downtime,
)
from hasim.units import YEAR

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
YEARS_MAX = 20_000_000  # of which the downtimes are sorted for quantiles
MANY = 100  # outages from which on the variance between runs says more than a Poisson law
RUNS_MIN = 20
CUT_VARIABLES_MAX = 500  # with more variables than this no cuts are listed
CUTS_SHOWN = 50


def service_figures(plan: Plan, index: int, tally: ServiceTally, level: float) -> tuple[ServiceFigures, str | None]:
    """The figures of one service, and a caution if they rest on too few outages."""
    system = plan.system
    service = system.services[index]
    runs = tally.downtime.size
    exposure = runs * plan.horizon
    outages = int(tally.outages.sum())
    longest = longest_outage_mean(system)
    unavailability, caution = unavailability_interval(
        tally.downtime, outages, tally.durations, exposure, level=level, longest_repair_mean=longest
    )
    rate = _rate(tally, exposure, level)
    figures = ServiceFigures(
        name=service.name,
        availability=unavailability.complement(),
        unavailability=unavailability,
        outages_per_year=rate.scaled(YEAR),
        mean_outage_s=mean_outage_estimate(
            tally.downtime, tally.outages, level, unseen_downtime(tally.durations, outages, level, longest)
        ),
        mean_uptime_s=_mean_uptime(rate, 1 - unavailability.value),
        downtime_s_per_year=unavailability.scaled(YEAR),
        mttf_s=_mttf(plan, tally, level),
        degraded=_mean_share(tally.reduced / plan.horizon, level),
        no_outage=proportion_estimate(int(np.count_nonzero(np.isinf(tally.first))), runs, level),
        downtime_quantiles=_quantiles(plan, tally, level),
        blame=_blame(system, tally),
        cuts=_cuts(system, index, tally),
        interval_unavailability=unavailability if plan.new else None,
        outages_in_horizon=rate.scaled(plan.horizon) if plan.new else None,
    )
    return (_with_slo(figures, plan, service.slo, tally, level) if service.slo else figures), caution


def _rate(tally: ServiceTally, exposure: float, level: float) -> Estimate:
    """Outages per second: Poisson, unless the runs show that outages come in crowds or by the clock."""
    count = int(tally.outages.sum())
    poisson = rate_estimate(count, exposure, level)
    runs = tally.outages.size
    if count < MANY or runs < RUNS_MIN:
        return poisson
    mean = count / runs
    if int(tally.outages.max()) < runs:  # quicker by how many runs had none, one, two, … outages
        runs_with = np.bincount(tally.outages)
        variance = float(runs_with @ (np.arange(runs_with.size) - mean) ** 2) / (runs - 1)
    else:
        variance = float(tally.outages.var(ddof=1))
    # The ratio of variance to mean of Poisson counts strays from 1 by this standard error.
    error = math.sqrt(2 / (runs - 1) + 1 / count)
    if abs(variance / mean - 1) <= 3 * error:
        return poisson
    low, high = t_interval(tally.outages, level)
    per_run = exposure / runs
    value = count / exposure
    return Estimate(
        value, min(max(low / per_run, 0.0), value), max(high / per_run, value), level, "t, between runs", count,
        math.sqrt(variance / runs) / per_run,
    )  # fmt: skip


def _mean_uptime(rate: Estimate, availability: float) -> Estimate | None:
    """Time up divided by outages."""
    if rate.value == 0:
        return None
    high = availability / rate.low if rate.low > 0 else math.inf
    return Estimate(
        availability / rate.value,
        availability / rate.high,
        high,
        rate.level,
        f"from {rate.method}",
        rate.events,
    )


def _mttf(plan: Plan, tally: ServiceTally, level: float) -> Estimate | None:
    """Mean time to the first outage, only if every run saw one: anything else would be biased."""
    if not plan.new or not np.isfinite(tally.first).all() or tally.first.size < 2:
        return None
    low, high = t_interval(tally.first, level)
    value = float(tally.first.mean())
    error = float(tally.first.std(ddof=1)) / math.sqrt(tally.first.size)
    return Estimate(
        value, min(max(low, 0.0), value), max(high, value), level, "t, between runs", tally.first.size, error
    )


def _mean_share(shares: np.ndarray[tuple[int], np.dtype[np.float64]], level: float) -> Estimate | None:
    """Mean of a share over the runs; None if it never happened."""
    if not shares.any():
        return None
    value = float(shares.mean())
    if shares.size < 2:
        return Estimate(value, 0.0, 1.0, level, "one run tells nothing about its spread")
    low, high = t_interval(shares, level)
    error = float(shares.std(ddof=1)) / math.sqrt(shares.size)
    return Estimate(
        value,
        min(max(low, 0.0), value),
        max(min(high, 1.0), value),
        level,
        "t, between runs",
        standard_error=error,
    )


def _with_slo(figures: ServiceFigures, plan: Plan, slo: SLO, tally: ServiceTally, level: float) -> ServiceFigures:
    """Add the promise, and how often it is kept in a window and in a year of windows."""
    per_run, a_year = windows_in(slo.window, plan.horizon), windows_in(slo.window, YEAR)
    runs = tally.downtime.size
    windows = per_run * runs
    years = per_run // a_year * runs if a_year else 0
    return replace(
        figures,
        slo=(slo.availability, slo.window),
        slo_kept=proportion_estimate(windows - tally.windows_lost, windows, level) if windows else None,
        slo_kept_year=proportion_estimate(years - tally.slo_years_lost, years, level) if years else None,
    )


def _quantiles(plan: Plan, tally: ServiceTally, level: float) -> dict[str, Estimate]:
    """Quantiles of the downtime in a year; most years have none."""
    years = windows_in(YEAR, plan.horizon) * tally.downtime.size
    if not 0 < years <= YEARS_MAX:
        return {}
    ordered = np.zeros(years)
    if tally.yearly.size:
        ordered[-tally.yearly.size :] = np.sort(tally.yearly)
    return {name: quantile_estimate(ordered, p, level) for name, p in QUANTILES.items()}


def _blame(system: System, tally: ServiceTally) -> tuple[Blame, ...]:
    """The share of the downtime during which a variable was down and decided."""
    total, downtime = float(tally.blame_s.sum()), float(tally.downtime.sum())
    if total <= 0:
        return ()
    return tuple(
        Blame(
            system.variable_name(v), float(tally.blame_s[v]) / total, min(1.0, float(tally.blame_s[v]) / downtime),
            kind=system.variable_kind(v),
        )
        for v in np.flatnonzero(tally.blame_s).tolist()
    )  # fmt: skip


def _cuts(system: System, index: int, tally: ServiceTally) -> tuple[Cut, ...]:
    """Minimal cuts by the share of the downtime during which all of them was down."""
    total = float(tally.pattern_s.sum())
    if total <= 0 or system.variables > CUT_VARIABLES_MAX:
        return ()
    down = np.unpackbits(tally.patterns, axis=1, count=system.variables).astype(np.bool_)
    found = []
    for cut in minimal_cuts(system.services[index].up).cuts:
        members = sorted(cut)
        share = float(tally.pattern_s[down[:, members].all(axis=1)].sum()) / total
        if share > 0:
            found.append(Cut(tuple(system.variable_name(v) for v in members), share))
    return tuple(sorted(found, key=lambda cut: -cut.share)[:CUTS_SHOWN])
