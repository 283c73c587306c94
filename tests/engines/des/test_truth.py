"""Long runs against exact values of Markov chains, within 3.5 standard errors of independent cycles."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasim.engines.des import simulate
from hasim.model.cluster import Cluster
from hasim.results import Run

TRUTH = json.loads((Path(__file__).parents[2] / "data" / "availability_truth.json").read_text(encoding="utf-8"))
Z = 3.5


def two_of_three(**more: Any) -> Cluster:
    repair = {"mtbf": "1000h", "mttr": "10h", **({"crew": "ops"} if more else {})}
    return Cluster(
        name="2 of 3",
        parts={"group": {"kind": "pool", "replicas": 3, "required": 2}},
        failures={"group": repair},
        up=["group"],
        **more,
    )


def cold_standby() -> Cluster:
    failover = {"takes": "30s", "coverage": 0.95, "manual": "30m"}
    return Cluster(
        name="cold standby",
        parts={"db": {"kind": "standby", "mode": "cold", "failover": failover}},
        failures={"db": {"mtbf": "2000h", "mttr": "4h"}},
        up=["db"],
    )


def z_scores(run: Run, unavailability: float, per_hour: float) -> tuple[float, float]:
    """How far the unavailability and the frequency of outages are from the truth, in standard errors.

    The state at the end of an outage is nearly always the same, so cycles (down, then up) are independent:
    the ratio of sums of cycles has the variance of its residuals, and their number that of a renewal process.
    """
    down = run.down("cluster")
    lasted = np.diff(down, axis=1).ravel()[:-1] / 3600
    cycle = np.diff(down[:, 0]) / 3600
    residuals = lasted - unavailability * cycle
    z_share = residuals.sum() / math.sqrt(residuals @ residuals)
    z_rate = (cycle.mean() - 1 / per_hour) / (cycle.std(ddof=1) / math.sqrt(cycle.size))
    return float(z_share), float(z_rate)


CASES = {
    "P1": (two_of_three(), "3000y", 1500),
    "P3": (two_of_three(crews={"ops": {"size": 1}}), "3000y", 1500),
    "P4": (cold_standby(), "1500y", 6000),
}


@cache
def history(problem: str, start: Any) -> Run:
    cluster, over, _ = CASES[problem]
    return simulate(cluster, over=over, seed=20 + len(start), start=start)


@pytest.mark.parametrize("problem", CASES)
@pytest.mark.parametrize("start", ["new", "steady"])
def test_a_long_run_agrees_with_the_markov_chain(problem: str, start: Any) -> None:
    truth, run = TRUTH[problem], history(problem, start)
    assert len(run.down("cluster")) > 0.9 * CASES[problem][2]
    share, rate = z_scores(run, float(truth["unavailability"]), float(truth["outage_frequency_per_hour"]))
    assert abs(share) < Z
    assert abs(rate) < Z


def test_blame_in_a_long_run_is_the_criticality_of_the_closed_form() -> None:
    run = history("P1", "new")
    figures = run.services["cluster"]
    assert {blame.unit for blame in figures.blame} == {"group-1", "group-2", "group-3"}
    # A criticality is the mean of an indicator over the downtime of n outages whose lengths have an scv
    # near one: its standard error is at most sqrt(2 c (1 - c) / n).
    n = len(run.down("cluster"))
    for blame in figures.blame:
        truth = float(TRUTH["P1"]["criticality_importance"]["u1"])
        assert blame.criticality is not None
        assert abs(blame.criticality - truth) < Z * math.sqrt(2 * truth * (1 - truth) / n)
    assert sum(blame.share for blame in figures.blame) == pytest.approx(1)
    assert {len(cut.units) for cut in figures.cuts} == {2}


def test_the_intervals_of_the_figures_cover_the_truth_in_most_runs() -> None:
    # 40 runs of some 25 outages; a 95 % interval fails 2 times, more than 8 with probability < 3e-4.
    truth = float(TRUTH["P1"]["unavailability"])
    missed = 0
    for seed in range(40):
        figures = simulate(two_of_three(), over="50y", seed=seed).services["cluster"]
        assert figures.unavailability is not None
        missed += not figures.unavailability.covers(truth)
    assert missed <= 8


def test_without_an_outage_there_is_an_upper_bound_and_no_hundred_per_cent() -> None:
    run = simulate(two_of_three(), over="1d", seed=1)
    figures = run.services["cluster"]
    assert figures.unavailability is not None and figures.availability is not None
    assert figures.unavailability.value == 0 < figures.unavailability.high
    assert figures.availability.low < 1
    assert any("no outage" in warning for warning in run.warnings)
