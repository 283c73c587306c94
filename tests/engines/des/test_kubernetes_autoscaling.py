"""The horizontal autoscaler at work: how soon it answers a step, by how much, and how long it holds what it has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

import hasim as ha
from hasim.protocols.reconcile.horizontal import HorizontalAutoscaler, reaction

START_S = 20.0


def shop(demand: object, **settings: object) -> ha.Cluster:
    """Each pod asks for 1 CPU and is to use 80 % of it; a request takes 10 ms, so a pod is for 80 a second."""
    hosts = [f"n-{i}" for i in range(1, 7)]
    return ha.Cluster(
        name="shop",
        topology={"zones": {"a": {"hosts": hosts}}},
        parts={
            "api": {"kind": "pool", "replicas": 3},
            "kcm": {"kind": "elected", "replicas": 3, "lease": {}, "needs": "api"},
            "web": {
                "kind": "workload",
                "replicas": 4,
                "cpu": 1000,
                "start": {"fixed": f"{START_S}s"},
                "demand": demand,
                "cost": "10ms",
            },
        },
        kubernetes={
            "api": "api",
            "controllers": "kcm",
            "scheduler": "kcm",
            "nodes": hosts,
            "horizontal": [{"target": "web", "max_replicas": 20, "min_replicas": 2, **settings}],
        },
        up="web",
    )


def test_a_step_that_one_scaling_answers_is_served_when_the_law_says() -> None:
    """With samples of no length: of longer ones the first may show a part of the step, and be answered in part."""
    law = reaction(HorizontalAutoscaler(target="web", max_replicas=20, metric_window="0s"), START_S)
    found = []
    for seed in range(60):
        at = 120 + seed / 4
        step = ha.Steps([("0s", 320), (f"{at:.3f}s", 560)])  # 4 pods, then 7
        run = ha.simulate(shop(step, metric_window="0s"), over="6m", seed=seed)
        assert [fact.detail["to"] for fact in run.trace.filter("scaled")][-1] == 7
        ready = [fact.at for fact in run.trace.filter("pod ready") if fact.at > at]
        found.append(max(ready) - at)
    slack = 0.1  # requests to the API, a few milliseconds each
    assert law.low <= min(found) and max(found) <= law.high + slack
    assert found[0] != found[1]
    assert kstest(np.array(found), law.cdf).pvalue > 1e-3


def test_growth_is_limited_to_twice_or_four_more_each_period() -> None:
    step = ha.Steps([("0s", 160), ("2m", 1600)])  # 2 pods, then 20
    run = ha.simulate(shop(step).replace("web.replicas", 2), over="8m", seed=1)
    assert [fact.detail["to"] for fact in run.trace.filter("scaled")][:3] == [6, 12, 20]


def test_what_it_has_it_holds_for_five_minutes() -> None:
    spike = {"kind": "spike", "rate": 320, "to": 560, "at": "2m", "lasting": "1m"}
    run = ha.simulate(shop(spike, metric_window="0s"), over="15m", seed=1)
    up, down = run.trace.filter("scaled")
    assert (up.detail["to"], down.detail["to"]) == (7, 4)
    assert 180 + 300 - 15 <= down.at <= 180 + 300 + 15 + 1


def test_a_load_within_the_tolerance_changes_nothing() -> None:
    wave = ha.Steps([("0s", 320), ("2m", 345), ("4m", 300)])
    assert not ha.simulate(shop(wave), over="10m", seed=1).trace.filter("scaled")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "wob"}, "did you mean 'web'"),
        ({"target": "kcm"}, "no workload is called 'kcm'"),
        ({"max_replicas": 1}, "min_replicas"),
    ],
)
def test_a_wrong_autoscaler_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said.replace("?", r"\?")):
        shop(100, **change)


def test_demand_and_cost_come_together() -> None:
    plain = shop(100).to_plain()
    del plain["parts"]["web"]["cost"]
    with pytest.raises(ha.ModelError, match="give both"):
        ha.Cluster(**plain)
