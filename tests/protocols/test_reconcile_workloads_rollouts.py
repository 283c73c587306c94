"""Deployments: where rollouts come to rest, what they never do on the way, and how long they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconciling import Copy, Kubelets, Loop, Reconciling

from hasim.errors import ModelError
from hasim.protocols.api import Change, Delete, Refused, Update
from hasim.protocols.reconcile.controller import NOTHING
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.objects import Deployment, Pod, PodTemplate, ReplicaSet
from hasim.protocols.reconcile.replica_sets import ReplicaSetController
from hasim.protocols.reconcile.rolling import resolve

V1 = PodTemplate("web")
V2 = PodTemplate("web", revision=2)
V3 = PodTemplate("web", revision=3)


def never(revision: int) -> Callable[[Pod], float | None]:
    """Pods of this revision never get ready, others after a second."""
    return lambda pod: None if pod.template.revision == revision else 1.0


class Rollout:
    """A deployment that runs, the two controllers it takes, and a record of the sizes of its sets."""

    def __init__(
        self,
        deployment: Deployment,
        latency: float = 0.0,
        delays: tuple[float, float] = (0.01, 0.01),
        drains: float = 1.0,
    ) -> None:
        self.world = Reconciling(latency)
        self.starts: Callable[[Pod], float | None] = lambda pod: 1.0
        self.drains = drains
        Kubelets(self.world, self._starts, lambda pod: self.drains)
        self.world.create(deployment)
        self.loop = self.world.add(DeploymentController(), delays[0])
        self.world.add(ReplicaSetController("kcm"), delays[1])
        self.sizes: list[tuple[int, ...]] = []
        self.world.watch.append(self._look)
        self.settle()
        assert self.sizes[-1] == (deployment.replicas,)

    def _starts(self, pod: Pod) -> float | None:
        return self.starts(pod)

    def _look(self, change: Change) -> None:
        sizes = tuple(each.replicas for each in self.world.store.all(ReplicaSet))
        if not self.sizes or self.sizes[-1] != sizes:
            self.sizes.append(sizes)

    @property
    def controller(self) -> DeploymentController:
        assert isinstance(self.loop.controller, DeploymentController)
        return self.loop.controller

    @property
    def deployment(self) -> Deployment:
        found = self.world.store.get(Deployment, "web")
        assert found is not None
        return found

    def write(self, **fields: Any) -> None:
        """What somebody does with kubectl."""
        self.world.change(Deployment, "web", **fields)

    def settle(self, seconds: float = 500.0) -> tuple[int, ...]:
        """Let time go by; the sizes of the sets then, in order of creation."""
        self.world.run(self.world.now + seconds)
        return tuple(each.replicas for each in self.world.store.all(ReplicaSet))

    def available(self) -> int:
        """How many pods are available, as somebody sees it who knows the store."""
        sets = {each.name: each.min_ready for each in self.world.store.all(ReplicaSet)}
        now = self.world.now
        ready = [(pod.ready_at, sets[pod.owner]) for pod in self.world.active() if pod.owner in sets]
        return sum(at is not None and now - at >= wait - 1e-9 for at, wait in ready)


def web(replicas: int, surge: int = 1, unavailable: int = 0, **fields: Any) -> Deployment:
    return Deployment("web", replicas, fields.pop("template", V1), surge=surge, unavailable=unavailable, **fields)


# ------------------------------------------------------------------------------ where it comes to rest


def test_a_new_deployment_makes_its_first_set_at_full_size() -> None:
    rollout = Rollout(web(4, min_ready=2.0))
    assert rollout.sizes == [(4,)]
    (made,) = rollout.world.store.all(ReplicaSet)
    assert (made.name, made.owner, made.template, made.min_ready, made.sized) == ("web-1", "web", V1, 2.0, (4, 5))


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "rest"),
    [(10, 3, 2, (8, 5)), (3, 1, 0, (3, 1)), (1, 1, 0, (1, 1))],
)
def test_a_bad_rollout_rests_where_the_algorithm_of_kubernetes_does(
    replicas: int, surge: int, unavailable: int, rest: tuple[int, int]
) -> None:
    rollout = Rollout(web(replicas, surge, unavailable))
    rollout.starts = never(2)
    rollout.write(template=V2)
    assert rollout.settle() == rest
    assert rollout.available() == replicas - unavailable
    if replicas == 10:
        assert rollout.sizes == [(10,), (10, 3), (8, 3), (8, 5)]


@pytest.mark.parametrize("replicas", [1, 2, 5, 8])
def test_a_bad_rollout_costs_exactly_what_may_be_unavailable(replicas: int) -> None:
    """It rests at n - unavailable old pods and surge + unavailable new ones, at most n."""
    for surge in range(4):
        for unavailable in range(0 if surge else 1, replicas + 1):
            rollout = Rollout(web(replicas, surge, unavailable))
            rollout.starts = never(2)
            rollout.write(template=V2)
            assert rollout.settle(100.0) == (replicas - unavailable, min(replicas, surge + unavailable))


def test_a_rollback_finds_its_set_again_and_costs_nothing_more() -> None:
    rollout = Rollout(web(10, 3, 2))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle()
    begun = len(rollout.sizes)
    rollout.write(template=V1)
    assert rollout.settle() == (10, 0)
    # 13 are asked for, 8 of them available: of the 5 broken ones all may go.
    assert rollout.sizes[begun:] == [(8, 0), (10, 0)]
    assert {each.name for each in rollout.world.store.all(ReplicaSet)} == {"web-1", "web-2"}


def test_a_rollout_over_a_broken_one_takes_the_broken_pods_first() -> None:
    rollout = Rollout(web(10, 3, 2))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle()
    begun = len(rollout.sizes)
    rollout.write(template=V3)
    assert rollout.settle() == (0, 0, 10)
    assert rollout.sizes[begun : begun + 3] == [(8, 5, 0), (8, 0, 0), (8, 0, 5)]


def test_pods_that_drain_come_on_top_of_the_surge() -> None:
    rollout = Rollout(web(4, 1, 0), drains=1000.0)
    rollout.write(template=V2)
    rollout.settle(100.0)
    assert len(rollout.world.pods()) == 8 > 4 + 1
    assert max(sum(each) for each in rollout.sizes) == 5


# ------------------------------------------------------------------------------------ how long it takes


@pytest.mark.parametrize(("replicas", "surge"), [(1, 1), (6, 1), (6, 2), (6, 3), (6, 6), (7, 3)])
def test_a_rollout_takes_as_many_waves_as_the_surge_goes_into_the_replicas(replicas: int, surge: int) -> None:
    """Each wave waits for its pods to be ready and stay so; ten steps of news a wave cannot explain another one."""
    rollout = Rollout(web(replicas, surge, 0, min_ready=20.0), drains=0.0)
    rollout.starts = lambda pod: 10.0
    begun = rollout.world.now
    rollout.write(template=V2)
    rollout.settle(1000.0)
    (ended,) = [
        at for at, change in rollout.world.changes if change.key == (ReplicaSet, "web-1") and change.after.replicas == 0
    ]
    waves = ceil(replicas / surge)
    assert 30.0 * waves <= ended - begun <= 30.0 * waves + 10 * 0.01 * waves


def test_recreate_is_down_for_drain_and_start() -> None:
    rollout = Rollout(web(3, strategy="Recreate"), drains=7.0)
    rollout.starts = lambda pod: 5.0
    begun = rollout.world.now
    rollout.write(template=V2)
    assert rollout.settle() == (0, 3)
    assert rollout.sizes == [(3,), (0,), (0, 3)]
    changes = [(at, each.after) for at, each in rollout.world.changes if each.key[0] is Pod and at > begun]
    marked = min(at for at, after in changes if after is not None and after.deleted is not None)
    gone = max(at for at, after in changes if after is None)
    ready = max(at for at, after in changes if after is not None and after.ready_at == at)
    assert gone == pytest.approx(marked + 7.0)
    assert ready == pytest.approx(gone + 5.0, abs=0.05)


def test_recreate_waits_for_pods_that_nobody_can_confirm_to_be_gone() -> None:
    rollout = Rollout(web(2, strategy="Recreate"), drains=1e9)
    rollout.write(template=V2)
    assert rollout.settle() == (0,)
    for pod in rollout.world.pods():
        assert pod.deleted is not None
        rollout.world.do(Delete(Pod, pod.name, force=True))
    assert rollout.settle() == (0, 2)


def test_recreate_does_not_wait_for_pods_that_have_failed() -> None:
    rollout = Rollout(web(2, strategy="Recreate"))
    for pod in rollout.world.pods():
        rollout.world.change(Pod, pod.name, phase="Failed", ready_at=None)
    rollout.write(template=V2, replicas=4)
    assert rollout.settle() == (0, 4)
    assert sum(pod.phase == "Failed" for pod in rollout.world.pods()) == 2


# --------------------------------------------------------------------------------- scaling and pausing


def test_scaling_a_stuck_rollout_is_in_proportion() -> None:
    """The example of the Kubernetes documentation: 8 old and 5 new of 10, scaled to 15, become 11 and 7."""
    rollout = Rollout(web(10, 3, 2))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle()
    begun = len(rollout.sizes)
    rollout.write(replicas=15)
    assert rollout.settle() == (11, 7)
    assert rollout.sizes[begun:] == [(8, 7), (11, 7)]


def test_a_new_leader_finishes_scaling_in_proportion() -> None:
    """The old one died between the two writes: what the sets were sized for is written in them, not remembered."""
    rollout = Rollout(web(10, 3, 2))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle()
    rollout.world.refuse = lambda request: (
        Refused("forbidden") if isinstance(request, Update) and request.thing.name == "web-1" else None
    )
    rollout.write(replicas=15)
    assert rollout.settle() == (8, 7)
    rollout.loop.crash()
    rollout.world.refuse = lambda request: None
    rollout.world.add(DeploymentController())
    assert rollout.settle() == (11, 7)


def test_scaling_without_a_rollout_needs_one_move() -> None:
    rollout = Rollout(web(4))
    for replicas in (9, 2, 0, 3):
        rollout.write(replicas=replicas)
        assert rollout.settle() == (replicas,)
    assert rollout.sizes == [(4,), (9,), (2,), (0,), (3,)]


def test_size_and_template_may_change_at_once() -> None:
    rollout = Rollout(web(4, 1, 1))
    rollout.write(replicas=6, template=V2)
    assert rollout.settle() == (0, 6)
    assert rollout.sizes[1] == (6,)  # first the size, then the template


def test_a_paused_deployment_is_scaled_but_not_rolled_out() -> None:
    rollout = Rollout(web(4, 1, 1))
    rollout.write(paused=True)
    rollout.write(template=V2)
    assert rollout.settle() == (4,)
    rollout.write(replicas=6)
    assert rollout.settle() == (6,)
    rollout.write(template=V3)
    rollout.write(paused=False)
    assert rollout.settle() == (0, 6)
    assert {each.name for each in rollout.world.store.all(ReplicaSet)} == {"web-1", "web-3"}


def test_a_deployment_that_begins_paused_has_no_pods_until_it_goes_on() -> None:
    world = Reconciling()
    world.create(web(2, paused=True))
    world.add(DeploymentController())
    world.run(10.0)
    assert not list(world.store.all(ReplicaSet))
    world.change(Deployment, "web", paused=False)
    world.run(20.0)
    assert [each.replicas for each in world.store.all(ReplicaSet)] == [2]


def test_once_the_new_set_is_full_what_is_left_of_old_ones_goes() -> None:
    """Paused, and an old set got pods again: they are surplus, and no proportion applies."""
    sets = [
        ReplicaSet("web-1", 2, V1, owner="web", created=0.0, sized=(3, 4)),
        ReplicaSet("web-2", 3, V2, owner="web", created=1.0, sized=(3, 4)),
    ]
    pods = [Pod(f"p{n}", V2, owner="web-2", node="n", phase="Running", ready_at=2.0) for n in range(3)]
    plan = DeploymentController().plan("web", Copy(web(3, template=V2, paused=True), *sets, *pods), 5.0)
    assert plan.batches == ((Update(replace(sets[0], replicas=0)),),)


def test_a_set_that_somebody_scales_by_hand_is_scaled_back() -> None:
    rollout = Rollout(web(4))
    for replicas in (7, 1, 0):
        rollout.world.change(ReplicaSet, "web-1", replicas=replicas)
        assert rollout.settle() == (4,)


def test_a_recreation_is_not_held_up_by_a_change_of_size() -> None:
    sets = [
        ReplicaSet(f"web-{n}", n, template, owner="web", created=n, sized=(3, 4)) for n, template in ((1, V1), (2, V2))
    ]
    plan = DeploymentController().plan("web", Copy(web(5, template=V2, strategy="Recreate"), *sets), 5.0)
    assert plan.batches == ((Update(replace(sets[0], replicas=0, sized=(5, 5))),),)


def test_sets_are_written_one_after_another_over_the_versions_that_were_seen() -> None:
    """So that of two who write at once one is refused at the first set and touches no other."""
    sets = [
        ReplicaSet(f"web-{n}", 3, replace(V1, revision=n), owner="web", created=-n, sized=(3, 4), version=10 * n)
        for n in (1, 2, 3)
    ]
    pods = [
        Pod(f"p{n}", V3, owner="web-3", node="n", phase="Running", ready_at=1.0, created=float(n)) for n in range(3)
    ]
    plan = DeploymentController().plan("web", Copy(web(3, template=V3), *sets, *pods), 5.0)
    # None of the old pods is there: all may go, the set with the higher number first, since it is older.
    asked = [[(each.thing.name, each.thing.version, each.thing.replicas) for each in batch] for batch in plan.batches]  # type: ignore[union-attr]
    assert asked == [[("web-2", 20, 0)], [("web-1", 10, 0)]]


def test_an_emptied_deployment_keeps_an_empty_set() -> None:
    rollout = Rollout(web(0))
    assert rollout.world.pods() == []
    rollout.write(template=V2)
    assert rollout.settle() == (0, 0)
    rollout.write(replicas=2)
    assert rollout.settle() == (0, 2)


def test_min_ready_is_carried_over_to_the_newest_set() -> None:
    rollout = Rollout(web(2))
    rollout.write(min_ready=30.0)
    rollout.settle()
    assert [each.min_ready for each in rollout.world.store.all(ReplicaSet)] == [30.0]


# ------------------------------------------------------------------------------------------- stalling


def test_a_rollout_that_gets_nowhere_is_stalled_after_its_deadline_and_stays_where_it_is() -> None:
    rollout = Rollout(web(3, progress_deadline=60.0))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle(30.0)
    made = max(pod.created for pod in rollout.world.pods("web-2"))
    for after, stalled in ((59.9, False), (60.2, True), (1e6, True)):
        assert rollout.controller.stalled("web", made + after) is stalled
    assert rollout.settle(1000.0) == (3, 1)
    rollout.write(template=V1)
    rollout.settle()
    assert not rollout.controller.stalled("web", rollout.world.now + 1e6)


def test_progress_is_one_more_new_ready_or_available_pod_or_one_old_pod_fewer() -> None:
    """Each step in turn, every 100 s, with a deadline of 150 s; the last is none."""
    controller = DeploymentController()
    old = ReplicaSet("web-1", 2, V1, owner="web", min_ready=100.0, sized=(2, 3))
    new = ReplicaSet("web-2", 1, V2, owner="web", min_ready=100.0, created=1.0, sized=(2, 3))
    first, second = (Pod(f"p{n}", V1, owner="web-1", node="n", phase="Running", ready_at=-1e6) for n in (1, 2))
    coming = Pod("p3", V2, owner="web-2", node="n")
    ready = replace(coming, phase="Running", ready_at=201.0)
    unready = replace(ready, ready_at=None)
    steps = [(first, second), (first, second, coming), (first, second, ready), (first, second, ready), (first, ready)]
    for number, pods in enumerate([*steps, (first, unready)]):
        deployment = web(2, template=V2, min_ready=100.0, progress_deadline=150.0)
        controller.plan("web", Copy(deployment, old, new, *pods), 100.0 * number + 2.0)
        assert controller.stalled("web", 100.0 * number + 99.0) is (number == 5)


def test_each_pod_that_comes_up_starts_the_deadline_anew() -> None:
    rollout = Rollout(web(4, progress_deadline=60.0))
    rollout.starts = lambda pod: 50.0
    rollout.write(template=V2)
    for _ in range(40):
        rollout.settle(5.0)
        assert not rollout.controller.stalled("web", rollout.world.now)
    assert rollout.settle(50.0) == (0, 4)


def test_a_rollout_that_has_ended_is_not_stalled_by_pods_that_fail_later() -> None:
    rollout = Rollout(web(3, progress_deadline=60.0))
    rollout.starts = never(1)
    rollout.world.change(Pod, rollout.world.pods()[0].name, ready_at=None)
    rollout.settle(1000.0)
    assert rollout.available() == 2
    assert not rollout.controller.stalled("web", rollout.world.now)


def test_a_pause_stops_the_deadline() -> None:
    rollout = Rollout(web(3, progress_deadline=60.0))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle(30.0)
    rollout.write(paused=True)
    rollout.settle(1000.0)
    assert not rollout.controller.stalled("web", rollout.world.now)
    rollout.write(paused=False)
    resumed = rollout.world.now
    rollout.settle(1.0)
    assert not rollout.controller.stalled("web", resumed + 59.9)
    assert rollout.controller.stalled("web", resumed + 60.2)


def test_nothing_is_known_of_a_deployment_that_is_gone() -> None:
    rollout = Rollout(web(3, progress_deadline=1.0))
    rollout.starts = never(2)
    rollout.write(template=V2)
    rollout.settle(30.0)
    assert rollout.controller.stalled("web", rollout.world.now)
    rollout.world.do(Delete(Deployment, "web"))
    rollout.settle(1.0)
    assert not rollout.controller.stalled("web", rollout.world.now)
    assert not rollout.controller.stalled("no such", 1e9)
    assert rollout.controller.plan("web", rollout.loop.cache, 1e9) == NOTHING


# ----------------------------------------------------------------------------------------- odd input


def test_one_revision_for_two_templates_is_named() -> None:
    other = replace(V1, cpu=999)
    cache = Copy(web(2, template=other), ReplicaSet("web-1", 2, V1, owner="web"))
    with pytest.raises(ModelError, match=r"^template.revision: got 1 for two templates of 'web'"):
        DeploymentController().plan("web", cache, 0.0)


def test_a_deployment_is_woken_by_its_sets_and_pods_and_no_others() -> None:
    sets = ReplicaSet("web-1", 1, V1, owner="web"), ReplicaSet("bare", 1, V1)
    deployment, cache = web(1), Copy(web(1), *sets)
    keys = DeploymentController().keys
    for thing in (deployment, sets[0], Pod("a", V1, owner="web-1")):
        for change in (Change(None, thing), Change(thing, thing), Change(thing, None)):
            assert list(keys(change, cache)) == ["web"]
    for thing in (sets[1], Pod("b", V1, owner="bare"), Pod("c", V1, owner="gone-1"), Pod("d", V1)):
        assert list(keys(Change(None, thing), cache)) == []


def test_a_pod_counts_once_it_has_been_ready_for_long_enough() -> None:
    controller = DeploymentController()
    old = ReplicaSet("web-1", 1, V1, owner="web", min_ready=10.0, sized=(1, 2))
    new = ReplicaSet("web-2", 1, V2, owner="web", min_ready=10.0, created=1.0, sized=(1, 2))
    serving = Pod("a", V1, owner="web-1", node="n", phase="Running", ready_at=0.0)
    coming = replace(serving, name="b", template=V2, owner="web-2", ready_at=100.0)
    cache = Copy(web(1, min_ready=10.0, template=V2), old, new, serving, coming)
    assert controller.plan("web", cache, 104.0) == ((), 6.0)
    assert controller.plan("web", cache, 110.0).batches == ((Update(replace(old, replicas=0)),),)
    assert controller.plan("web", cache, 110.0).again is None
    assert controller.plan("web", cache, 110.0 - 1e-12).again == 0.001


def test_ready_is_available_even_for_a_clock_that_lags_if_nothing_is_waited_for() -> None:
    old = ReplicaSet("web-1", 1, V1, owner="web", sized=(1, 2))
    new = ReplicaSet("web-2", 1, V2, owner="web", created=1.0, sized=(1, 2))
    pods = [Pod(f"p{n}", V1, owner=f"web-{n}", node="n", phase="Running", ready_at=100.0) for n in (1, 2)]
    plan = DeploymentController().plan("web", Copy(web(1, template=V2), old, new, *pods), 50.0)
    assert plan.batches == ((Update(replace(old, replicas=0)),),)


# --------------------------------------------------------------------- what holds on every way there


class Watching:
    """Looks at every change whether too many pods are asked for, and whether too few are available."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.most, self.least = 0, 10**9
        rollout.world.watch.append(self._look)

    def _look(self, change: Change) -> None:
        self.most = max(self.most, sum(each.replicas for each in self.rollout.world.store.all(ReplicaSet)))
        self.least = min(self.least, self.rollout.available())


