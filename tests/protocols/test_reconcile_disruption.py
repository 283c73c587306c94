"""Disruption budgets: what they come to, what the eviction API answers, and what they do not protect from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maintaining import cluster, crash, evict, ready
from reconciling import Copy, Reconciling

from hasim.errors import ModelError
from hasim.protocols.api import Change, Delete, Done, Refused, Update
from hasim.protocols.reconcile.controller import NOTHING, Plan
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.disruption import (
    DISRUPTED_MAX,
    DisruptionController,
    Verdict,
    budget_status,
    desired_healthy,
    verdict,
)
from hasim.protocols.reconcile.objects import (
    BudgetStatus,
    DaemonSet,
    Deployment,
    Node,
    Pod,
    PodDisruptionBudget,
    PodTemplate,
    ReplicaSet,
    StatefulSet,
)
from hasim.protocols.reconcile.replica_sets import ReplicaSetController

V1 = PodTemplate("web")
V2 = PodTemplate("web", revision=2)


def budget(**fields: Any) -> PodDisruptionBudget:
    return PodDisruptionBudget("web", "web", **fields)


def pods(count: int, owner: str = "web-1", **fields: Any) -> list[Pod]:
    """So many pods that serve, p1, p2, …, unless fields say otherwise."""
    how = {"node": "n", "phase": "Running", "ready_at": 0.0, **fields}
    return [Pod(f"{owner}-p{number}", V1, owner=owner, **how) for number in range(1, count + 1)]


def allowing(allowed: int, healthy: int = 3, desired: int = 2, **fields: Any) -> PodDisruptionBudget:
    """A budget that its controller has seen."""
    disrupted = fields.pop("disrupted", ())
    given = budget(**{"min_available": 2, **fields})
    return replace(given, status=BudgetStatus(allowed, healthy, desired, 3, disrupted, given.spec))


def worked_out(given: PodDisruptionBudget, *things: Any, now: float = 100.0) -> tuple[int, int, int, int]:
    """Allowed, healthy, desired and expected."""
    status = budget_status(given, Copy(*things), now)
    return status.allowed, status.healthy, status.desired, status.expected


class Serving:
    """A Deployment that runs, with a budget."""

    def __init__(self, replicas: int, given: PodDisruptionBudget, delay: float = 0.01, **fields: Any) -> None:
        self.world: Reconciling = cluster(4)
        self.world.create(Deployment("web", replicas, V1, **fields), given)
        self.world.add(DeploymentController())
        self.world.add(ReplicaSetController("kcm"))
        self.loop = self.world.add(DisruptionController(), delay)
        self.settle()

    def settle(self, seconds: float = 100.0) -> BudgetStatus:
        self.world.run(self.world.now + seconds)
        found = self.world.store.get(PodDisruptionBudget, "web")
        assert found is not None
        return found.status

    def evict_all(self) -> list[int]:
        """What the eviction API answers for one pod after another, all at this moment."""
        return [evict(self.world, pod.name).code for pod in self.world.active()]


# ------------------------------------------------------------------------------------------ how many stay


@pytest.mark.parametrize(
    ("fields", "expected", "desired"),
    [
        ({"min_available": 2}, 5, 2),
        ({"min_available": 9}, 5, 9),
        ({"min_available": "50%"}, 5, 3),
        ({"min_available": "1%"}, 1, 1),
        ({"min_available": "0%"}, 5, 0),
        ({"min_available": "100%"}, 5, 5),
        ({"max_unavailable": 1}, 5, 4),
        ({"max_unavailable": 9}, 5, 0),
        ({"max_unavailable": "50%"}, 5, 2),  # rounded up as well: 3 may be missing
        ({"max_unavailable": "1%"}, 1, 0),
        ({"max_unavailable": "0%"}, 5, 5),
        ({}, 5, 0),
    ],
)
def test_shares_are_rounded_up_on_both_sides(fields: dict[str, Any], expected: int, desired: int) -> None:
    assert desired_healthy(budget(**fields), expected) == desired


@given(st.integers(0, 100), st.integers(0, 500))
def test_shares_are_exact(share: int, expected: int) -> None:
    up = ceil(Fraction(share * expected, 100))
    assert desired_healthy(budget(min_available=f"{share}%"), expected) == up
    assert desired_healthy(budget(max_unavailable=f"{share}%"), expected) == expected - up


def test_wrong_bounds_are_named() -> None:
    with pytest.raises(ModelError, match=r"^max_unavailable: got 1, and 2 for min_available; only one is given"):
        desired_healthy(budget(min_available=2, max_unavailable=1), 3)
    for wrong in ("101%", -1, "3", True):
        with pytest.raises(ModelError, match=r"^min_available: got "):
            desired_healthy(budget(min_available=wrong), 3)


# ------------------------------------------------------------------------------------ how many should be


def test_what_the_owners_ask_for_is_what_counts_not_what_there_is() -> None:
    owners = Deployment("web", 10, V1), ReplicaSet("web-1", 8, V1, owner="web"), ReplicaSet("web-2", 5, V1, owner="web")
    others = ReplicaSet("bare", 4, V1), StatefulSet("db", 3, V1), ReplicaSet("unused", 9, V1)
    there = [*pods(2), *pods(1, "web-2"), *pods(1, "bare"), *pods(1, "db")]
    assert worked_out(budget(min_available="50%"), *owners, *others, *there) == (0, 5, 9, 17)
    assert worked_out(budget(max_unavailable=13), *owners, *others, *there) == (1, 5, 4, 17)


def test_a_whole_number_that_must_stay_needs_no_owner() -> None:
    assert worked_out(budget(min_available=1), *pods(3, "")) == (2, 3, 1, 3)


def test_pods_without_an_owner_are_not_counted_for_a_share() -> None:
    """So a budget in percent allows nothing for them: Kubernetes warns of it."""
    assert worked_out(budget(max_unavailable="50%"), *pods(3, "")) == (0, 3, 0, 0)
    assert worked_out(budget(min_available="50%"), *pods(3, "")) == (0, 3, 0, 0)


@pytest.mark.parametrize("owner", [[], [DaemonSet("web-1", V1)], [ReplicaSet("web-1", 3, V1, owner="gone")]])
def test_an_owner_that_cannot_be_asked_stops_everything(owner: list[Any]) -> None:
    seen = allowing(1, max_unavailable=1, min_available=None)
    status = budget_status(seen, Copy(*owner, *pods(3)), 100.0)
    assert status == replace(seen.status, allowed=0)
    assert worked_out(budget(min_available=2), *owner, *pods(3)) == (1, 3, 2, 3)


def test_a_budget_without_pods_or_bounds_allows_nothing() -> None:
    assert worked_out(budget(min_available=0)) == (0, 0, 0, 0)
    assert worked_out(budget(), *pods(3)) == (0, 3, 0, 0)


def test_healthy_is_ready_and_not_on_the_way_out() -> None:
    three = pods(3)
    given = budget(min_available=1)
    assert worked_out(given, *three)[:2] == (2, 3)
    for fields in ({"deleted": 3.0}, {"ready_at": None}, {"phase": "Failed", "ready_at": None}):
        assert worked_out(given, replace(three[0], **fields), *three[1:])[:2] == (1, 2)
    assert worked_out(given, *three, *pods(2, "other-1", deleted=None)[:1])[:2] == (3, 4)
    assert worked_out(given, *three, replace(three[0], name="x", template=PodTemplate("db")))[:2] == (2, 3)


# ------------------------------------------------------------------------------------------- the verdict


def test_a_ready_pod_costs_one_disruption() -> None:
    given, (pod, *_) = allowing(1), pods(3)
    answer = verdict(pod.name, Copy(given, *pods(3)), 50.0)
    spent = replace(given, status=replace(given.status, allowed=0, disrupted=((pod.name, 50.0),)))
    assert answer == Verdict(201, (Update(spent), Delete(Pod, pod.name)))
    assert verdict(pod.name, Copy(spent, *pods(3)), 50.0) == Verdict(429)


@pytest.mark.parametrize("fields", [{"phase": "Pending", "ready_at": None}, {"phase": "Failed"}, {"deleted": 3.0}])
def test_pods_that_serve_nobody_go_without_a_budget(fields: dict[str, Any]) -> None:
    (pod,) = pods(1, **fields, version=7)
    version = 7 if pod.phase == "Pending" else 0  # should it get ready in between, its budget is asked after all
    for budgets in ([], [allowing(0)], [allowing(0), replace(allowing(0), name="another")]):
        assert verdict(pod.name, Copy(pod, *budgets), 1.0) == Verdict(201, (Delete(Pod, pod.name, version=version),))


@pytest.mark.parametrize(
    ("unhealthy", "healthy", "desired", "allowed", "code"),
    [
        ("IfHealthyBudget", 2, 2, 0, 201),  # the others are enough
        ("IfHealthyBudget", 1, 2, 0, 429),
        ("IfHealthyBudget", 0, 0, 0, 429),  # nothing desired: the budget decides
        ("IfHealthyBudget", 3, 0, 3, 201),
        ("AlwaysAllow", 1, 2, 0, 201),
        ("AlwaysAllow", 0, 0, 0, 201),
    ],
)
def test_a_pod_that_is_not_ready_goes_if_the_others_are_enough_or_by_policy(
    unhealthy: Any, healthy: int, desired: int, allowed: int, code: int
) -> None:
    (pod,) = pods(1, ready_at=None, version=7)
    given = allowing(allowed, healthy, desired, unhealthy=unhealthy)
    answer = verdict(pod.name, Copy(given, pod), 1.0)
    assert answer.code == code
    assert answer.allowed is (code == 201)
    if code == 201:
        costs = desired == 0 and unhealthy != "AlwaysAllow"
        assert len(answer.requests) == 1 + costs
        assert answer.requests[-1] == Delete(Pod, pod.name, version=0 if costs else 7)


def test_two_budgets_on_a_pod_are_an_error_and_none_is_no_hindrance() -> None:
    (pod,) = pods(1)
    two = [allowing(3), replace(allowing(3), name="another")]
    assert verdict(pod.name, Copy(pod, *two), 1.0) == Verdict(500)
    assert verdict(pod.name, Copy(pod), 1.0) == verdict(pod.name, Copy(pod, replace(two[0], app="db")), 1.0)
    assert verdict(pod.name, Copy(pod), 1.0) == Verdict(201, (Delete(Pod, pod.name),))
    assert verdict("no such", Copy(pod, *two), 1.0) == Verdict(404)


def test_nothing_is_allowed_before_the_controller_has_seen_what_was_written() -> None:
    (pod,) = pods(1)
    assert verdict(pod.name, Copy(pod, budget(min_available=0)), 1.0).code == 429
    assert verdict(pod.name, Copy(pod, replace(allowing(3), min_available=3)), 1.0).code == 429
    assert verdict(pod.name, Copy(pod, replace(allowing(3), version=9, created=4.0)), 1.0).code == 201


def test_a_controller_that_sees_nothing_stops_evictions_in_the_end() -> None:
    (pod,) = pods(1)
    many = tuple((f"x{number}", 0.0) for number in range(DISRUPTED_MAX + 1))
    assert verdict(pod.name, Copy(pod, allowing(3, disrupted=many)), 1.0).code == 403
    assert verdict(pod.name, Copy(pod, allowing(3, disrupted=many[1:])), 1.0).code == 201


# --------------------------------------------------------------------------------------- the bookkeeping


def test_two_evictions_in_a_row_do_not_break_the_budget() -> None:
    """The controller knows of neither yet."""
    serving = Serving(5, budget(min_available=3), delay=20.0)
    assert serving.evict_all() == [201, 201, 429, 429, 429]
    assert serving.settle(0.0).allowed == 0
    assert len(serving.world.active("web-1")) == 3


def test_a_status_that_is_written_late_does_not_give_back_what_was_spent() -> None:
    """The controller writes over the version that it saw, and is refused."""
    serving = Serving(4, budget(max_unavailable=1))
    stale = Update(replace(serving.world.store.get(PodDisruptionBudget, "web"), status=BudgetStatus(allowed=4)))  # type: ignore[type-var]
    first, second, *_ = serving.world.active()
    assert evict(serving.world, first.name).code == 201
    assert serving.world.do(stale) == Refused("conflict")
    assert evict(serving.world, second.name).code == 429
    serving.settle(5.0)
    assert evict(serving.world, second.name).code == 201


def test_an_eviction_that_led_to_nothing_is_forgotten_after_two_minutes() -> None:
    """The API server died between the two writes: the pod is still there."""
    owner, three = ReplicaSet("web-1", 3, V1), pods(3)
    seen = allowing(0, 2, 2, disrupted=((three[0].name, 100.0), ("gone", 100.0)))
    controller = DisruptionController()
    for now, left in ((100.0, 120.0), (219.0, 1.0)):
        plan = controller.plan("web", Copy(seen, owner, *three), now)
        assert plan.again == left
        (update,) = plan.batches[0]
        assert update.thing.status == replace(seen.status, disrupted=((three[0].name, 100.0),))  # type: ignore[union-attr]
        assert controller.plan("web", Copy(update.thing, owner, *three), now) == Plan(again=left)  # type: ignore[union-attr]
    (update,) = controller.plan("web", Copy(seen, owner, *three), 220.0).batches[0]
    assert update.thing.status == replace(seen.status, allowed=1, healthy=3, disrupted=())  # type: ignore[union-attr]


def test_a_pod_that_is_going_is_no_longer_kept_in_mind() -> None:
    three = pods(3)
    seen = allowing(0, 2, 2, disrupted=((three[0].name, 100.0),))
    status = budget_status(seen, Copy(replace(three[0], deleted=100.0), *three[1:]), 101.0)
    assert (status.disrupted, status.healthy) == ((), 2)


def test_whom_the_controller_listens_to() -> None:
    cache, (pod,) = Copy(budget(), replace(budget(), name="second")), pods(1)
    keys = DisruptionController().keys
    for change in (Change(None, pod), Change(pod, pod), Change(pod, None)):
        assert list(keys(change, cache)) == ["web"]  # of two budgets the first, and the other goes stale
    assert list(keys(Change(None, replace(pod, template=PodTemplate("db"))), cache)) == []
    assert list(keys(Change(None, Node("n")), cache)) == []
    assert list(keys(Change(budget(), None), Copy())) == ["web"]
    assert DisruptionController().plan("web", Copy(), 1.0) == NOTHING


def test_at_rest_nothing_is_written_and_nothing_looked_at() -> None:
    serving = Serving(3, budget(max_unavailable="34%"))
    assert serving.settle() == BudgetStatus(2, 3, 1, 3, (), ("web", None, "34%", "IfHealthyBudget"))
    before = serving.loop.syncs, serving.world.store.version
    serving.settle(1000.0)
    assert (serving.loop.syncs, serving.world.store.version) == before


def test_a_deployment_that_is_scaled_is_noticed_with_its_next_pod() -> None:
    serving = Serving(4, budget(max_unavailable="50%"))
    serving.world.change(Deployment, "web", replicas=2)
    status = serving.settle()
    assert (status.allowed, status.desired, status.expected) == (1, 1, 2)


# ------------------------------------------------------------------------------ what it does not protect


def test_crashes_are_counted_but_not_prevented() -> None:
    serving = Serving(4, budget(min_available=3))
    for pod in serving.world.active()[:2]:
        crash(serving.world, pod)
    assert ready(serving.world) == 2
    status = serving.settle(0.5)
    assert (status.allowed, status.healthy) == (0, 2)
    # Two pods serve where three should; a healthy one may not go now, failed and starting ones may.
    assert sorted(evict(serving.world, pod.name).code for pod in serving.world.pods()) == [201] * 4 + [429] * 2


def test_a_rolling_update_does_not_ask_the_budget() -> None:
    serving = Serving(4, budget(min_available=4), surge=0, unavailable=3)
    lowest = 4

    def watch(change: Change) -> None:
        nonlocal lowest
        lowest = min(lowest, ready(serving.world))

    serving.world.watch.append(watch)
    serving.world.change(Deployment, "web", template=V2)
    serving.settle()
    assert lowest == 1
    assert {pod.template for pod in serving.world.pods()} == {V2}
    assert serving.evict_all() == [429] * 4


def test_deleting_outright_does_not_ask_either() -> None:
    serving = Serving(2, budget(min_available=2))
    for pod in serving.world.active():
        assert isinstance(serving.world.do(Delete(Pod, pod.name)), Done)
    assert ready(serving.world) == 0


# ------------------------------------------------------------------------- what holds on every way there


@settings(max_examples=60, deadline=None)
@given(
    replicas=st.integers(0, 8),
    bound=st.one_of(st.integers(0, 9), st.integers(0, 100).map("{}%".format)),
    least=st.booleans(),
    delay=st.floats(0.0, 30.0),
    tries=st.lists(st.tuples(st.floats(0.0, 8.0), st.integers(0, 7)), max_size=25),
)
def test_evictions_alone_never_take_too_many(
    replicas: int, bound: int | str, least: bool, delay: float, tries: list[tuple[float, int]]
) -> None:
    """However late the controller hears, and whoever asks when."""
    given = budget(**{"min_available" if least else "max_unavailable": bound})
    serving = Serving(replicas, given, delay)
    desired = desired_healthy(given, replicas)
    lowest, evicted = replicas, 0
    for pause, number in tries:
        serving.settle(pause)
        active = serving.world.active()
        if active:
            evicted += evict(serving.world, active[number % len(active)].name).allowed
        lowest = min(lowest, ready(serving.world))
    assert lowest >= min(desired, replicas)
    if desired >= replicas:
        assert not evicted
    status = serving.settle(300.0)
    assert status.allowed == (replicas - desired if replicas > desired else 0)
    assert status.disrupted == ()
