"""The autoscalers: replicas against the cases of Kubernetes's own tests, machines against packing by brute force.

The cases of replicas are those of k/k pkg/controller/podautoscaler/replica_calculator_test.go and of its documentation.
Delays of the reaction are judged by Kolmogorov and Smirnov at the level 1e-3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hasim.errors import ModelError
from hasim.protocols.api import Bind, Create, Delete, ObjectStore, Refused, Request, Update
from hasim.protocols.reconcile.cluster_autoscaler import (
    LEAVING,
    ClusterAutoscaler,
    ClusterAutoscalerController,
    Machine,
)
from hasim.protocols.reconcile.controller import NOTHING, Controller
from hasim.protocols.reconcile.horizontal import (
    HorizontalAutoscaler,
    HorizontalController,
    desired,
    grouped,
    reaction,
    recommended,
)
from hasim.protocols.reconcile.objects import Deployment, Node, Pod, PodTemplate, ReplicaSet, StatefulSet, Taint

WEB = PodTemplate("web", cpu=1000)


def scan(controller: Controller, store: ObjectStore, now: float) -> list[Request]:
    """Ask for a plan and carry it out; what was done. After a batch with a refusal there is no other."""
    done = []
    for requests in controller.plan("", store, now).batches:
        replies = [store.apply(request, now)[0] for request in requests]
        for request, reply in zip(requests, replies, strict=True):
            controller.answered("", request, reply)
            done += [] if isinstance(reply, Refused) else [request]
        if any(isinstance(reply, Refused) for reply in replies):
            break
    return done


def put(store: ObjectStore, *things: Any) -> None:
    for thing in things:
        assert not isinstance(store.apply(Create(thing), 0.0)[0], Refused)


# ---------------------------------------------------------------------------- how many replicas: the number

HPA = HorizontalAutoscaler(target="web", max_replicas=1000)


def test_use_of_twice_the_target_doubles_the_replicas_and_half_of_it_halves_them() -> None:
    """The examples of the documentation, "Algorithm details", and of its article on the tolerance."""
    for replicas in (1, 2, 7, 50):
        assert desired(replicas, 200 / 100, 0.1) == 2 * replicas
        assert desired(replicas, 50 / 100, 0.1) == math.ceil(replicas / 2)
    assert desired(50, 90 / 75, 0.1) == 60
    assert desired(0, 2.0, 0.1) == 0


@pytest.mark.parametrize(("ratio", "count"), [(0.89, 9), (0.9, 10), (1.0, 10), (1.1, 10), (1.11, 12), (1.2, 12)])
def test_nothing_is_done_within_the_tolerance(ratio: float, count: int) -> None:
    assert desired(10, ratio, 0.1) == count


OLD = -1e4  # long before now
R, U, H = "ready", "unready", "hot"  # hot: it became ready just now
UPSTREAM = {  # replicas, target, use in millicores of 1000, moods, expected
    "ScaleUp": (3, 30, [300, 500, 700], [R, R, R], 5),
    "ScaleUpUnreadyLessScale": (3, 30, [300, 500, 700], [U, R, R], 4),
    "ScaleUpHotCpuLessScale": (3, 30, [300, 500, 700], [H, R, R], 4),
    "ScaleUpUnreadyNoScale": (3, 30, [400, 500, 700], [R, U, U], 3),
    "ScaleHotCpuNoScale": (3, 30, [400, 500, 700], [R, H, H], 3),
    "ScaleUpIgnoresFailedPods": (2, 30, [500, 700], [R, R, "failed", "failed"], 4),
    "ScaleUpIgnoresDeletionPods": (2, 30, [500, 700, 100, 100], [R, R, "leaving", "leaving"], 4),
    "ScaleDown": (5, 50, [100, 300, 500, 250, 250], [R] * 5, 3),
    "SuperfluousMetrics": (4, 100, [4000, 9500, 3000, 7000, 3200, 2000], [R] * 4, 24),
    "MissingMetrics": (4, 100, [400, 95], [R] * 4, 3),
    "MissingMetricsNoChangeEq": (2, 100, [1000], [R, R], 2),
    "MissingMetricsNoChangeGt": (2, 100, [1900], [R, R], 2),
    "MissingMetricsNoChangeLt": (2, 100, [600], [R, R], 2),
    "MissingMetricsUnreadyChange": (3, 50, [100, 450], [U, R, R], 3),
    "MissingMetricsHotCpuNoChange": (3, 50, [100, 450], [H, R, R], 3),
    "MissingMetricsUnreadyScaleUp": (3, 50, [100, 2000], [U, R, R], 4),
    "MissingMetricsHotCpuScaleUp": (3, 50, [100, 2000], ["hot, unready", R, R], 4),
    "MissingMetricsUnreadyScaleDown": (4, 50, [100, 100, 100], [U, R, R, R], 3),
    "DuringRollingUpdateWithMaxSurge": (2, 50, [100, 100], [R, R, R], 2),
    "EmptyMetrics": (4, 100, [], [R, R, R], None),
    "DisjointResourcesMetrics": (1, 100, [], [R], None),
    "no pods": (3, 100, [], [], None),
}


def pod_of(name: str, mood: str, template: PodTemplate = WEB) -> Pod:
    """A pod at time 0 in this mood."""
    pod = Pod(name, template, "rs", "node", "Running", OLD, created=OLD)
    changes: dict[str, dict[str, Any]] = {
        R: {},
        U: {"ready_at": None},
        H: {"created": 0.0, "ready_at": 0.0},
        "hot, unready": {"created": 0.0, "ready_at": None},
        "failed": {"phase": "Failed", "ready_at": None},
        "leaving": {"deleted": -1.0},
        "pending": {"phase": "Pending", "ready_at": None, "node": None},
    }
    return replace(pod, **changes[mood])


def number(
    replicas: int, target: int, use: dict[str, float], pods: list[Pod], seen_ready: dict[str, float] | None = None
) -> int | None:
    autoscaler = HorizontalAutoscaler(target="web", max_replicas=10_000, utilization=f"{target}%")
    return recommended(replicas, grouped(pods, use, autoscaler, 0.0, seen_ready or {}), use, autoscaler)


@pytest.mark.parametrize("case", UPSTREAM)
def test_the_number_is_that_of_kubernetes_own_tests(case: str) -> None:
    replicas, target, levels, moods, expected = UPSTREAM[case]
    pods = [pod_of(f"web-{n}", mood) for n, mood in enumerate(moods)]
    use = {f"web-{n}": level / 1000 for n, level in enumerate(levels)}
    assert number(replicas, target, use, pods) == expected


def test_use_is_of_all_that_was_asked_for_and_cut_to_whole_percents() -> None:
    """Kubernetes's TestReplicaCalcTolerance: 3060 of 3000 are 102 %; and 100 of 300 are 33 %, not a third."""
    cpus = [900, 1000, 1100]
    pods = [pod_of(f"web-{n}", R, PodTemplate("web", cpu=cpu)) for n, cpu in enumerate(cpus)]
    use = {f"web-{n}": level / cpu for n, (level, cpu) in enumerate(zip([1010, 1030, 1020], cpus, strict=True))}
    assert number(3, 100, use, pods) == 3
    # 33 % of a target of 30 % is within the tolerance of 10 %; a third of it would not be.
    assert number(3, 30, {"a": 1 / 3}, [pod_of("a", R, PodTemplate("web", cpu=300))]) == 3
    small = pod_of("a", R, PodTemplate("web", cpu=100))
    for percent in range(2, 101):  # 0.29 of 100 is less than 29 by a rounding error, and must not become 28
        assert number(100, 1, {"a": percent / 100}, [small]) == percent
        assert number(3, percent, {"a": percent / 100}, [small]) == 3
    assert number(3, 100, {"a": 1.0}, [pod_of("a", R, PodTemplate("web", cpu=0))]) is None


