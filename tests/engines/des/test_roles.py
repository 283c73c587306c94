"""Who is active: the rules of failover, one sentence each, with scripted crashes and fixed laws."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from hasim.engines.des import simulate
from hasim.faults import Crash
from hasim.model.cluster import Cluster
from hasim.results import Run


def group(**part: Any) -> Cluster:
    """One part that never fails by itself."""
    return Cluster(name="group", parts={"db": part}, up=["db"])


TAKES_30 = {"takes": {"fixed": "30s"}}
PAIR = group(kind="standby", failover=TAKES_30)
ELECTED = group(kind="elected", replicas=3, failover=TAKES_30)
QUORUM = group(kind="quorum", members=3, failover=TAKES_30)


def crash(member: str, at: int, lasting: int) -> Crash:
    return Crash(member, at=f"{at}s", lasting=f"{lasting}s")


def played(cluster: Cluster, *crashes: Crash, seed: int = 1) -> Run:
    return simulate(cluster.during(*crashes), over="5m", seed=seed)


def assert_down(run: Run, *seconds: tuple[float, float]) -> None:
    expected = np.array(seconds, dtype=float).reshape(-1, 2)
    assert run.down("cluster") == pytest.approx(expected, abs=1e-9)


def successors(run: Run) -> list[Any]:
    return [fact.detail["active"] for fact in run.trace.filter(kind=["failover ended", "active"])]


def test_the_fall_of_the_active_member_costs_a_failover() -> None:
    run = played(PAIR, crash("db-1", 10, 100))
    assert_down(run, (10, 40))
    assert run.gaps["db"] == pytest.approx(np.array([[10.0, 40.0]]), abs=1e-9)
    assert successors(run) == ["db-2"]


def test_the_fall_of_a_waiting_member_costs_nothing() -> None:
    assert_down(played(PAIR, crash("db-2", 10, 100)))


def test_a_member_that_comes_back_does_not_take_the_role_from_another() -> None:
    run = played(PAIR, crash("db-1", 10, 50), crash("db-1", 100, 50))
    assert_down(run, (10, 40))


def test_where_roles_resume_the_old_active_member_carries_on_if_it_is_back_in_time() -> None:
    run = played(PAIR, crash("db-1", 10, 20))
    assert_down(run, (10, 30))
    assert successors(run) == ["db-1"]


def test_a_resumed_role_leaves_no_failover_behind() -> None:
    # Were the first failover still on its way, it would end at 40 s and make db-2 active.
    run = played(PAIR, crash("db-1", 10, 20), crash("db-2", 100, 50))
    assert_down(run, (10, 30))


def test_elsewhere_it_waits_like_the_others() -> None:
    run = played(ELECTED, crash("db-1", 10, 20))
    assert_down(run, (10, 40))


def test_without_enough_members_it_is_dark_and_no_failover_goes_on() -> None:
    run = played(QUORUM, crash("db-1", 10, 100), crash("db-2", 20, 50))
    # Dark from 20 to 70 s; the election that follows takes 30 s.
    assert_down(run, (10, 100))
    assert run.gaps["db"] == pytest.approx(np.array([[10.0, 20.0], [70.0, 100.0]]), abs=1e-9)
    assert successors(run)[0] is None


def test_a_quorum_needs_an_election_when_it_is_back() -> None:
    assert_down(played(QUORUM, crash("db-2", 10, 50), crash("db-3", 20, 50)), (20, 90))


def test_an_elected_part_regains_at_once_after_a_total_loss() -> None:
    down = [crash(f"db-{i}", 10 + i, 50 + i) for i in (1, 2, 3)]
    run = played(ELECTED, *down)
    # db-1 falls at 11 s, all are down from 13 s, and db-1 is back at 62 s.
    assert_down(run, (11, 62))
    assert successors(run) == [None, "db-1"]


def test_members_that_fall_at_the_same_instant_leave_it_dark_without_a_failover() -> None:
    plain = PAIR.to_plain()
    plain["topology"] = {"zones": {"zone-a": {"hosts": ["h1", "h2"]}}}
    plain["parts"]["db"]["on"] = ["zone-a"]
    run = simulate(Cluster(**plain).during(crash("zone-a", 10, 20)), over="5m", seed=1)
    assert_down(run, (10, 30))
    assert run.gaps["db"].size == 0
    assert "failover begun" not in run.trace.counts


def test_whoever_regained_the_role_is_an_active_member_like_any_other() -> None:
    down = [crash(f"db-{i}", 10, 10 * i) for i in (1, 2)]
    run = played(PAIR, *down, crash("db-1", 100, 100))
    assert_down(run, (10, 20), (100, 130))


def test_a_failover_that_the_coverage_misses_is_done_by_hand() -> None:
    failover = {**TAKES_30, "coverage": 0, "manual": {"fixed": "2m"}}
    run = played(group(kind="standby", failover=failover), crash("db-1", 10, 200))
    assert_down(run, (10, 130))
    assert run.trace.filter(kind="failover begun")[0].detail == {"from": "db-1", "by hand": True}


def repeated(cluster: Cluster, over: str, seed: int) -> Run:
    """Members live for a day and are repaired in an hour, each at its own random times."""
    plain = cluster.to_plain()
    plain["failures"] = {"db": {"mtbf": "1d", "mttr": {"fixed": "1h"}}}
    return simulate(Cluster(**plain), over=over, seed=seed)


def test_coverage_is_the_share_of_failovers_that_work() -> None:
    failover = {"takes": {"fixed": "1s"}, "coverage": 0.8, "manual": {"fixed": "2s"}}
    run = repeated(group(kind="elected", replicas=3, failover=failover), "2000d", 3)
    lasted = np.diff(run.gaps["db"], axis=1).ravel()
    whole = np.isclose(lasted, 1, atol=1e-6) | np.isclose(lasted, 2, atol=1e-6)
    assert whole.mean() > 0.99  # hardly any is cut short
    n, worked = whole.sum(), np.isclose(lasted, 1, atol=1e-6).sum()
    assert n > 1500
    assert abs(worked - 0.8 * n) < 3.5 * math.sqrt(n * 0.8 * 0.2)


def test_every_standing_member_has_the_same_chance_to_be_the_next() -> None:
    run = repeated(group(kind="elected", replicas=3, failover={"takes": {"fixed": "1s"}}), "2000d", 4)
    steps: Counter[int] = Counter()
    begun = run.trace.filter(kind="failover begun")
    ended = run.trace.filter(kind="failover ended")
    for before, after in zip(begun, ended, strict=False):
        if before.detail["from"] and after.detail["active"]:
            step = int(after.detail["active"][-1]) - int(before.detail["from"][-1])
            steps[step % 3] += 1
    # The one that fell is down for an hour; of the others either is next, unless one is down (4 %).
    n = steps[1] + steps[2]
    assert n > 1500 and steps[0] == 0
    assert abs(steps[1] - n / 2) < 3.5 * math.sqrt(n) / 2


def test_a_failover_in_no_time_leaves_no_gap_but_moves_the_role() -> None:
    part = {"kind": "standby", "mode": "cold", "failover": {"takes": {"fixed": "0s"}}}
    law = {"mtbf": {"fixed": "100h"}, "mttr": {"fixed": "10h"}}
    cluster = Cluster(name="instant", parts={"db": part}, failures={"db": law}, up=["db"])
    run = simulate(cluster, over="350h", seed=1)
    assert_down(run)
    assert [fact.at / 3600 for fact in run.trace.filter(kind="failed")] == pytest.approx([100, 200, 300])
