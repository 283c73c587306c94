"""Faults in the middle of upgrades: these end all the same, and tell what was there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upgrade_scenes import assert_sound, bad, failed, noticed, only, play, scene, versions_at_end

import hasim as ha
from hasim.model.upgrades import Upgrade
from hasim.results.outcomes import OK
from hasim.results.upgrades import UpgradeLog

HOSTS = ("a1", "a2", "b1", "b2")
LOOKS: dict[str, dict[str, Any]] = {
    "blind": {},
    "endpoints": {"view_delay": "500ms"},
    "checks": {"check": {"interval": "1s", "fall": 2, "rise": 1}},
}


def zoned(lb: dict[str, Any], replicas: int = 4, **serving: Any) -> ha.Cluster:
    """A pool over two zones of two hosts each, behind a balancer that stands nowhere in particular."""
    served = {"takes": "5ms", "slots": 100, "start_up": {"fixed": "3s"}, "grace": "5s", **serving}
    return ha.Cluster(
        name="zoned",
        topology={"zones": {"a": {"hosts": ["a1", "a2"]}, "b": {"hosts": ["b1", "b2"]}}},
        parts={
            "api": {"kind": "pool", "replicas": replicas, "required": 1, "on": list(HOSTS), "serving": served},
            "lb": {"kind": "balancer", "to": "api", **lb},
        },
        services={"web": {"up": ["lb"]}},
    )


STRATEGIES: dict[str, dict[str, Any]] = {
    "rolling": {"kind": ha.Rolling},
    "rolling by surge": {"kind": ha.Rolling, "surge": 1, "unavailable": 0, "min_ready": "1s"},
    "recreate": {"kind": ha.Recreate},
    "ordered": {"kind": ha.Ordered, "repairs": True},
    "in place": {"kind": ha.InPlace, "batch": 2, "notice": "1s", "pause": "1s", "gate": "balancer"},
    "all at once": {"kind": ha.AllAtOnce, "graceful": False},
    "blue-green": {
        "kind": ha.BlueGreen,
        "keep": "10s",
        "tests": "2s",
        "catches": 0.3,
        "propagation": {"exponential": "1s"},
    },
    "blue-green by client": {"kind": ha.BlueGreen, "keep": "10s", "client_propagation": "3s", "checked": False},
    "canary": {"kind": ha.Canary, "steps": [{"share": 0.2, "bake": "5s"}, {"share": 0.5, "bake": "5s"}]},
    "canary by pods": {
        "kind": ha.Canary,
        "steps": [{"share": 0.5, "bake": "8s"}],
        "traffic": "pods",
        "analysis": ha.Analysis(),
    },
    "window": {"kind": ha.Window, "lasting": "12s", "work": "3s"},
}
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "host": {"kind": ha.Crash, "target": "a1"},
    "zone": {"kind": ha.Crash, "target": "b"},
    "pod": {"kind": ha.Crash, "target": "api-3"},
    "pool": {"kind": ha.Crash, "target": "api"},
    "balancer": {"kind": ha.Crash, "target": "lb"},
    "dark": {"kind": ha.PowerLoss, "target": "a"},
    "pause": {"kind": ha.Pause, "target": "api-2"},
    "slow": {"kind": ha.SlowServer, "target": "a", "factor": 50.0},
    "errors": {"kind": ha.ErrorAnswers, "target": "api", "share": 0.3},
    "unready": {"kind": ha.Unready, "target": "a2"},
    "drain": {"kind": ha.Drain, "target": "api-1"},
    "stop": {"kind": ha.Stop, "target": "api-4"},
    "partition": {"kind": ha.Partition, "sides": [["lb"], ["api"]]},
    "half cut": {"kind": ha.Partition, "sides": [["lb", "a1", "a2"], ["b1", "b2"]]},
}


def upgrade_of(name: str, **more: Any) -> Upgrade:
    """One of the strategies."""
    given = dict(STRATEGIES[name])
    kind = given.pop("kind")
    made = kind("api", **{**given, **more})
    assert isinstance(made, Upgrade)
    return made


def fault_of(name: str, at: float, lasting: float) -> list[Any]:
    """One of the faults, or none."""
    given = dict(FAULTS[name])
    if not given:
        return []
    kind = given.pop("kind")
    target = [given.pop("target")] if "target" in given else []
    return [kind(*target, at=ha.s(at), lasting=ha.s(lasting), **given)]


def clean(log: UpgradeLog) -> None:
    """At the end all pods are of the version that they should have."""
    wanted = log.new if log.outcome == "rolled out" else log.old
    assert versions_at_end(log) <= {wanted}, log
    assert log.ready[-1].sum() + log.starting[-1].sum() == log.replicas


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    strategy=st.sampled_from(sorted(STRATEGIES)),
    fault=st.sampled_from(sorted(FAULTS)),
    look=st.sampled_from(sorted(LOOKS)),
    moment=st.floats(0.0, 40.0),
    lasting=st.floats(0.1, 25.0),
    found=st.one_of(st.none(), st.floats(0.5, 60.0)),
    connections=st.sampled_from(["each", "sticky"]),
    discipline=st.sampled_from(["fifo", "sharing"]),
    seed=st.integers(0, 1000),
)
def test_whatever_fails_whenever_an_upgrade_ends(
    strategy: str,
    fault: str,
    look: str,
    moment: float,
    lasting: float,
    found: float | None,
    connections: str,
    discipline: str,
    seed: int,
) -> None:
    """And one seed gives one log, of the upgrade and of the requests."""
    more = {} if found is None else {"release": bad(1.0, 0.5), "detection": noticed(found)}
    scenario = zoned(LOOKS[look], discipline=discipline).during(
        upgrade_of(strategy, at="5s", **more),
        ha.Load(rate=10, lasting="80s", clients={"count": 20, "connections": connections, "timeout": "3s"}),
        *fault_of(fault, moment, lasting),
    )
    first, again = (ha.simulate(scenario, over="5m", seed=seed) for _ in range(2))
    log = only(first)
    assert log.to_frame().equals(only(again).to_frame()) and log.facts == only(again).facts
    assert first.requests is not None and again.requests is not None
    assert np.array_equal(first.requests.ended_s, again.requests.ended_s)
    assert_sound(log)
    if strategy != "canary by pods":  # its analysis may take anything that fails for a sign
        back = log.when("noticed by its errors") is not None or log.when("noticed by tests") is not None
        assert log.outcome == ("rolled back" if back else "rolled out"), log.facts
    clean(log)


# ------------------------------------------------------------------------------------ one by one


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_host_that_falls_in_the_middle_is_waited_for(strategy: str, look: str) -> None:
    """Its pod is missing for as long; others go on, and at the end everything is served again."""
    load = ha.Load(rate=10)
    run = play(zoned(LOOKS[look]), upgrade_of(strategy, at="5s"), load, *fault_of("host", 6.5, 60.0), over=200)
    log = only(run)
    assert log.outcome == "rolled out" and log.min_ready <= 3
    clean(log)
    assert run.requests is not None
    late = (run.requests.arrived_s > 120.0) & (run.requests.arrived_s < 195.0)
    assert (run.requests.outcome[late] == OK).all()


@pytest.mark.parametrize("host", HOSTS)
def test_pods_that_are_down_already_are_not_counted_on(host: str) -> None:
    """One of four is missing when it begins: with one that may be unavailable, none of the others goes before it."""
    upgrade = ha.Rolling("api", at="20s", surge=1, unavailable=1)
    log = only(play(zoned({}), upgrade, ha.Crash(host, at="5s", lasting="500s"), over=100))
    assert log.min_ready == 3 and log.ready[0].sum() == 3
    whole = only(play(zoned({}), upgrade, over=100))
    assert whole.min_ready == 3 and whole.ready[0].sum() == 3 and whole.duration_s <= log.duration_s


def test_new_pods_stand_where_there_is_power() -> None:
    """A zone is dark before an upgrade to eight pods more: they find places in the other, and it ends."""
    upgrade = ha.Rolling("api", at="20s", surge="100%", unavailable=0)
    run = play(zoned({}), upgrade, ha.Load(rate=10), *fault_of("zone", 5.0, 500.0), over=100)
    log = only(run)
    assert log.outcome == "rolled out" and log.ended_s == pytest.approx(23.0, abs=0.1)
    assert log.ready[-1].tolist() == [0, 4]


def test_a_pod_that_hangs_while_it_leaves_is_killed() -> None:
    """A frozen process does not hear that it shall go; its grace period of 5 s ends it."""
    cluster = zoned({}, takes={"fixed": "500ms"})
    upgrade = ha.Recreate("api", at="10s")
    run = play(cluster, upgrade, ha.Load(rate=20), *fault_of("pause", 9.9, 60.0), over=60)
    assert only(run).ended_s == pytest.approx(10.0 + 5.0 + 3.0, abs=1e-3)


def test_a_partition_does_not_stop_what_does_not_look() -> None:
    """Pods are ready whoever reaches them; a rollout that waits for the balancer waits for the network."""
    cut = fault_of("partition", 6.0, 40.0)
    plain = only(play(zoned(LOOKS["checks"]), upgrade_of("rolling", at="5s"), ha.Load(rate=10), *cut, over=200))
    assert plain.ended_s is not None and plain.ended_s < 20.0
    gated = only(play(zoned(LOOKS["checks"]), upgrade_of("in place", at="5s"), ha.Load(rate=10), *cut, over=200))
    assert gated.ended_s is not None and gated.ended_s > 46.0 and gated.outcome == "rolled out"


def test_an_operator_drains_beside_an_upgrade() -> None:
    """Both keep a server out, each for itself: after the drain nobody is sent to a place that is empty."""
    upgrade = ha.Rolling("api", at="10s", surge=1, unavailable=0)
    run = play(zoned({}), upgrade, ha.Load(rate=30), ha.Drain("api", at="5s", lasting="60s"), over=120)
    assert run.requests is not None
    late = (run.requests.arrived_s > 66.0) & (run.requests.arrived_s < 119.0)
    assert (run.requests.outcome[late] == OK).all()


LOOKING = {"check": {"interval": "1s", "rise": 1}}


def test_a_rollout_that_waits_for_balancers_hears_of_operators() -> None:
    """A server that is drained is waited for until it is let in again."""
    upgrade = ha.InPlace("api", at="5s", batch=4, gate="balancer")
    drain = ha.Drain("api-1", at="4s", lasting="30s")
    assert only(play(zoned(LOOKING), upgrade, ha.Load(rate=30), drain, over=100)).ended_s == pytest.approx(34.0)


def test_a_rollout_that_waits_for_balancers_hears_of_ejections() -> None:
    """An address that was ejected for its errors is out of use for 30 s, whatever runs there by then."""
    ejection = {"kind": "outlier_detection", "base_ejection": "30s", "interval": "1s", "max_ejection": 1.0}
    upgrade = ha.InPlace("api", at="10s", batch=4, gate="balancer")
    errors = ha.ErrorAnswers("api-1", at="4s", lasting="5s")
    log = only(play(zoned({**LOOKING, "ejection": ejection}), upgrade, ha.Load(rate=60), errors, over=200))
    assert log.outcome == "rolled out" and log.ended_s is not None and 34.0 < log.ended_s < 45.0


def test_a_server_that_is_let_in_slowly_is_met_by_ever_more() -> None:
    """In twenty steps of its weight, beside three others."""
    upgrade = ha.InPlace("api", pause="60s")
    log = only(play(zoned({**LOOKING, "slow_start": "20s"}), upgrade, ha.Load(rate=10), over=60))
    weights = np.arange(1, 21) / 20
    assert log.exposure[log.exposure > 0] == pytest.approx(weights / (3 + weights))


def test_a_peak_in_the_middle_meets_the_capacity_that_is_left() -> None:
    """Four servers carry a peak that three do not: only the rollout that goes below four queues."""
    cluster = zoned({}, takes={"fixed": "50ms"}, slots=1, start_up={"fixed": "10s"})
    peak = ha.Load(rate=ha.Spike(rate=10.0, to=70.0, at="5s", lasting="40s"))  # of 80 a second, or 60
    waits = []
    for more in ({"surge": 1, "unavailable": 0}, {"surge": 0, "unavailable": 1}):
        run = play(cluster, ha.Rolling("api", at="5s", **more), peak, over=120)
        assert run.requests is not None and only(run).outcome == "rolled out"
        inside = run.requests.between(30.0, 44.0)
        waits.append(float(np.median(inside.latency_s)))
    assert waits[0] < 1.0 < waits[1]


# ------------------------------------------------------------------------------------ edges


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_pod_is_enough(strategy: str) -> None:
    run = play(zoned({}, replicas=1), upgrade_of(strategy), ha.Load(rate=20), over=60)
    log = only(run)
    assert log.outcome == "rolled out"
    clean(log)
    gap = log.min_ready == 0
    assert gap == (STRATEGIES[strategy]["kind"] in (ha.Recreate, ha.Ordered, ha.InPlace, ha.AllAtOnce, ha.Window))
    assert gap == (failed(run) > 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("at", [0.0, 7.9, 8.0, 9.0])
def test_a_run_may_end_before_its_upgrade(strategy: str, at: float) -> None:
    run = play(zoned({}), upgrade_of(strategy, at=ha.s(at)), ha.Load(rate=20), over=8)
    if at >= 8.0:
        assert not run.upgrades
        return
    log = only(run)
    assert log.figures(run.requests)["outcome"] == log.outcome
    assert at > 0.0 or strategy in ("rolling", "all at once", "recreate") or log.outcome == "under way"


def test_three_hundred_pods() -> None:
    log = only(play(scene(300, 2.0), ha.Rolling("api", at="1s"), ha.Load(rate=20), over=20))
    assert (log.outcome, log.min_ready, log.most_pods) == ("rolled out", 225, 375)
    assert log.duration_s == pytest.approx(4.0, abs=0.01)  # ⌈300/150⌉ waves