def test_pods_are_sorted_as_kubernetes_own_tests_have_it() -> None:
    """TestGroupPods, with its two minutes of initialization and ten seconds of delay; names are those of its pods."""
    own = HPA.model_copy(update={"cpu_initialization": 120.0, "initial_readiness_delay": 10.0})

    def sort(pod: Pod, seen: float | None = None, window: float = 15.0, measured: bool = True) -> str:
        use = {pod.name: 1.0} if measured else {}
        settings = own.model_copy(update={"metric_window": window})
        groups = grouped([pod], use, settings, 0.0, {} if seen is None else {pod.name: seen})
        return next((name for name in groups._fields if getattr(groups, name)), "ignored")

    def pod(created: float, ready_at: float | None) -> Pod:
        return Pod("bentham", WEB, "rs", "node", "Running", ready_at, created=created)

    assert sort(pod(-60.0, -30.0), window=30.0) == "measured"
    assert sort(pod(-60.0, -30.0), window=60.0) == "unready"
    assert sort(pod(-60.0, None)) == "unready"
    assert sort(pod(-600.0, -179.0), window=600.0) == "measured"
    assert sort(pod(-600.0, None), seen=-540.0) == "measured"
    assert sort(pod(-600.0, None), seen=-594.0) == "unready"
    assert sort(pod(-600.0, None), seen=-590.0) == "measured"
    assert sort(pod(-600.0, None)) == "unready"
    assert sort(pod(-180.0, None), measured=False) == "missing"
    assert sort(pod_of("epicurus", "pending")) == "unready"
    assert sort(pod_of("epicurus", "failed")) == sort(pod_of("epicurus", "leaving")) == "ignored"


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 30), st.integers(1, 100), st.lists(st.sampled_from([R, U, H, "missing"]), max_size=12), st.data())
def test_unknown_pods_never_turn_the_direction_round_and_only_damp_it(
    replicas: int, target: int, moods: list[str], data: st.DataObject
) -> None:
    """What the measured pods call for alone, per pod, bounds what all of them call for.

    Downwards only measured pods are counted, as in Kubernetes: those that are not ready add nothing.
    """
    pods = [pod_of(f"web-{n}", R if mood == "missing" else mood) for n, mood in enumerate(moods)]
    levels = {pod.name: data.draw(st.integers(0, 3000)) for pod in pods}
    use = {p.name: levels[p.name] / 1000 for p, mood in zip(pods, moods, strict=True) if mood != "missing"}
    measured = [name for name, mood in zip(levels, moods, strict=True) if mood == R]
    count = number(replicas, target, use, pods)
    if not measured:
        assert count is None
        return
    assert count is not None
    ratio = (sum(levels[name] for name in measured) // (10 * len(measured))) / target
    if len(pods) == replicas and count != replicas:
        assert (count > replicas) == (ratio > 1.0)
        assert min(replicas, ratio * len(measured)) - 1 < count < max(replicas, ratio * replicas) + 1


def test_pods_that_are_not_ready_add_nothing_when_the_count_falls() -> None:
    pods = [pod_of(f"web-{n}", R if n < 5 else U) for n in range(8)]
    use = {pod.name: 0.05 if pod.name == "web-4" else 0.0 for pod in pods}
    assert number(8, 2, use, pods) == 3  # half of the five that are measured, rounded up


# ----------------------------------------------------------------------------- how many replicas: the loop


class Service:
    """A deployment whose pods are there at once, and share a load given in cpus of one pod."""

    def __init__(self, replicas: int, load: Callable[[float], float], hpa: HorizontalAutoscaler = HPA) -> None:
        self.now, self.load = 0.0, load
        self.store = ObjectStore()
        put(self.store, Deployment("web", replicas, WEB))
        self.controller = HorizontalController(hpa, self.use)
        self.period = self.controller.period

    @property
    def replicas(self) -> int:
        deployment = self.store.get(Deployment, "web")
        assert deployment is not None
        return deployment.replicas

    def use(self, app: str) -> dict[str, float]:
        assert app == "web"
        return {pod.name: self.load(self.now) / self.replicas for pod in self.store.all(Pod)}

    def look(self, now: float) -> int:
        """Look once, with as many pods as there are replicas."""
        self.now = now
        pods = [pod.name for pod in self.store.all(Pod)]
        for name in pods[self.replicas :]:
            self.store.apply(Delete(Pod, name, force=True), now)
        for n in range(len(pods), self.replicas):
            put(self.store, replace(pod_of(f"web-{n}", R), name=f"web-{n}"))
        scan(self.controller, self.store, now)
        return self.replicas

    def looks(self, times: int, first: float = 0.0) -> list[int]:
        return [self.look(first + n * self.period) for n in range(times)]


def test_it_grows_by_four_pods_or_twofold_each_period_whichever_is_more() -> None:
    assert Service(1, lambda now: 1e6).looks(9) == [5, 10, 20, 40, 80, 160, 320, 640, 1000]


def test_looking_more_often_does_not_make_it_grow_faster() -> None:
    often = HPA.model_copy(update={"sync": 5.0})
    assert Service(1, lambda now: 1e6, often).looks(10) == [5, 5, 5, 10, 10, 10, 20, 20, 20, 40]


def test_shrinking_is_held_to_its_percentage() -> None:
    slow = HPA.model_copy(update={"down_window": 0.0, "down_percent": 10})
    assert Service(100, lambda now: 0.0, slow).looks(5) == [90, 81, 72, 64, 57]
    stuck = slow.model_copy(update={"down_percent": 0})
    assert Service(100, lambda now: 0.0, stuck).looks(3) == [100] * 3


def test_it_settles_where_the_load_fits_the_target() -> None:
    for load in (0.0, 0.5, 7.9, 8.0, 33.3):
        service = Service(5, lambda now, load=load: load)  # type: ignore[misc]
        settled = service.looks(60)[-1]
        least = max(1, math.ceil(load / (0.8 * 1.1)))  # the tolerance leaves it where use is at most 10 % off
        assert least <= settled <= max(1, math.ceil(load / (0.8 * 0.9)))


def test_it_shrinks_only_once_the_last_higher_number_is_five_minutes_old() -> None:
    load = {0.0: 16.0, 60.0: 12.0, 120.0: 4.0}  # 20, 15 and 5 replicas
    service = Service(20, lambda now: load[max(at for at in load if at <= now)])
    seen = service.looks(30)
    # 20 was last called for at 45 s, 15 at 105 s: each holds while it is less than 300 s old.
    times = [15.0 * n for n in range(30)]
    assert seen == [20 if t < 345 else 15 if t < 405 else 5 for t in times]


def test_a_short_dip_shrinks_nothing() -> None:
    assert set(Service(20, lambda now: 2.0 if 100 < now < 390 else 16.0).looks(60)) == {20}


def test_a_new_controller_shrinks_nothing_for_a_whole_window() -> None:
    service = Service(20, lambda now: 4.0)
    assert service.looks(30) == [20] * 20 + [5] * 10
    assert Service(4, lambda now: 16.0).look(0.0) == 8


def test_growing_can_be_made_to_wait_too() -> None:
    patient = HPA.model_copy(update={"up_window": 60.0})
    service = Service(4, lambda now: 6.4, patient)  # 8 replicas; the first number it remembers is what it found
    assert service.looks(6) == [4, 4, 4, 4, 8, 8]


def test_it_stays_between_its_bounds_and_leaves_what_is_scaled_to_zero() -> None:
    bounded = HorizontalAutoscaler(target="web", min_replicas=3, max_replicas=12)
    assert Service(3, lambda now: 1e6, bounded).looks(3) == [7, 12, 12]
    assert Service(30, lambda now: 1e6, bounded).look(0.0) == 12  # at once, whatever the metrics and the limits
    assert Service(1, lambda now: 0.0, bounded).look(0.0) == 3
    assert Service(12, lambda now: 0.0, bounded).looks(21)[-1] == 3
    assert Service(0, lambda now: 1e6).look(0.0) == 0


def test_nothing_known_of_use_changes_nothing() -> None:
    service = Service(3, lambda now: 1e6)
    service.controller._metrics = lambda app: {}
    assert service.looks(30) == [3] * 30
    assert HorizontalController(HPA, service.use).plan("", ObjectStore(), 0.0) == NOTHING


def test_sets_are_scaled_like_deployments() -> None:
    for kind in (ReplicaSet, StatefulSet):
        store = ObjectStore()
        put(store, kind("web", 2, WEB), pod_of("web-0", R), pod_of("web-1", R), pod_of("other", R, PodTemplate("db")))
        controller = HorizontalController(HPA, lambda app: {"web-0": 1.6, "web-1": 1.6, "other": 0.0})
        (update,) = scan(controller, store, 0.0)
        assert isinstance(update, Update) and update.thing.replicas == 4
        assert list(controller.keys(None, store)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("reply", [None, Refused("conflict")])
def test_what_was_not_scaled_for_certain_does_not_count_for_the_limits(reply: Refused | None) -> None:
    service = Service(1, lambda now: 1e6, HPA.model_copy(update={"sync": 5.0}))
    service.look(0.0)
    assert service.replicas == 5
    ((update,),) = service.controller.plan("", service.store, 15.0).batches
    service.controller.answered("", update, reply)
    ((update,),) = service.controller.plan("", service.store, 20.0).batches
    assert isinstance(update, Update) and update.thing.replicas == 10
    service.controller.answered("", update, service.store.apply(update, 20.0)[0])
    assert service.look(25.0) == 10  # as much as this period allows


@pytest.mark.parametrize(("was_ready", "replicas"), [(True, 4), (False, 3)])
def test_a_pod_that_was_ready_counts_with_its_use_and_one_that_never_was_as_idle(
    was_ready: bool, replicas: int
) -> None:
    """120 % twice and 40 % are 93 %, 1.16 times the target; 120 % twice and nothing are 80 %, the target."""
    store = ObjectStore()
    put(store, Deployment("web", 3, WEB), pod_of("a", R), pod_of("b", R), pod_of("c", R if was_ready else U))
    use = {"a": 0.8, "b": 0.8, "c": 0.8}
    controller = HorizontalController(HPA, lambda app: use)
    assert scan(controller, store, 0.0) == []
    third = store.get(Pod, "c")
    assert third is not None
    store.apply(Update(replace(third, ready_at=None)), 1.0)
    use.update(a=1.2, b=1.2, c=0.4)
    wanted = [update.thing.replicas for update in scan(controller, store, 15.0) if isinstance(update, Update)]
    assert (wanted or [3]) == [replicas]


def test_the_reaction_to_a_step_takes_as_long_as_the_law_says() -> None:
    """The metrics are what they were a window ago; the loop and the step are at random to each other."""
    rng = np.random.default_rng(3)
    start = 20.0
    times = []
    for _ in range(2000):
        step, phase = 100.0 + 15.0 * rng.random(), 15.0 * rng.random()
        service = Service(10, lambda now, step=step: 8.0 if now - 15.0 < step else 12.0)  # type: ignore[misc]
        now = phase
        while service.look(now) == 10:
            now += service.period
        assert service.replicas == 15
        times.append(now + start - step)
    law = reaction(HPA, start)
    assert (law.low, law.high, law.mean) == (35.0, 50.0, 42.5)
    assert law.low <= min(times) and max(times) <= law.high + 1e-9
    assert stats.kstest(law.cdf(times), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"min_replicas": 5, "max_replicas": 4}, "min_replicas: got 5 with max_replicas 4; it is at most max_replicas"),
        ({"max_replicas": 0}, "max_replicas: got 0"),
        ({"max_replicas": 9, "utilization": "80.5%"}, "utilization: got 80.5%; it is a whole number of percents"),
        ({"max_replicas": 9, "sync": "0s"}, "sync: got 0.0; give a number of at least 0.001"),
        ({}, "max_replicas: is missing"),
    ],
)
def test_wrong_settings_of_replicas_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        HorizontalAutoscaler(target="web", **wrong)


