"""Waiting for repair: who is next, exact to the second because every law is fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasim.engines.des import simulate
from hasim.model.cluster import Cluster

H = 3600.0
EXACT = pytest.approx


def three_units(crew: dict[str, Any], priorities: tuple[int, ...] = (0, 0, 0), **more: Any) -> Cluster:
    """Units that fail at 30, 31 and 32 h; each repair takes 5 h."""
    failures = {
        f"unit-{i + 1}": {
            "mtbf": {"fixed": f"{30 + i}h"},
            "mttr": {"fixed": "5h"},
            "crew": "ops",
            "priority": priorities[i],
            **more,
        }
        for i in range(3)
    }
    return Cluster(
        name="three units",
        parts={"unit": {"kind": "pool", "replicas": 3}},
        failures=failures,
        crews={"ops": crew},
        up=["unit"],
    )


def repaired_at(cluster: Cluster, seed: int = 1, over: str = "60h") -> list[float]:
    run = simulate(cluster, over=over, seed=seed)
    downs = [run.down(f"unit-{i}") for i in (1, 2, 3)]
    assert [down[0, 0] / H for down in downs] == EXACT([30, 31, 32], abs=1e-9)
    return [float(down[0, 1]) / H for down in downs]


def test_first_come_first_served() -> None:
    assert repaired_at(three_units({"discipline": "fifo"})) == EXACT([35, 40, 45], abs=1e-9)


def test_last_come_first_served() -> None:
    assert repaired_at(three_units({"discipline": "lifo"})) == EXACT([35, 45, 40], abs=1e-9)


def test_the_lowest_priority_goes_first_but_work_begun_is_finished() -> None:
    assert repaired_at(three_units({"discipline": "priority"}, (9, 5, 1))) == EXACT([35, 45, 40], abs=1e-9)


def test_equal_priorities_go_in_order_of_arrival() -> None:
    assert repaired_at(three_units({"discipline": "priority"}, (9, 5, 5))) == EXACT([35, 40, 45], abs=1e-9)


def test_at_random_either_of_those_waiting_is_next_with_the_same_chance() -> None:
    cluster = three_units({"discipline": "random"})
    orders = [tuple(round(t, 6) for t in repaired_at(cluster, seed)) for seed in range(200)]
    assert set(orders) == {(35.0, 40.0, 45.0), (35.0, 45.0, 40.0)}
    # Binomial with 200 trials and 1/2: 3.5 standard deviations are 24.7.
    assert abs(orders.count((35.0, 40.0, 45.0)) - 100) < 3.5 * 200**0.5 / 2


def test_a_crew_of_two_works_on_two_things() -> None:
    assert repaired_at(three_units({"size": 2})) == EXACT([35, 36, 40], abs=1e-9)


def test_the_crew_comes_only_after_detection() -> None:
    # Detected at 31, 32 and 33 h.
    assert repaired_at(three_units({"size": 1}, detect={"fixed": "1h"})) == EXACT([36, 41, 46], abs=1e-9)


def test_the_trace_says_who_waited_and_when_work_began() -> None:
    run = simulate(three_units({"size": 1}), over="60h", seed=1)
    told = [(fact.at / H, fact.kind) for fact in run.trace.filter(subject="unit-2")]
    assert told == [(31, "failed"), (31, "waiting for a crew"), (35, "repair begun"), (40, "repaired")]


def with_spares(stock: int, crew: bool = False) -> Cluster:
    """Units that fail at 30, 31 and 32 h; repair takes 1 h and a spare; a new spare comes after 20 h."""
    law = {"mttr": {"fixed": "1h"}, "spares": "disks", **({"crew": "ops"} if crew else {})}
    return Cluster(
        name="spares",
        parts={"unit": {"kind": "pool", "replicas": 3}},
        failures={f"unit-{i + 1}": {"mtbf": {"fixed": f"{30 + i}h"}, **law} for i in range(3)},
        spares={"disks": {"stock": stock, "restock": {"fixed": "20h"}}},
        crews={"ops": {"size": 1}} if crew else {},
        up=["unit"],
    )


def test_a_repair_takes_a_spare_and_orders_another() -> None:
    # The spare is taken at 30 h; the three ordered at 30, 31 and 32 h come 20 h later.
    assert repaired_at(with_spares(1), over="75h") == EXACT([31, 51, 52], abs=1e-9)


def test_orders_are_delivered_side_by_side() -> None:
    assert repaired_at(with_spares(2), over="75h") == EXACT([31, 32, 51], abs=1e-9)


def test_those_who_wait_for_a_spare_are_served_in_order_of_arrival() -> None:
    run = simulate(with_spares(1), over="92h", seed=1)
    # The order of 32 h fills the shelf for unit-1 at 61 h, whose order of that moment is there for unit-2 at 82 h.
    assert run.down("unit-1") / H == EXACT(np.array([[30, 31], [61, 62]]), abs=1e-9)
    assert run.down("unit-2") / H == EXACT(np.array([[31, 51], [82, 83]]), abs=1e-9)
    assert run.down("unit-3") / H == EXACT(np.array([[32, 52], [84, 92]]), abs=1e-9)


def test_without_a_stock_every_repair_orders_its_own_spare() -> None:
    assert repaired_at(with_spares(0), over="60h") == EXACT([51, 52, 53], abs=1e-9)


def test_whoever_waits_for_a_spare_keeps_no_crew_busy() -> None:
    cluster = with_spares(1, crew=True)
    other = {"mtbf": {"fixed": "33h"}, "mttr": {"fixed": "1h"}, "crew": "ops"}
    plain = cluster.to_plain()
    plain["parts"]["other"] = {"kind": "unit"}
    plain["failures"]["other"] = other
    run = simulate(Cluster(**plain), over="60h", seed=1)
    assert run.down("other") / H == EXACT(np.array([[33, 34]]), abs=1e-9)


def test_a_crew_never_does_more_than_it_can_and_is_never_idle_while_somebody_waits() -> None:
    law = {"mtbf": "20h", "mttr": "8h", "crew": "ops"}
    cluster = Cluster(
        name="busy",
        parts={"unit": {"kind": "pool", "replicas": 6}},
        failures={"unit": law},
        crews={"ops": {"size": 2, "discipline": "lifo"}},
        up=["unit"],
    )
    run = simulate(cluster, over="1y", seed=1)
    working: set[str] = set()
    waiting: set[str] = set()
    longest_line, instant = 0, 0.0
    for fact in run.trace:
        if fact.at > instant:  # what happens at one instant is judged when it is over
            assert len(working) <= 2
            assert len(working) == 2 or not waiting
            longest_line, instant = max(longest_line, len(waiting)), fact.at
        match fact.kind:
            case "waiting for a crew":
                waiting.add(fact.subject)
            case "repair begun":
                waiting.discard(fact.subject)
                working.add(fact.subject)
            case "repaired":
                working.remove(fact.subject)
    assert longest_line >= 3