def nag(loop: Loop, times: int, every: float) -> None:
    """Ask for looks that nothing calls for, so that plans are made from a cache that lags."""
    for number in range(times):
        loop.world.after(number * every, lambda: loop.enqueue("web"))


@settings(max_examples=100, deadline=None)
@given(
    replicas=st.integers(1, 9),
    bounds=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    delays=st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 2.0)),
    latency=st.sampled_from([0.0, 0.05, 0.7]),
    min_ready=st.sampled_from([0.0, 3.0]),
    starts=st.lists(st.floats(0.0, 9.0), min_size=1, max_size=9),
    two=st.booleans(),
)
def test_a_rollout_whose_pods_come_up_keeps_its_bounds_and_ends(
    replicas: int,
    bounds: tuple[int, int],
    delays: tuple[float, float],
    latency: float,
    min_ready: float,
    starts: list[float],
    two: bool,
) -> None:
    """With caches that lag, plans made from them again and again, and even with two controllers at once."""
    rollout = Rollout(web(replicas, *bounds, min_ready=min_ready), latency, delays)
    surge, unavailable = resolve(*bounds, replicas)
    if two:
        other = rollout.world.add(DeploymentController(), delays[0] / 3 + 0.1)
        rollout.settle(10.0)
        nag(other, 100, 0.29)
    watching = Watching(rollout)
    each = cycle(starts)
    rollout.starts = lambda pod: next(each)
    nag(rollout.loop, 100, 0.31)
    rollout.write(template=V2)
    assert rollout.settle(1500.0) == (0, replicas)
    assert rollout.available() == replicas
    assert watching.most <= replicas + surge
    assert watching.least >= replicas - unavailable


