"""Upgrades of workloads and drains that cannot be meant are refused; what can be is written and read again."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from kubernetes_toys import WEB, toy

import hasim as ha
from hasim.errors import ModelError
from hasim.model.disruption import DisruptionBudget
from hasim.model.parts import Workload
from hasim.model.schema import model_schema

DB = "web: {kind: workload, controller: stateful_set, replicas: 3, start: {fixed: 5s}}"
AGENT = "web: {kind: workload, controller: daemon_set, start: {fixed: 5s}}"
SET = "web: {kind: workload, controller: replica_set, replicas: 3, start: {fixed: 5s}}"
FULL = (
    "web: {kind: workload, replicas: 6, required: 3, start: {fixed: 5s}, version: v7, surge: 50%, unavailable: 0, "
    "min_ready: 10s, progress_deadline: 5m, budget: {max_unavailable: 25%, unhealthy: AlwaysAllow}}"
)


def workload(**given: Any) -> Workload:
    return Workload(**{"start": {"fixed": "5s"}, "replicas": 3, **given})


@pytest.mark.parametrize(
    ("given", "where", "why"),
    [
        ({"replicas": None}, "replicas", "is missing"),
        ({"required": 4}, "required", "only 3 pods"),
        ({"surge": "some"}, "surge", "a share like '25%'"),
        ({"strategy": "Recreate", "surge": 1}, "surge", "all pods go at once"),
        ({"strategy": "OnDelete"}, "strategy", "'RollingUpdate' or 'Recreate'"),
        ({"partition": 1}, "partition", "is of a stateful_set, and this is a deployment"),
        ({"controller": "stateful_set", "min_ready": "5s"}, "min_ready", "deployment or a daemon_set"),
        ({"controller": "stateful_set", "partition": 4}, "partition", "none would change"),
        ({"controller": "replica_set", "surge": 1}, "surge", "this is a replica_set"),
        ({"controller": "daemon_set"}, "replicas", "one pod on each node"),
        ({"controller": "daemon_set", "replicas": None, "surge": 1}, "surge", "one of the two is 0"),
        ({"controller": "daemon_set", "replicas": None, "budget": {"min_available": 1}}, "budget", "where they are"),
        ({"budget": {}}, "budget", "either `min_available` or `max_unavailable`"),
        ({"budget": {"min_available": 1, "max_unavailable": 1}}, "budget", "not both"),
        ({"budget": {"min_available": "101%"}}, "budget.min_available", "at most 100%"),
    ],
)
def test_settings_that_go_with_another_controller_are_refused(given: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(ModelError) as refused:
        workload(**given)
    (problem,) = refused.value.problems
    assert problem.path == where and why in problem.message


@pytest.mark.parametrize(
    ("text", "upgrade", "why"),
    [
        (WEB, ha.Rolling("wbe"), "did you mean 'web'"),
        (WEB, ha.Ordered("web"), "web is a deployment, and upgrades of one are ha.Rolling and ha.Recreate"),
        (WEB, ha.AllAtOnce("web"), "ha.Rolling and ha.Recreate"),
        (DB, ha.Rolling("web"), "upgrades of one are ha.Ordered"),
        (DB, ha.Ordered("web", partition=4), "web has 3 pods"),
        (AGENT, ha.Rolling("web"), "upgrades of one are ha.PerNode"),
        (SET, ha.Rolling("web"), "make it a deployment"),
        (WEB[:-1] + ", strategy: Recreate}", ha.Rolling("web"), "strategy: Recreate"),
        (WEB[:-1] + ", strategy: RollingUpdate}", ha.Recreate("web"), "strategy: RollingUpdate"),
        (WEB, ha.Rolling("web", release=ha.Release(bad=1.0, errors=0.1)), "no requests are played there"),
        (WEB, ha.Rolling("web", release=ha.Release(bad=1.0, errors=0.0, slower=2.0)), "cannot be slower"),
        (WEB, ha.Rolling("web", graceful=False), "grace: 0s"),
        (WEB, ha.DrainNodes("n-9"), "no node is called that"),
        (WEB, ha.DrainNodes("cp-1"), "runs no pods"),
    ],
)
def test_upgrades_that_the_controller_does_not_know_are_refused(text: str, upgrade: Any, why: str) -> None:
    with pytest.raises(ModelError, match="during") as refused:
        toy(text).during(upgrade)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"release": ha.Release(version="v3")}, "release"),
        ({"graceful": False}, "graceful"),
        ({"timeout": "0s"}, "timeout"),
        ({"away": "0s"}, "away"),
        ({"then": "reboot"}, "then"),
    ],
)
def test_drains_bring_no_version(given: dict[str, Any], where: str) -> None:
    with pytest.raises(ModelError) as refused:
        ha.DrainNodes("n-1", **given)
    assert [problem.path for problem in refused.value.problems] == [where]


def test_drains_know_no_orders_and_take_nodes() -> None:
    with pytest.raises(ModelError, match="drain nodes knows none"):
        ha.DrainNodes("n-1", orders=[ha.Order(after="1m", do="pause")])
    with pytest.raises(ModelError, match="nodes"):
        ha.DrainNodes(at="1m")
    part = "{kind: pool, replicas: 1, on: n-1}"
    alone = ha.loads(f"{{hasim: 1, name: x, topology: {{hosts: [n-1]}}, parts: {{web: {part}}}, up: web}}")
    with pytest.raises(ModelError, match=r"ha\.NodeByNode"):
        alone.during(ha.DrainNodes("n-1"))


def test_a_daemon_set_needs_no_more_nodes_than_there_are_and_no_autoscaler() -> None:
    with pytest.raises(ModelError, match="only 6 nodes"):
        toy(AGENT[:-1] + ", required: 7}")
    grown = ", autoscaler: {name: big, min_nodes: 0, max_nodes: 2, cpu: 4000}, provisioning: {fixed: 1m}"
    with pytest.raises(ModelError, match="leave one of the two out"):
        toy(AGENT, more=grown)


def test_a_bad_release_whose_pods_never_get_ready_answers_nothing() -> None:
    assert ha.Release(bad=0.1, never_ready=1.0).errors is None
    with pytest.raises(ModelError, match="errors"):
        ha.Release(bad=0.1, never_ready=0.5)


def test_a_model_file_has_all_of_it_and_reads_it_back() -> None:
    rollouts = [
        {"kind": "rolling", "target": "web", "at": "5m", "surge": 1},
        {"kind": "drain_nodes", "nodes": ["n-1", "b"], "at": "1h", "away": "5m", "timeout": "10m", "one_by_one": False},
    ]
    cluster = toy(FULL).replace("rollouts", rollouts)
    assert ha.loads(cluster.to_yaml()) == cluster
    drain = cluster.rollouts[1]
    assert isinstance(drain, ha.DrainNodes) and drain.nodes == ("n-1", "b") and drain.away == 300.0
    part = cluster.parts["web"]
    assert isinstance(part, Workload) and part.budget == DisruptionBudget(
        max_unavailable="25%", unhealthy="AlwaysAllow"
    )
    jsonschema.validate(cluster.to_plain(), model_schema())
    run = ha.simulate(cluster, over="2h", seed=1)
    assert [log.outcome for log in run.upgrades.values()] == ["rolled out", "rolled out"]


def test_the_schema_knows_the_words() -> None:
    plain = toy(FULL).to_plain()
    for path, wrong in (("strategy", "Blue"), ("surge", [1]), ("budget", {"least": 3})):
        plain["parts"]["web"][path] = wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(plain, model_schema())
        del plain["parts"]["web"][path]


def test_a_budget_says_whether_it_ever_allows_anything() -> None:
    assert DisruptionBudget(min_available=3).blocks(3) and not DisruptionBudget(min_available=3).blocks(4)
    assert DisruptionBudget(min_available="100%").blocks(5) and DisruptionBudget(max_unavailable="0%").blocks(5)
    assert not DisruptionBudget(max_unavailable="1%").blocks(1), "shares of what may be missing are rounded up"