# ------------------------------------------------------------------------------------------------ machines

CA = ClusterAutoscaler(name="pool", min_nodes=0, max_nodes=100, cpu=4000)


def pending(name: str, cpu: int = 1000, **more: Any) -> Pod:
    return Pod(name, PodTemplate(more.pop("app", "web"), cpu=cpu, **more), "rs")


def on(node: str, name: str, cpu: int = 1000, owner: str = "rs", **more: Any) -> Pod:
    return Pod(name, PodTemplate(more.pop("app", "web"), cpu=cpu, **more), owner, node, "Running", 0.0)


def group(*numbers: int, **changes: Any) -> list[Any]:
    """Machines of the group with their nodes, long there."""
    names = [f"pool-{n}" for n in numbers]
    machines = [Machine(name, "", 4000, OLD) for name in names]
    return [*machines, *(Node(name, **({"created": OLD} | changes)) for name in names)]


def machines(requests: list[Request]) -> list[str]:
    return [request.thing.name for request in requests if isinstance(request, Create)]


def asked_for(*things: Any, autoscaler: ClusterAutoscaler = CA) -> int:
    """How many machines it asks for, given these things."""
    store = ObjectStore()
    put(store, *things)
    return len(machines(scan(ClusterAutoscalerController(autoscaler), store, 0.0)))


