"""What holds in every rollout: at every look of a controller, after every write, and where it comes to rest.

The arithmetic is derived again here, from what is promised and not from how it is done; the looks are judged by the
cache that they were made from, the writes by the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maintaining import Kubectl, cluster, crash, evict, ready, vanish
from reconciling import Copy, Kubelets, Reconciling

from hasim.protocols.api import Change, Create, Delete, Update
from hasim.protocols.reconcile.controller import Cache, Plan
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.disruption import DisruptionController, desired_healthy
from hasim.protocols.reconcile.draining import Drain
from hasim.protocols.reconcile.objects import (
    Deployment,
    Pod,
    PodDisruptionBudget,
    PodTemplate,
    ReplicaSet,
    StatefulSet,
)
from hasim.protocols.reconcile.replica_sets import ReplicaSetController
from hasim.protocols.reconcile.rolling import Size, old_replicas
from hasim.protocols.reconcile.stateful_sets import StatefulSetController

QUIET_S = 0.2
"""After a disturbance the promises hold again once all caches have heard of it and all moves made before are done."""

BOUND = st.one_of(st.integers(0, 13), st.integers(0, 100).map("{}%".format))


def in_pods(surge: int | str, unavailable: int | str, replicas: int) -> tuple[int, int]:
    """The two bounds in whole pods: surge up, unavailable down, not both nothing, never more down than there are."""
    above = ceil(int(surge[:-1]) * replicas / 100) if isinstance(surge, str) else surge
    below = int(unavailable[:-1]) * replicas // 100 if isinstance(unavailable, str) else unavailable
    return above, min(below or int(above == 0), replicas)


def web(replicas: int, surge: int | str = 1, unavailable: int | str = 0, **fields: Any) -> Deployment:
    bounds: Any = {"surge": surge, "unavailable": unavailable}
    return Deployment("web", replicas, version(1), **bounds, **fields)


def version(number: int) -> PodTemplate:
    return PodTemplate("web", revision=number)


def available(pods: list[Pod], owner: str, min_ready: float, now: float) -> int:
    """How many of these pods of one set have been ready for long enough."""
    mine = [pod for pod in pods if pod.owner == owner and pod.phase != "Failed" and pod.deleted is None]
    return sum(pod.ready_at is not None and now - pod.ready_at >= min_ready - 1e-9 for pod in mine)


class JudgedController(DeploymentController):
    """A controller of which every look is judged by what it saw."""

    looks = 0

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        plan = super().plan(key, cache, now)
        deployment = cache.get(Deployment, key)
        if deployment is not None:
            self.looks += 1
            self._judge(deployment, cache, plan, now)
        return plan

    def _judge(self, deployment: Deployment, cache: Cache, plan: Plan, now: float) -> None:
        replicas = deployment.replicas
        surge, unavailable = in_pods(deployment.surge, deployment.unavailable, replicas)
        sets = {each.name: each for each in cache.all(ReplicaSet)}
        pods = list(cache.all(Pod))
        before = {name: each.replicas for name, each in sets.items()}
        after = dict(before)
        for (request,) in plan.batches:
            assert isinstance(request, (Create, Update))
            after[request.thing.name] = request.thing.replicas
        grown = {name for name, size in after.items() if size > before.get(name, 0)}
        shrunk = {name for name, size in after.items() if size < before.get(name, 0)}
        assert min(after.values(), default=0) >= 0
        assert sum(after.values()) <= max(sum(before.values()), replicas + surge)
        if any(each.replicas and each.sized and each.sized[0] != replicas for each in sets.values()):
            return  # the size has changed, and that comes first
        newest = f"web-{deployment.template.revision}"
        if not deployment.paused:
            assert not (grown and shrunk), "one move a look"
            assert (grown <= {newest} and newest not in shrunk) or after[newest] == replicas
        serving = {name: available(pods, name, each.min_ready, now) for name, each in sets.items()}
        if any(count > before[name] for name, count in serving.items()):
            return  # see test_a_set_that_is_still_shrinking_counts_with_all_its_pods
        served = sum(min(before[name], count) for name, count in serving.items())
        serves = sum(min(after[name], count) for name, count in serving.items())
        assert serves >= min(served, replicas - unavailable)


class Rollout:
    """A Deployment that runs and is disturbed; whatever is written is judged by the store as it is then."""

    def __init__(self, deployment: Deployment, latency: float = 0.0) -> None:
        self.world = Reconciling(latency)
        self.starts: Callable[[Pod], float | None] = lambda pod: 1.0
        Kubelets(self.world, lambda pod: self.starts(pod), nodes=("n1", "n2"))  # noqa: PLW0108 `starts` is set later
        self.controller = JudgedController()
        self.world.create(deployment)
        self.loop = self.world.add(self.controller, 0.0)
        self.world.add(ReplicaSetController("kcm"))
        self.resized = self.disturbed = self.rolled = -QUIET_S
        self.held = False
        self.writes = 0
        self.settle()
        self.world.watch.append(self._judge)

    @property
    def deployment(self) -> Deployment:
        found = self.world.store.get(Deployment, "web")
        assert found is not None
        return found

    def _judge(self, change: Change) -> None:
        self.writes += 1
        deployment, now = self.deployment, self.world.now
        surge, unavailable = in_pods(deployment.surge, deployment.unavailable, deployment.replicas)
        sets = list(self.world.store.all(ReplicaSet))
        if now >= self.resized + QUIET_S:
            assert sum(each.replicas for each in sets) <= deployment.replicas + surge
        enough = self.available() >= deployment.replicas - unavailable
        # With min_ready only looks keep the promise: see test_a_set_that_shrinks_does_not_know_….
        if now < self.disturbed + QUIET_S or deployment.min_ready:
            self.held = False
        else:
            assert enough or not self.held, "a pod too many went, and nothing had failed"
            self.held = enough

    def available(self) -> int:
        pods, now, least = self.world.pods(), self.world.now, self.deployment.min_ready
        return sum(available(pods, each.name, least, now) for each in self.world.store.all(ReplicaSet))

    def write(self, **fields: Any) -> None:
        if fields.get("replicas", self.deployment.replicas) != self.deployment.replicas:
            self.resized = self.disturbed = self.world.now
        if "template" in fields:
            shrinking = any(
                len(self.world.active(each.name)) > each.replicas for each in self.world.store.all(ReplicaSet)
            )
            if shrinking or self.world.latency or self.world.now < self.rolled + QUIET_S:
                self.disturbed = self.world.now  # see test_a_set_that_is_still_shrinking_counts_with_all_its_pods
            self.rolled = self.world.now
        self.world.change(Deployment, "web", **fields)

    def disturb(self, what: str, number: int) -> None:
        """Something happens to a pod."""
        pods = self.world.active()
        if not pods:
            return
        self.disturbed = self.world.now
        pod = pods[number % len(pods)]
        if what == "fail":
            crash(self.world, pod)
        elif what == "delete":
            self.world.do(Delete(Pod, pod.name))
        else:
            self.world.change(Pod, pod.name, ready_at=None)

    def settle(self, seconds: float = 200.0) -> list[int]:
        """Let time go by; the sizes of the sets then, the oldest revision first."""
        self.world.run(self.world.now + seconds)
        sets = sorted(self.world.store.all(ReplicaSet), key=lambda each: each.template.revision)
        return [each.replicas for each in sets]


# ------------------------------------------------------------------------------ where it comes to rest


def rest(replicas: int, surge: int, unavailable: int, good: int) -> tuple[int, int]:
    """Old and new where nothing moves any more, step by step, if only the first `good` new pods ever get ready."""
    old, new = replicas, 0
    while True:
        room = min(replicas - new, replicas + surge - old - new)
        if room > 0:
            new += room
            continue
        serving = old + min(new, good)
        # All that is asked for and not yet there is a new pod; it holds its place among those that may be missing.
        spare = min(old, serving - (replicas - unavailable))
        if spare <= 0:
            return old, new
        old -= spare


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "sizes"), [(10, 3, 2, [8, 5]), (3, 1, 0, [3, 1]), (1, 1, 0, [1, 1])]
)
def test_where_bad_rollouts_of_kubernetes_rest(replicas: int, surge: int, unavailable: int, sizes: list[int]) -> None:
    rollout = Rollout(web(replicas, surge, unavailable))
    rollout.starts = lambda pod: None
    rollout.write(template=version(2))
    assert rollout.settle() == sizes == list(rest(replicas, surge, unavailable, 0))
    assert rollout.controller.looks > 2


@settings(max_examples=150, deadline=None)
@given(replicas=st.integers(0, 12), surge=BOUND, unavailable=BOUND, good=st.integers(0, 12))
def test_a_rollout_rests_where_the_bounds_say_and_ends_exactly_if_its_pods_come_up(
    replicas: int, surge: int | str, unavailable: int | str, good: int
) -> None:
    """Of the new pods only the first `good` ever get ready; all of them, and it ends."""
    rollout = Rollout(web(replicas, surge, unavailable))
    started: set[str] = set()

    def starts(pod: Pod) -> float | None:
        started.add(pod.name)
        return 1.0 if len(started) <= good else None

    rollout.starts = starts
    rollout.write(template=version(2))
    sizes = tuple(rollout.settle())
    above, below = in_pods(surge, unavailable, replicas)
    assert sizes == rest(replicas, above, below, good)
    assert sizes == (max(replicas - below - good, 0), min(replicas, above + below + good))
    assert (sizes[0] == 0) == (good >= replicas - below)
    assert rollout.available() >= replicas - below
    assert (sizes == (0, replicas) and rollout.available() == replicas) == (good >= replicas)
    rollout.starts = lambda pod: 1.0
    rollout.write(template=version(1))  # the way back, whatever it had come to
    assert rollout.settle() == [replicas, 0]
    assert rollout.available() == replicas


# ------------------------------------------------------------------------- whatever happens on the way

EVENTS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([0.0, 0.005, 0.015, 1.0]), st.floats(0.0, 6.0)),
        st.sampled_from(["roll", "roll", "scale", "pause", "resume", "fail", "delete", "unready"]),
        st.integers(0, 12),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(0, 12),
    surge=BOUND,
    unavailable=BOUND,
    min_ready=st.sampled_from([0.0, 0.0, 2.0]),
    latency=st.sampled_from([0.0, 0.01]),
    never=st.sampled_from([0, 2, 3]),
    events=EVENTS,
)
def test_the_bounds_hold_whatever_is_written_and_whatever_fails(
    replicas: int,
    surge: int | str,
    unavailable: int | str,
    min_ready: float,
    latency: float,
    never: int,
    events: list[tuple[float, str, int]],
) -> None:
    """Rollouts, rollbacks, sizes and pauses in any order, pods that fail, and one revision that never gets ready."""
    rollout = Rollout(web(replicas, surge, unavailable, min_ready=min_ready), latency)
    rollout.starts = lambda pod: None if pod.template.revision == never else 0.5 + 0.3 * (len(pod.name) % 3)
    for pause, what, number in events:
        if what == "roll":
            rollout.write(template=version(1 + number % 3))
        elif what == "scale":
            rollout.write(replicas=number)
        elif what in ("pause", "resume"):
            rollout.write(paused=what == "pause")
        else:
            rollout.disturb(what, number)
        rollout.settle(pause)
    rollout.write(paused=False)
    rollout.settle()
    rollout.starts = lambda pod: 1.0
    last = rollout.deployment
    if last.template.revision != never:
        for pod in rollout.world.active():  # one that was marked unready stays so, and may hold a rollout up
            rollout.world.change(Pod, pod.name, phase="Running", ready_at=pod.ready_at or rollout.world.now)
    else:
        rollout.write(template=version(4))
    rollout.settle()
    last = rollout.deployment
    sizes = {each.template: each.replicas for each in rollout.world.store.all(ReplicaSet)}
    assert sizes.pop(last.template) == last.replicas == rollout.available()
    assert not any(sizes.values())
    looks = rollout.controller.looks
    rollout.settle(2000.0)
    assert rollout.controller.looks == looks


@settings(max_examples=80, deadline=None)
@given(
    replicas=st.integers(1, 12),
    bounds=st.tuples(BOUND, BOUND),
    to=st.integers(0, 12),
    at=st.floats(0.0, 8.0),
    paused=st.booleans(),
)
def test_a_change_of_size_in_the_middle_moves_the_bound_and_nothing_else(
    replicas: int, bounds: tuple[int | str, int | str], to: int, at: float, paused: bool
) -> None:
    rollout = Rollout(web(replicas, *bounds))
    rollout.write(template=version(2))
    rollout.settle(at)
    rollout.write(paused=paused)
    before = rollout.settle(0.0)
    rollout.write(replicas=to)
    rollout.settle(QUIET_S)
    after = rollout.settle(0.0)
    surge, _ = in_pods(*bounds, to)
    assert sum(after) <= to + surge
    if paused and all(before):
        assert sum(after) == (to + surge if to else 0) or len([size for size in after if size]) <= 1
    rollout.write(paused=False)
    assert rollout.settle() == [0, to]


def test_a_set_that_shrinks_does_not_know_which_of_its_pods_are_available() -> None:
    """On the way back from a rollout `min_ready` may cost a pod more than may be unavailable, as in Kubernetes.

    The deployment takes away the one pod that is ready and not available yet; the set counts both as ready, and lets
    the other go, which shares its node (controller_utils.go, ActivePodsWithRanks, has this as something to do).
    """
    deployment = Deployment("web", 3, version(1), surge=0, unavailable=1, min_ready=10.0)
    old = ReplicaSet("web-1", 1, version(1), owner="web", min_ready=10.0, sized=(3, 3))
    new = ReplicaSet("web-2", 2, version(2), owner="web", min_ready=10.0, sized=(3, 3))
    pods = [
        Pod("old", version(1), owner="web-1", node="n1", phase="Running", ready_at=0.0),
        Pod("available", version(2), owner="web-2", node="n1", phase="Running", ready_at=50.0),
        Pod("fresh", version(2), owner="web-2", node="n2", phase="Running", ready_at=95.0),
    ]
    (request,) = JudgedController().plan("web", Copy(deployment, old, new, *pods), 100.0).batches[0]
    assert request == Update(replace(new, replicas=1))
    cache = Copy(deployment, old, request.thing, *pods)
    assert ReplicaSetController("kcm").plan("web-2", cache, 100.0).batches == ((Delete(Pod, "available"),),)


def test_a_set_that_is_still_shrinking_counts_with_all_its_pods() -> None:
    """A change of mind before its pods are gone may cost one more than may be unavailable, as in Kubernetes.

    Of 2 pods 1 must stay. The last but one set should have 1 and still has 2 available ones: they count as spare.
    """
    assert old_replicas(2, 1, Size(1, 0), [Size(1, 0), Size(1, 1)]) == [0, 1]
    assert old_replicas(2, 1, Size(1, 0), [Size(1, 0), Size(1, 2)]) == [0, 0]


# ---------------------------------------------------------------------- rollouts, drains and a budget


class Maintained:
    """A Deployment with a budget in a cluster whose nodes are drained."""

    def __init__(self, deployment: Deployment, nodes: int, delay: float = 0.01, **bounds: Any) -> None:
        self.broken = 0  # pods of this revision never get ready
        self.world = cluster(nodes, lambda pod: None if pod.template.revision == self.broken else 1.0)
        self.world.create(deployment, PodDisruptionBudget("budget", "web", **bounds))
        self.world.add(JudgedController(), 0.0)
        self.world.add(ReplicaSetController("kcm"), delay)
        self.world.add(DisruptionController())
        self.settle()
        self.least = ready(self.world)
        self.most = 0
        self.world.watch.append(self._look)

    def _look(self, change: Change) -> None:
        self.least = min(self.least, ready(self.world))
        self.most = max(self.most, sum(each.replicas for each in self.world.store.all(ReplicaSet)))

    def settle(self, seconds: float = 100.0) -> None:
        self.world.run(self.world.now + seconds)


@settings(max_examples=60, deadline=None)
@given(
    replicas=st.integers(2, 10),
    bounds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    missing=st.integers(1, 4),
    turns=st.lists(st.tuples(st.floats(0.0, 6.0), st.sampled_from(["n1", "n2", "n3"])), min_size=1, max_size=3),
    roll_at=st.integers(0, 2),
)
def test_a_rollout_and_drains_at_once_both_end_and_cost_no_more_than_the_two_together(
    replicas: int, bounds: tuple[int, int], missing: int, turns: list[tuple[float, str]], roll_at: int
) -> None:
    maintained = Maintained(web(replicas, *bounds), 6, max_unavailable=missing)
    drains = []
    for number, (pause, name) in enumerate(turns):
        if number == min(roll_at, len(turns) - 1):
            maintained.world.change(Deployment, "web", template=version(2))
        drains.append(Kubectl(maintained.world, Drain([name])))
        maintained.settle(pause)
    maintained.settle(400.0)
    surge, unavailable = in_pods(*bounds, replicas)
    assert [kubectl.outcomes for kubectl in drains] == [["drained"]] * len(turns)
    assert {(pod.template.revision, pod.serves) for pod in maintained.world.pods()} == {(2, True)}
    assert len(maintained.world.pods()) == replicas
    assert maintained.most <= replicas + surge
    # Neither knows of what the other is just doing: pods of the surge count as healthy until they are known to go.
    desired = desired_healthy(PodDisruptionBudget("", "", max_unavailable=missing), replicas)
    assert maintained.least >= desired - unavailable - surge


def test_evictions_in_the_moment_in_which_a_rollout_moves_on_break_the_budget() -> None:
    """The surge counts as healthy, and as many old pods are just about to go, without asking anybody."""
    maintained = Maintained(web(4, 2, 0), 6, delay=0.1, max_unavailable=1)
    maintained.world.change(Deployment, "web", template=version(2))
    while ready(maintained.world) < 6:
        maintained.settle(0.001)
    maintained.settle(0.02)  # the budget's controller has heard of it
    serving = [pod for pod in maintained.world.active() if pod.serves]
    serving.sort(key=lambda pod: -pod.template.revision)
    assert [evict(maintained.world, pod.name).code for pod in serving] == [201] * 3 + [429] * 3
    assert ready(maintained.world) == maintained.least == 3
    maintained.settle(0.1)
    assert maintained.least < 3
    maintained.settle()
    assert ready(maintained.world) == 4


def test_a_rollout_that_is_stuck_holds_up_a_drain_through_the_budget() -> None:
    """Two pods are missing for good, and a budget that allows one allows none any more."""
    maintained = Maintained(web(6, 0, 2), 6, max_unavailable=1)
    maintained.broken = 2
    maintained.world.change(Deployment, "web", template=version(2))
    maintained.settle()
    assert ready(maintained.world) == 4
    kubectl = Kubectl(maintained.world, Drain(["n1", "n2", "n3"]))
    maintained.settle(1000.0)
    assert "draining" in kubectl.outcomes
    assert maintained.least == 4
    maintained.world.change(Deployment, "web", template=version(1))
    maintained.settle(1000.0)
    assert kubectl.outcomes == ["drained"] * 3


# --------------------------------------------------------------------------------------- StatefulSets


class JudgedOrder(StatefulSetController):
    """A controller of an ordered set of which every look is judged by what it saw."""

    looks = 0

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        plan = super().plan(key, cache, now)
        stateful_set = cache.get(StatefulSet, key)
        assert stateful_set is not None
        self.looks += 1
        pods = {int(pod.name.rpartition("-")[2]): pod for pod in cache.all(Pod)}
        requests = [each for together in plan.batches for each in together if not isinstance(each, Update)]
        assert len(requests) <= 1, "one pod at a time"
        for request in requests:
            if isinstance(request, Create):
                self._judge_made(stateful_set, request.thing, pods)
            else:
                assert isinstance(request, Delete)
                self._judge_deleted(stateful_set, int(request.name.rpartition("-")[2]), pods)
        return plan

    def _judge_made(self, stateful_set: StatefulSet, made: Pod, pods: dict[int, Pod]) -> None:
        ordinal = int(made.name.rpartition("-")[2])
        assert ordinal not in pods
        assert all(lower in pods and pods[lower].serves for lower in range(ordinal))
        kept = stateful_set.settled is not None and ordinal < stateful_set.partition
        assert made.template == (stateful_set.settled if kept else stateful_set.template)

    def _judge_deleted(self, stateful_set: StatefulSet, ordinal: int, pods: dict[int, Pod]) -> None:
        pod = pods[ordinal]
        assert pod.deleted is None
        lower = [other for number, other in pods.items() if number < min(ordinal, stateful_set.replicas)]
        assert all(other.serves for other in lower)
        if ordinal >= stateful_set.replicas:
            assert ordinal == max(pods)
        elif pod.phase != "Failed":
            assert ordinal >= stateful_set.partition
            assert pod.template != stateful_set.template
            higher = [other for number, other in pods.items() if number > ordinal]
            assert all(other.serves and other.template == stateful_set.template for other in higher)


@settings(max_examples=80, deadline=None)
@given(
    replicas=st.integers(1, 6),
    delay=st.sampled_from([0.01, 0.5]),
    events=st.lists(
        st.tuples(
            st.floats(0.0, 8.0), st.sampled_from(["roll", "roll", "partition", "scale", "fail"]), st.integers(0, 7)
        ),
        max_size=10,
    ),
)
def test_ordinals_come_and_go_in_order_one_at_a_time_and_never_twice(
    replicas: int, delay: float, events: list[tuple[float, str, int]]
) -> None:
    world = Reconciling()
    Kubelets(world)
    controller = JudgedOrder()
    world.create(StatefulSet("db", replicas, version(1)))
    world.add(controller, delay)
    world.run(100.0)
    running: set[str] = set()
    missing = 0

    def watch(change: Change) -> None:
        nonlocal missing
        if change.key[0] is Pod:
            assert change.before is not None or change.key[1] not in running
            running.symmetric_difference_update({change.key[1]} if None in change else set())
            missing = max(missing, replicas - ready(world))

    running.update(pod.name for pod in world.pods())
    world.watch.append(watch)
    for pause, what, number in events:
        if what == "roll":
            world.change(StatefulSet, "db", template=version(1 + number % 3))
        elif what == "partition":
            world.change(StatefulSet, "db", partition=number)
        elif what == "scale":
            world.change(StatefulSet, "db", replicas=number)
        elif world.active():
            crash(world, world.active()[number % len(world.active())])
        world.run(world.now + pause)
    happened = [what for _, what, _ in events]
    if not {"scale", "fail"} & set(happened) and happened.count("roll") <= 1:
        assert missing <= 1
    world.change(StatefulSet, "db", partition=0)
    world.run(world.now + 300.0)
    for pod in world.pods():  # of two too many that have failed none ever goes by itself, as in Kubernetes
        if pod.phase == "Failed":
            vanish(world, pod)
    world.run(world.now + 300.0)
    last = world.store.get(StatefulSet, "db")
    assert last is not None
    assert sorted(pod.name for pod in world.pods()) == [f"db-{ordinal}" for ordinal in range(last.replicas)]
    assert all(pod.serves and pod.template == last.template for pod in world.pods())
    assert last.settled == last.template
    assert controller.looks > 0


def test_a_change_of_mind_within_the_lag_of_the_cache_costs_an_ordered_set_a_second_pod() -> None:
    """It has no expectations: the pod that is going still serves as far as it knows, and the next one goes as well."""
    for lag, lost in ((0.01, 1), (0.5, 2)):
        world = Reconciling()
        Kubelets(world)
        world.create(StatefulSet("db", 2, version(1)))
        world.add(JudgedOrder(), lag)
        world.run(100.0)
        serving: list[int] = []
        world.watch.append(lambda change, world=world, serving=serving: serving.append(ready(world)))  # type: ignore[misc]
        world.change(StatefulSet, "db", template=version(2))
        while not any(pod.template == version(2) and pod.serves for pod in world.pods()):
            world.run(world.now + 0.01)
        world.run(world.now + 0.25)  # the second pod goes, or is about to
        world.change(StatefulSet, "db", template=version(1))
        world.run(200.0)
        assert 2 - min(serving) == lost
        assert ready(world) == 2


def test_pods_below_the_partition_are_never_touched_by_a_rollout() -> None:
    world = Reconciling()
    Kubelets(world)
    world.create(StatefulSet("db", 5, version(1), partition=3))
    world.add(JudgedOrder())
    world.run(100.0)
    kept = [replace(pod, version=0) for pod in world.pods()][:3]
    world.change(StatefulSet, "db", template=version(2))
    world.run(200.0)
    assert [replace(pod, version=0) for pod in world.pods()][:3] == kept
    assert [pod.template.revision for pod in sorted(world.pods(), key=lambda pod: pod.name)] == [1, 1, 1, 2, 2]