@settings(max_examples=100, deadline=None)
@given(
    replicas=st.integers(1, 8),
    bounds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    delay=st.floats(0.0, 1.0),
    flaps=st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 30), st.booleans()), max_size=40),
)
def test_pods_that_come_and_go_never_make_too_many_and_hold_a_rollout_up_no_longer_than_they_last(
    replicas: int, bounds: tuple[int, int], delay: float, flaps: list[tuple[float, int, bool]]
) -> None:
    rollout = Rollout(web(replicas, *bounds), delays=(delay, delay / 2))
    watching = Watching(rollout)
    rollout.write(template=V2)
    world = rollout.world
    for pause, number, ready in flaps:
        world.run(world.now + pause)
        pod = world.pods()[number % len(world.pods())]
        world.change(Pod, pod.name, phase="Running", ready_at=world.now if ready else None)
    for pod in world.active():
        world.change(Pod, pod.name, phase="Running", ready_at=world.now)
    assert rollout.settle() == (0, replicas)
    assert watching.most <= replicas + resolve(*bounds, replicas)[0]


@settings(max_examples=100, deadline=None)
@given(
    strategy=st.sampled_from(["RollingUpdate", "Recreate"]),
    bounds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    delay=st.sampled_from([0.0, 0.3, 1.0]),
    edits=st.lists(
        st.tuples(st.floats(0.0, 4.0), st.sampled_from([V1, V2, V3]), st.integers(0, 7), st.booleans()), max_size=8
    ),
)
def test_whatever_somebody_writes_it_comes_to_rest_at_what_was_written_last(
    strategy: Any, bounds: tuple[int, int], delay: float, edits: list[tuple[float, PodTemplate, int, bool]]
) -> None:
    rollout = Rollout(web(3, *bounds, strategy=strategy), delays=(delay, 0.01))
    watching = Watching(rollout)
    for pause, template, replicas, paused in edits:
        rollout.write(template=template, replicas=replicas, paused=paused)
        rollout.world.run(rollout.world.now + pause)
    rollout.write(paused=False)
    rollout.settle()
    last = rollout.deployment
    sizes = {each.template: each.replicas for each in rollout.world.store.all(ReplicaSet)}
    assert sizes.pop(last.template) == len(rollout.world.pods()) == last.replicas
    assert not any(sizes.values())
    if not delay:  # else one set may be made before it is known that another has grown: versions fence single objects
        surge = bounds[0] if strategy == "RollingUpdate" else 0
        assert watching.most <= max(3, *(replicas for _, _, replicas, _ in edits), 0) + surge
    before = rollout.loop.syncs
    rollout.settle()
    assert rollout.loop.syncs == before  # and it stays there, without looking again and again