def fewest_bins(sizes: list[int], size: int) -> int:
    """By brute force: each item into a bin that is open, or a new one."""

    def fill(rest: list[int], bins: tuple[int, ...]) -> Iterator[int]:
        if not rest:
            yield len(bins)
            return
        for n, used in enumerate(bins):
            if used + rest[0] <= size:
                yield from fill(rest[1:], (*bins[:n], used + rest[0], *bins[n + 1 :]))
        yield from fill(rest[1:], (*bins, rest[0]))

    return min(fill(sizes, ()))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4000), max_size=7))
def test_machines_are_as_few_as_first_fit_decreasing_makes_them(sizes: list[int]) -> None:
    """At most 11/9 · OPT + 6/9 (Dósa 2007), and never fewer than OPT."""
    count = asked_for(*(pending(f"web-{n}", cpu) for n, cpu in enumerate(sizes)))
    fewest = fewest_bins(sizes, 4000)
    assert fewest <= count <= (11 * fewest + 6) // 9


@pytest.mark.parametrize(("pods", "cpu"), [(1, 1000), (4, 1000), (5, 1000), (100, 1300), (8, 4000), (7, 2001)])
def test_like_pods_take_as_many_machines_as_division_says(pods: int, cpu: int) -> None:
    assert asked_for(*(pending(f"web-{n}", cpu) for n in range(pods))) == math.ceil(pods / (4000 // cpu))


def test_room_that_is_there_or_on_its_way_is_used_first() -> None:
    waiting = [pending(f"new-{n}", 1000) for n in range(6)]
    assert asked_for(*waiting) == 2
    assert asked_for(*waiting, Node("static", cpu=2000)) == 1
    assert asked_for(*waiting, Node("static", cpu=2000), on("static", "old", 1000)) == 2
    assert asked_for(*waiting, Machine("pool-1", "", 4000, 0.0)) == 1
    assert asked_for(*waiting, *group(1)) == 1
    # Nodes that take no pods are no room: cordoned, not ready, tainted.
    for useless in ({"unschedulable": True}, {"ready": "Unknown"}, {"taints": (Taint("x", "NoSchedule"),)}):
        assert asked_for(*waiting, *group(1, **useless)) == 2
    # One of the group that has just come and is not ready yet will be.
    assert asked_for(*waiting, *group(1, ready="False", created=0.0)) == 1
    # A pod that failed, or should be long gone, takes no room.
    assert asked_for(*waiting, *group(1), replace(on("pool-1", "x", 4000), phase="Failed")) == 1
    assert asked_for(*waiting, *group(1), replace(on("pool-1", "x", 4000), deleted=-59.0)) == 2
    assert asked_for(*waiting, *group(1), replace(on("pool-1", "x", 4000), deleted=-61.0)) == 1


def test_pods_that_no_machine_helps_get_none() -> None:
    assert asked_for(pending("big", 4001)) == 0
    assert asked_for(pending("big", 4001), pending("small", 1)) == 1
    assert asked_for(pending("cheap", priority=-11)) == 0
    assert asked_for(replace(pending("leaving"), deleted=0.0)) == 0
    assert asked_for() == 0


def test_no_more_machines_are_asked_for_than_the_group_may_have() -> None:
    waiting = [pending(f"web-{n}", 4000) for n in range(10)]
    assert asked_for(*waiting, autoscaler=CA.model_copy(update={"max_nodes": 3})) == 3
    assert asked_for(*waiting, *group(1, 2), *[on(f"pool-{n}", f"old-{n}", 4000) for n in (1, 2)]) == 10
    assert asked_for(*waiting, *group(1, 2), autoscaler=CA.model_copy(update={"max_nodes": 2})) == 0
    assert asked_for(*waiting, autoscaler=CA.model_copy(update={"max_nodes": 0})) == 0


def test_pods_that_must_stand_apart_take_a_machine_each_and_a_node_takes_so_many_pods() -> None:
    assert asked_for(*(pending(f"web-{n}", 10, apart=True) for n in range(5))) == 5
    assert asked_for(*(pending(f"web-{n}", 10) for n in range(221))) == 3
    assert asked_for(pending("a", 10, apart=True, app="a"), pending("b", 10, apart=True, app="b")) == 1


def test_a_group_in_one_zone_cannot_help_pods_that_must_spread_over_zones() -> None:
    """Three zones, of which c is lost and has no room: one more in a or b would skew by 2."""
    spread: dict[str, Any] = {"spread": "zone", "must_spread": True}
    nodes = [Node("a", "a", created=OLD), Node("b", "b", created=OLD), Node("c", "c", ready="Unknown", created=OLD)]
    there = [on("a", "web-1", 4000, **spread), on("b", "web-2", 4000, **spread)]
    in_a, in_c = (CA.model_copy(update={"zone": zone}) for zone in "ac")
    assert asked_for(*nodes, *there, pending("web-3", **spread), autoscaler=in_a) == 0
    assert asked_for(*nodes, *there, pending("web-3", **spread), autoscaler=in_c) == 1
    assert asked_for(*nodes, *there, pending("web-3", spread="zone"), autoscaler=in_a) == 1
    # On hosts a new machine is a new domain.
    hosts: dict[str, Any] = {"spread": "host", "must_spread": True}
    assert asked_for(*(pending(f"web-{n}", 10, **hosts) for n in range(3))) == 1


def test_what_was_asked_for_is_not_asked_for_again_while_nobody_has_seen_it() -> None:
    """The cache lags: machines that were created, or may have been, are not in it for a minute."""
    store = ObjectStore()
    put(store, *(pending(f"web-{n}", 4000) for n in range(3)))
    controller = ClusterAutoscalerController(CA)
    ((one, two, three),) = controller.plan("", store, 0.0).batches
    real = ObjectStore()
    controller.answered("", one, real.apply(one, 0.0)[0])
    controller.answered("", two, None)
    controller.answered("", three, Refused("forbidden"))
    ((again,),) = controller.plan("", store, 10.0).batches
    assert isinstance(again, Create) and again.thing.name == "pool-4"  # no name is used twice
    controller.answered("", again, real.apply(again, 10.0)[0])
    assert controller.plan("", store, 60.0).batches == ()
    # What never shows up is forgotten in the end.
    assert controller.plan("", store, 900.0).batches == ()
    ((first, second),) = controller.plan("", store, 905.0).batches
    assert [each.thing.name for each in (first, second)] == ["pool-5", "pool-6"]  # type: ignore[union-attr]


def play(
    controller: Controller,
    store: ObjectStore,
    until: float,
    each: Callable[[float], None] = lambda now: None,
    first: float = 0.0,
) -> list[tuple[float, Request]]:
    """Scan every ten seconds; what was done, and when."""
    done = []
    for n in range(round((until - first) / 10.0) + 1):
        now = first + 10.0 * n
        done += [(now, request) for request in scan(controller, store, now)]
        each(now)
    return done


def test_machines_that_do_not_come_are_given_up_and_asked_for_again_ever_later() -> None:
    """One scan until it is seen to have no node, more than 900 s, and then 5, 10, 20, 30, 30 minutes of back-off."""
    store = ObjectStore()
    put(store, pending("web"))
    done = play(ClusterAutoscalerController(CA), store, 13_000.0)
    created = [now for now, request in done if isinstance(request, Create)]
    deleted = [now for now, request in done if isinstance(request, Delete)]
    expected = [0.0]
    for wait in (300.0, 600.0, 1200.0, 1800.0, 1800.0):
        expected.append(expected[-1] + 10.0 + 910.0 + wait)
    assert created == expected
    assert deleted[: len(expected) - 1] == [at + 920.0 for at in expected[:-1]]
    assert not set(created) & set(deleted)


def test_a_machine_that_came_ends_the_back_off() -> None:
    store = ObjectStore()
    put(store, pending("web", 4000))
    controller = ClusterAutoscalerController(CA)
    seen: list[float] = []

    def provider(now: float) -> None:
        machines = list(store.all(Machine))
        seen.extend([now] * (len(machines) > len(seen)))
        if now == 1300.0:  # the second comes, and holds the pod; then there is another pod
            put(store, Node(machines[0].name, cpu=4000, created=now))
            store.apply(Bind(Pod, "web", machines[0].name), now)
        if now == 1400.0:
            put(store, pending("more", 4000))

    done = play(controller, store, 3000.0, provider)
    created = [now for now, request in done if isinstance(request, Create)]
    assert created == [0.0, 1220.0, 1410.0, 1410.0 + 920.0 + 300.0]  # five minutes again


def test_several_that_fail_at_once_are_one_failure() -> None:
    store = ObjectStore()
    put(store, *(pending(f"web-{n}", 4000) for n in range(3)))
    done = play(ClusterAutoscalerController(CA), store, 2000.0)
    assert [now for now, request in done if isinstance(request, Create)] == [0.0] * 3 + [1220.0] * 3


def test_what_was_given_up_is_not_one_that_has_a_node() -> None:
    store = ObjectStore()
    put(store, *group(1), on("pool-1", "web", 4000))
    assert play(ClusterAutoscalerController(CA), store, 3000.0) == []


# -------------------------------------------------------------------------------------------- fewer of them


def shrunk(*things: Any, until: float = 3000.0, autoscaler: ClusterAutoscaler = CA) -> list[tuple[float, Request]]:
    """What is done, where pods that are deleted are gone at the next scan, and nodes with their machines."""
    store = ObjectStore()
    put(store, *things)

    def kubelet(now: float) -> None:
        for pod in list(store.all(Pod)):
            if pod.deleted is not None and pod.deleted < now:
                store.apply(Delete(Pod, pod.name, force=True), now)
        for node in list(store.all(Node)):
            if node.name.startswith("pool-") and store.get(Machine, node.name) is None:
                store.apply(Delete(Node, node.name), now)

    return play(ClusterAutoscalerController(autoscaler), store, until, kubelet)


def gone(done: list[tuple[float, Request]]) -> dict[str, float]:
    """When each machine was let go."""
    return {request.name: now for now, request in done if isinstance(request, Delete) and request.kind is Machine}


def test_a_node_unneeded_for_more_than_ten_minutes_is_drained_and_let_go() -> None:
    done = shrunk(*group(1), Node("static"), on("pool-1", "web"))
    (marked, mark), (evicted, eviction), (let_go, deletion) = done
    assert (marked, evicted, let_go) == (610.0, 610.0, 630.0)
    assert isinstance(mark, Update) and mark.thing.unschedulable and mark.thing.tainted(LEAVING, "NoSchedule")
    assert (eviction, deletion) == (Delete(Pod, "web"), Delete(Machine, "pool-1"))


@pytest.mark.parametrize(("cpu", "goes"), [(1999, True), (2000, False)])
def test_only_a_node_less_than_half_used_is_unneeded(cpu: int, goes: bool) -> None:
    assert bool(gone(shrunk(*group(1), Node("static"), on("pool-1", "web", cpu)))) is goes


def test_a_node_that_is_not_ready_takes_twenty_minutes() -> None:
    assert gone(shrunk(*group(1, ready="Unknown"))) == {"pool-1": 1220.0}
    assert gone(shrunk(*group(1))) == {"pool-1": 620.0}


def test_pods_without_an_owner_or_without_another_place_keep_their_node() -> None:
    assert gone(shrunk(*group(1), Node("static"), on("pool-1", "own", owner=""))) == {}
    assert gone(shrunk(*group(1), on("pool-1", "web"))) == {}
    assert gone(shrunk(*group(1), Node("static", cpu=999), on("pool-1", "web"))) == {}
    apart: dict[str, Any] = {"apart": True}
    assert gone(shrunk(*group(1), Node("static"), on("pool-1", "a", **apart), on("static", "b", **apart))) == {}
    assert set(gone(shrunk(*group(1), Node("static"), on("pool-1", "a"), on("static", "b")))) == {"pool-1"}


def test_the_example_of_the_faq_comes_out_as_it_says() -> None:
    """A, B and C are little used; pods from A fit on X, from B on X, not together, and from C on Y: B stays."""
    store = ObjectStore()
    put(store, *group(1, 2, 3), Node("x"), Node("y"), on("x", "x", 3000, app="x"), on("y", "y", 3500, app="y"))
    # They stand apart, so that none moves to another of the three.
    put(
        store,
        *(on(f"pool-{n}", name, cpu, apart=True) for n, name, cpu in ((1, "a", 800), (2, "b", 900), (3, "c", 400))),
    )

    def move(now: float) -> None:
        for name, to in (("a", "x"), ("c", "y")):
            pod = store.get(Pod, name)
            if pod is not None and pod.deleted is not None and pod.deleted < now:
                store.apply(Delete(Pod, name, force=True), now)
                put(store, replace(pod, name=f"new-{name}", node=to, deleted=None))
        for node in list(store.all(Node)):
            if node.name.startswith("pool-") and store.get(Machine, node.name) is None:
                store.apply(Delete(Node, node.name), now)

    done = play(ClusterAutoscalerController(CA), store, 3000.0, move)
    marks = {request.thing.name: now for now, request in done if isinstance(request, Update)}
    assert marks == {"pool-1": 610.0, "pool-3": 640.0}  # the second once the first has gone
    assert gone(done) == {"pool-1": 630.0, "pool-3": 660.0}


def test_empty_nodes_go_together_and_at_most_ten_at_a_time() -> None:
    done = gone(shrunk(*group(*range(1, 26)), autoscaler=CA.model_copy(update={"min_nodes": 2})))
    assert sorted(done.values()) == [620.0] * 10 + [640.0] * 10 + [660.0] * 3


def test_a_group_is_not_shrunk_below_its_least() -> None:
    for least in (0, 1, 3):
        done = gone(shrunk(*group(1, 2, 3), autoscaler=CA.model_copy(update={"min_nodes": least})))
        assert len(done) == 3 - least


def test_no_node_goes_within_ten_minutes_of_machines_that_were_asked_for() -> None:
    store = ObjectStore()
    put(store, *group(1))

    def provider(now: float) -> None:
        if now == 500.0:
            put(store, pending("big", 4000), pending("other", 4000))
        for machine in store.all(Machine):
            if store.get(Node, machine.name) is None:
                put(store, Node(machine.name, created=now))
        for pod, node in (("big", "pool-1"), ("other", "pool-2")):
            if now == 600.0:
                store.apply(Bind(Pod, pod, node), now)
        if now == 650.0:
            store.apply(Delete(Pod, "other", force=True), now)

    done = play(ClusterAutoscalerController(CA), store, 3000.0, provider)
    assert machines([request for _, request in done]) == ["pool-2"]
    assert gone(done) == {"pool-2": 660.0 + 610.0 + 10.0}


def test_a_node_is_let_go_though_its_pods_will_not_end() -> None:
    store = ObjectStore()
    stuck = replace(on("pool-1", "web"), template=PodTemplate("web", cpu=1000, grace=3600.0))
    put(store, *group(1), Node("static"), stuck)
    done = play(ClusterAutoscalerController(CA), store, 1300.0)
    assert min(now for now, request in done if request == Delete(Machine, "pool-1")) == 610.0 + 600.0


def test_a_controller_that_takes_over_takes_back_the_marks_of_the_last() -> None:
    store = ObjectStore()
    put(store, *group(1), Node("static"), on("pool-1", "web"))
    first = ClusterAutoscalerController(CA)
    play(first, store, 610.0)
    marked = store.get(Node, "pool-1")
    assert marked is not None and marked.unschedulable
    (undo,) = scan(ClusterAutoscalerController(CA), store, 620.0)
    assert isinstance(undo, Update) and not undo.thing.unschedulable and undo.thing.taints == ()


@pytest.mark.parametrize("reply", [None, Refused("conflict")])
def test_a_node_that_was_not_marked_for_certain_is_not_let_go(reply: Refused | None) -> None:
    store = ObjectStore()
    put(store, *group(1))
    controller = ClusterAutoscalerController(CA)
    play(controller, store, 600.0)
    ((mark,),) = controller.plan("", store, 610.0).batches
    controller.answered("", mark, reply)
    ((again,),) = controller.plan("", store, 620.0).batches
    assert isinstance(again, Update)


@pytest.mark.parametrize(
    ("nodes", "unready", "acts"),
    [(3, 3, True), (8, 3, True), (8, 4, False), (20, 9, True), (20, 10, False), (9, 4, True), (7, 4, False)],
)
def test_with_more_than_45_percent_and_three_nodes_not_ready_it_does_nothing(
    nodes: int, unready: int, acts: bool
) -> None:
    store = ObjectStore()
    put(store, *group(1), *(Node(f"n{n}", ready="Unknown", created=OLD) for n in range(unready)))
    put(store, *(Node(f"n{n}", cpu=0) for n in range(unready, nodes - 1)), pending("web", 4000))
    put(store, pending("more", 4000))
    done = scan(ClusterAutoscalerController(CA), store, 0.0)
    assert bool(machines(done)) is acts


def test_nodes_that_have_not_started_yet_do_not_stop_it() -> None:
    waiting = pending("web", 4000)
    young = [Node(f"n{n}", ready="False", created=-899.0) for n in range(10)]
    assert asked_for(*young, waiting) == 1
    assert asked_for(*(replace(node, created=-900.0) for node in young), waiting) == 0


def test_while_it_is_stopped_the_time_of_unneeded_nodes_begins_anew() -> None:
    store = ObjectStore()
    put(store, *group(1), *(Node(f"n{n}", cpu=0, created=OLD) for n in range(4)))

    def outage(now: float) -> None:
        if now in (300.0, 400.0):
            for n in range(4):
                node = store.get(Node, f"n{n}")
                assert node is not None
                store.apply(Update(replace(node, ready="Unknown" if now == 300.0 else "True")), now)

    assert min(gone(play(ClusterAutoscalerController(CA), store, 2000.0, outage)).values()) == 410.0 + 610.0 + 10.0


def test_pods_find_a_place_on_machines_that_come_three_minutes_later() -> None:
    """A whole story: forty pods, a provider that takes 200 s, and a scheduler that fills nodes in order."""
    store = ObjectStore()
    put(store, *(pending(f"web-{n}", 900) for n in range(40)))

    def world(now: float) -> None:
        for machine in store.all(Machine):
            if now - machine.asked >= 200.0 and store.get(Node, machine.name) is None:
                put(store, Node(machine.name, cpu=machine.cpu, created=now))
        for pod in list(store.all(Pod)):
            for node in store.all(Node):
                used = sum(p.template.cpu for p in store.all(Pod) if p.node == node.name)
                if pod.node is None and used + 900 <= node.cpu:
                    store.apply(Bind(Pod, pod.name, node.name), now)
                    break

    done = play(ClusterAutoscalerController(CA), store, 1000.0, world)
    assert [now for now, _ in done] == [0.0] * 10  # four to a node, and never again
    assert all(pod.node is not None for pod in store.all(Pod))


def test_wrong_settings_of_machines_are_named() -> None:
    with pytest.raises(ModelError, match="min_nodes: got 3 with max_nodes 2; it is at most max_nodes"):
        ClusterAutoscaler(name="pool", min_nodes=3, max_nodes=2, cpu=4000)
    with pytest.raises(ModelError, match="cpu: got 0"):
        ClusterAutoscaler(name="pool", min_nodes=0, max_nodes=2, cpu=0)
