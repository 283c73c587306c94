"""Systems in which something is always down: overlaps that never end must not be lost, nor cost for ever."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

import hasim as ha
from hasim.engines.montecarlo.plan import best_route, make_plan, run_block
from hasim.model.system import compile_system

MONTH = 30 * 86400.0


def pool(replicas: int, required: int, mtbf: str = "100h", mttr: str = "5h") -> ha.Cluster:
    return ha.Cluster(
        name="crowd",
        parts={"p": ha.Pool(replicas=replicas, required=required)},
        failures={"p": {"mtbf": mtbf, "mttr": mttr}},
        up=["p"],
    )


@pytest.mark.parametrize("route", ["ticks", "scan", "lockstep"])
def test_a_single_run_loses_no_outage_at_its_end(route: str) -> None:
    cluster = pool(200, 186)
    expected = ha.solve(cluster).services["cluster"].outages_per_year
    assert expected is not None
    system = compile_system(cluster)
    found = []
    for seed in range(60):
        tally = run_block(make_plan(system, MONTH, 1, seed, new=False, route=route), 0)  # type: ignore[arg-type]
        found.append(int(tally.services[0].outages.sum()))
    error = float(np.std(found, ddof=1)) / sqrt(len(found))
    assert abs(np.mean(found) - expected.value * 30 / 365) < 3.5 * error


def test_crowded_systems_are_not_searched_for_overlaps() -> None:
    assert best_route(compile_system(pool(3, 2))) == "ticks"
    assert best_route(compile_system(pool(60, 55))) == "scan"
    assert best_route(compile_system(pool(3, 2, mtbf="1h", mttr="1000h"))) == "lockstep"


def test_what_would_never_end_is_refused() -> None:
    endless = pool(1, 1, mtbf="1us", mttr="1us")
    with pytest.raises(ha.CannotModel, match=r"about .* events"):
        ha.estimate(endless, runs=1)
    with pytest.raises(ha.CannotModel, match=r"about .* events"):
        ha.simulate(endless)
