"""How a unit fails and comes back: detection, restart, repair, ageing while idle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hasim.engines.des import simulate
from hasim.model.cluster import Cluster

M, H = 60.0, 3600.0
EXACT = pytest.approx


def one(**failure: Any) -> Cluster:
    failure = {"mtbf": {"fixed": "1h"}, "mttr": {"fixed": "30m"}, **failure}
    return Cluster(name="one", parts={"it": {"kind": "unit"}}, failures={"it": failure}, up=["it"])


def test_down_time_is_detection_and_repair() -> None:
    run = simulate(one(detect={"fixed": "1m"}), over="3h", seed=1)
    assert run.down("it") / M == EXACT(np.array([[60, 91], [151, 180]]), abs=1e-9)
    assert [fact.kind for fact in run.trace.filter(subject="it", until=100 * M)] == [
        "failed", "part down", "detected", "repair begun", "repaired", "part up",
    ]  # fmt: skip


def test_a_restart_that_works_needs_no_repair() -> None:
    cluster = one(detect={"fixed": "1m"}, restart={"takes": {"fixed": "2m"}})
    run = simulate(cluster, over="3h", seed=1)
    assert run.down("it") / M == EXACT(np.array([[60, 63], [123, 126]]), abs=1e-9)


def test_a_restart_that_never_works_is_lost_time() -> None:
    cluster = one(restart={"takes": {"fixed": "2m"}, "works": 0})
    run = simulate(cluster, over="3h", seed=1)
    assert run.down("it") / M == EXACT(np.array([[60, 92], [152, 180]]), abs=1e-9)


def test_a_restart_works_as_often_as_declared() -> None:
    run = simulate(one(restart={"takes": {"fixed": "2m"}, "works": 0.7}), over="120d", seed=3)
    lasted = np.diff(run.down("it"), axis=1).ravel()[:-1] / M
    quick = np.isclose(lasted, 2, atol=1e-6)
    assert np.allclose(lasted[~quick], 32, atol=1e-6)
    n = lasted.size
    assert n > 1500
    assert abs(quick.sum() - 0.7 * n) < 3.5 * math.sqrt(n * 0.7 * 0.3)


def standby(mode: str, **more: Any) -> Cluster:
    part = {"kind": "standby", "mode": mode, "failover": {"takes": {"fixed": "1h"}}, **more}
    law = {"mtbf": {"fixed": "100h"}, "mttr": {"fixed": "10h"}}
    return Cluster(name=mode, parts={"db": part}, failures={"db": law}, up=["db"])


def test_a_cold_standby_does_not_age() -> None:
    # Each one has all of its 100 h to live when it takes over.
    run = simulate(standby("cold"), over="310h", seed=1)
    assert run.down("cluster") / H == EXACT(np.array([[100, 101], [201, 202], [302, 303]]), abs=1e-9)
    assert run.down("db-1") / H == EXACT(np.array([[100, 110], [302, 310]]), abs=1e-9)
    assert run.down("db-2") / H == EXACT(np.array([[201, 211]]), abs=1e-9)


def test_a_hot_standby_ages_like_the_active_one() -> None:
    run = simulate(standby("hot"), over="115h", seed=1)
    assert run.down("db-2") / H == EXACT(np.array([[100, 110]]), abs=1e-9)
    assert run.down("cluster") / H == EXACT(np.array([[100, 110]]), abs=1e-9)


def test_a_warm_standby_ages_at_its_rate_also_during_the_failover() -> None:
    # db-2 has aged 50.5 h when it takes over at 101 h and has 49.5 h left; db-1, back at 110 h, ages at half
    # rate until the failover is over at 151.5 h, 20.75 h in all, and lives for another 79.25 h.
    run = simulate(standby("warm", warm_rate=0.5), over="235h", seed=1)
    assert run.down("cluster") / H == EXACT(np.array([[100, 101], [150.5, 151.5], [230.75, 231.75]]), abs=1e-9)


def test_a_steady_start_of_an_independent_unit_is_its_equilibrium() -> None:
    cluster = one(mtbf={"fixed": "3h"}, mttr={"fixed": "1h"})
    n, down, rests = 400, 0, []
    for seed in range(n):
        run = simulate(cluster, over="4h", seed=seed, start="steady")
        first = run.down("it")[0]
        down += first[0] == 0 and first[1] < H  # a spell that was cut at the start
        rests.append(float((run.down("it")[:, 1] - run.down("it")[:, 0]).sum()) / H)
    # Down with probability 1/4; and a period of 4 h has an hour of downtime wherever it begins.
    assert abs(down - n / 4) < 3.5 * math.sqrt(n * 3 / 16)
    assert rests == EXACT([1.0] * n, abs=1e-9)


def test_common_cause_takes_every_member_at_once() -> None:
    cluster = Cluster(
        name="common cause",
        parts={"web": {"kind": "pool", "replicas": 3}},
        failures={"web": {"mtbf": {"fixed": "10h"}, "mttr": {"fixed": "1h"}, "common_cause": 0.5}},
        up=["web"],
    )
    # Half of the failures each: members alone fail at 20 h, so does the common cause, always together.
    run = simulate(cluster, over="22h", seed=1)
    assert run.down("cluster") / H == EXACT(np.array([[20, 21]]), abs=1e-9)
    assert run.down("web (common cause)") / H == EXACT(np.array([[20, 21]]), abs=1e-9)


def test_the_warm_up_of_a_steady_start_is_forgotten() -> None:
    # A unit that waits for a crew needs a warm-up, in which this one fails some five times.
    law = {"mtbf": "10h", "mttr": "1h", "crew": "ops"}
    crews = {"ops": {"size": 1}}
    cluster = Cluster(name="one", parts={"it": {"kind": "unit"}}, failures={"it": law}, crews=crews, up=["it"])
    for seed in range(20):
        run = simulate(cluster, over="1s", seed=seed, start="steady")
        figures = run.services["cluster"]
        was_up = run.down("it").size == 0
        assert was_up == (figures.blame == ()) == (figures.cuts == ())
        assert run.down("it").tolist() in ([], [[0.0, 1.0]])
        assert run.trace.counts == {}
