"""Planned windows come to the second; bursts take several hosts at one instant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hasim.engines.des import simulate
from hasim.engines.des.calendar import common_period
from hasim.model.cluster import Cluster

H = 3600.0


def hosts(required: int, **more: Any) -> Cluster:
    """Three hosts in one zone with a replica each; nothing fails but what is added."""
    return Cluster(
        name="hosts",
        topology={"zones": {"zone-a": {"hosts": ["h1", "h2", "h3"]}}},
        parts={"web": {"kind": "pool", "replicas": 3, "required": required, "on": ["zone-a"]}},
        up=["web"],
        **more,
    )


def hours(rows: Any) -> Any:
    return pytest.approx(np.array(rows, dtype=float).reshape(-1, 2) * H, abs=1e-9)


def test_a_window_begins_and_ends_to_the_second() -> None:
    weekly = {"on": ["h1"], "every": "1d", "lasting": "1h", "first": "2h"}
    run = simulate(hosts(3, maintenance={"patch": weekly}), over="3d", seed=1)
    assert run.down("cluster") == hours([[2, 3], [26, 27], [50, 51]])
    assert run.down("h1") == hours([[2, 3], [26, 27], [50, 51]])
    assert run.down("web-1") == hours([[2, 3], [26, 27], [50, 51]])
    assert run.down("h2").size == 0
    assert [fact.at / H for fact in run.trace.filter(kind="window begun", subject="patch")] == [2, 26, 50]


def test_at_time_zero_the_calendar_is_on_its_first_page() -> None:
    daily = {"on": ["h1"], "every": "1d", "lasting": "1h"}
    run = simulate(hosts(3, maintenance={"patch": daily}), over="26h", seed=1)
    assert run.down("cluster") == hours([[0, 1], [24, 25]])


# Times that floats cannot hold: the end of one window and the start of the next differ by rounding.
ONE_BY_ONE = {"on": ["h1", "h2", "h3"], "every": "0.7s", "lasting": "0.1s", "first": "0.3s", "one_by_one": True}


def test_one_by_one_never_takes_two_at_the_same_time() -> None:
    run = simulate(hosts(2, maintenance={"patch": ONE_BY_ONE}), over="10m", seed=1)
    ends, starts = run.down("h1")[:, 1], run.down("h2")[:, 0]
    assert len(ends) > 800 and np.abs(ends - starts).max() < 1e-9
    assert run.down("cluster").size == 0


def test_windows_that_touch_are_one_outage() -> None:
    run = simulate(hosts(3, maintenance={"patch": ONE_BY_ONE}), over="10m", seed=1)
    down = run.down("cluster")
    assert len(down) == 857
    assert np.diff(down, axis=1).ravel()[:-1] == pytest.approx(0.3, abs=1e-9)
    assert np.diff(down[:, 0]) == pytest.approx(0.7, abs=1e-9)


def test_a_window_is_nobody_s_fault_but_the_plan_s() -> None:
    daily = {"on": ["h1"], "every": "1d", "lasting": "1h"}
    blame = simulate(hosts(3, maintenance={"patch": daily}), over="3d", seed=1).services["cluster"].blame
    assert [(each.unit, each.kind, each.share) for each in blame] == [("patch (planned)", "planned", 1.0)]


def test_a_steady_start_opens_the_calendar_at_any_page() -> None:
    weekly = {"on": ["zone-a"], "every": "7d", "lasting": "1d"}
    cluster = hosts(1, maintenance={"patch": weekly})
    n, inside = 400, 0
    for seed in range(n):
        run = simulate(cluster, over="7d", seed=seed, start="steady")
        assert run.downtime_s("cluster") == pytest.approx(24 * H, abs=1e-4)
        inside += bool(run.down("cluster")[0, 0] == 0)
    assert abs(inside - n / 7) < 3.5 * math.sqrt(n * 6 / 49)


def test_windows_keep_their_distance_in_a_steady_start() -> None:
    plans = {
        "first": {"on": ["h1"], "every": "2d", "lasting": "1h"},
        "second": {"on": ["h2"], "every": "3d", "lasting": "1h", "first": "1h"},
    }
    for seed in range(20):
        run = simulate(hosts(3, maintenance=plans), over="6d", seed=seed, start="steady")
        first, second = (run.down(host)[:, 0] for host in ("h1", "h2"))
        apart = {round(float(b - a) / H) % 24 for a in first for b in second if a > 0 and b > 0}
        assert apart <= {1}


def test_the_calendar_repeats_after_the_least_common_period() -> None:
    assert common_period([2.0, 3.0]) == 6
    assert common_period([86400.0, 604800.0]) == 604800
    assert common_period([0.5, 0.75]) == 1.5
    assert common_period([1.0, math.pi]) == 1000 * 365 * 86400


def bursts(required: int = 1, **burst: Any) -> Cluster:
    burst = {"within": "zone", "every": {"fixed": "10h"}, "mttr": {"fixed": "3h"}, **burst}
    return hosts(required, bursts={"power": burst})


def test_a_burst_takes_every_host_when_it_hits_all() -> None:
    run = simulate(bursts(share=1.0), over="25h", seed=1)
    assert run.down("cluster") == hours([[10, 13], [20, 23]])
    assert len(run.trace.filter(kind="part down")) == 2


def test_a_burst_of_one_host_takes_one_host() -> None:
    run = simulate(bursts(hosts=1), over="400d", seed=1)
    downs = [len(run.down(host)) for host in ("h1", "h2", "h3")]
    n = sum(downs)
    assert n == 959 and run.down("cluster").size == 0
    for count in downs:
        assert abs(count - n / 3) < 3.5 * math.sqrt(n * 2 / 9)


def test_a_burst_hits_each_host_with_its_probability() -> None:
    run = simulate(bursts(share=0.3), over="400d", seed=1)
    n = 3 * 959
    hit = sum(len(run.down(host)) for host in ("h1", "h2", "h3"))
    assert abs(hit - 0.3 * n) < 3.5 * math.sqrt(n * 0.3 * 0.7)


def test_a_host_that_is_still_down_does_not_notice_the_next_burst() -> None:
    run = simulate(bursts(share=1.0, mttr={"fixed": "15h"}), over="50h", seed=1)
    assert run.down("h1") == hours([[10, 25], [30, 45]])


def test_a_burst_that_takes_all_members_leaves_no_time_for_a_failover() -> None:
    plain = bursts(share=1.0).to_plain()
    plain["parts"]["web"] = {"kind": "elected", "replicas": 3, "on": ["zone-a"], "failover": {"takes": "30s"}}
    run = simulate(Cluster(**plain), over="25h", seed=1)
    assert run.down("cluster") == hours([[10, 13], [20, 23]])
    assert "failover begun" not in run.trace.counts


def test_every_domain_has_bursts_of_its_own() -> None:
    cluster = Cluster(
        name="two racks",
        topology={"racks": {"r1": {"hosts": ["h1", "h2"]}, "r2": {"hosts": ["h3", "h4"]}}},
        bursts={"power": {"within": "rack", "every": "10d", "mttr": {"fixed": "3h"}, "share": 1.0}},
        parts={"web": {"kind": "pool", "replicas": 4, "on": ["r1", "r2"]}},
        up=["web"],
    )
    run = simulate(cluster, over="1y", seed=1)
    assert np.array_equal(run.down("h1"), run.down("h2")) and np.array_equal(run.down("h3"), run.down("h4"))
    assert not set(run.down("h1")[:, 0]) & set(run.down("h3")[:, 0])
