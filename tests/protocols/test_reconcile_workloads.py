"""ReplicaSets: what is created and deleted, in which batches and order, and what a cache that lags does to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconciling import Copy, Kubelets, Reconciling

from hasim.protocols.api import Change, Create, Delete, Done, Refused, Request
from hasim.protocols.reconcile.controller import NOTHING
from hasim.protocols.reconcile.objects import Pod, PodTemplate, ReplicaSet, StatefulSet
from hasim.protocols.reconcile.replica_sets import ReplicaSetController, slow_start, victims

WEB = PodTemplate("web")


def web(replicas: int, **fields: Any) -> ReplicaSet:
    return ReplicaSet("web-1", replicas, WEB, **fields)


def pod(name: str, **fields: Any) -> Pod:
    return Pod(name, WEB, owner="web-1", **fields)


def names(requests: tuple[Request, ...]) -> list[str]:
    return [each.thing.name if isinstance(each, Create) else each.name for each in requests]  # type: ignore[union-attr]


def heights(world: Reconciling) -> list[int]:
    """How many active pods there were, after each that came or went."""
    counts = [0]
    for _, change in world.changes:
        if change.key[0] is Pod:
            came, went = (thing is not None and thing.active for thing in (change.after, change.before))
            if came is not went:
                counts.append(counts[-1] + came - went)
    return counts


# ----------------------------------------------------------------------------------- what is planned


def test_missing_pods_are_created_in_batches_that_double() -> None:
    plan = ReplicaSetController("kcm").plan("web-1", Copy(web(10)), 7.0)
    assert [len(each) for each in plan.batches] == [1, 2, 4, 3]
    assert [name for each in plan.batches for name in names(each)] == [f"web-1-kcm-{n}" for n in range(1, 11)]
    assert plan.batches[0] == (Create(Pod("web-1-kcm-1", WEB, owner="web-1", created=7.0)),)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 500, 1000])
def test_slow_start_asks_each_thing_once_and_in_order(count: int) -> None:
    requests: list[Request] = [Delete(Pod, str(n)) for n in range(count)]
    for most in (None, 64):
        batches = slow_start(requests, most)
        assert [each for together in batches for each in together] == requests
        assert all(len(each) == min(2**n, most or 2**n) for n, each in enumerate(batches[:-1]))


def test_of_a_million_missing_pods_five_hundred_are_created_at_a_time() -> None:
    controller = ReplicaSetController("kcm")
    assert sum(map(len, controller.plan("web-1", Copy(web(1_000_000)), 0.0).batches)) == 500
    world = Reconciling()
    world.create(web(1_201))
    loop = world.add(ReplicaSetController("kcm"))
    world.run(1.0)
    assert len(world.active()) == 1_201
    created = Counter(at for at, request, _ in loop.asked if isinstance(request, Create))
    assert list(created.values()) == [500, 500, 201]


def test_surplus_pods_are_deleted_at_once_five_hundred_at_a_time() -> None:
    pods = [pod(f"p{n}") for n in range(700)]
    (together,) = ReplicaSetController("kcm").plan("web-1", Copy(web(0), *pods), 0.0).batches
    assert len(set(together)) == 500


def test_failed_and_terminating_pods_do_not_count() -> None:
    cache = Copy(web(2), pod("a", phase="Failed"), pod("b", node="n1", phase="Running", deleted=1.0), pod("c"))
    (together,) = ReplicaSetController("kcm").plan("web-1", cache, 2.0).batches
    assert [type(each) for each in together] == [Create]


@pytest.mark.parametrize("things", [(), (web(1), pod("a")), (web(0),), (StatefulSet("web-1", 1, WEB),)])
def test_nothing_is_asked_where_nothing_is_missing(things: tuple[Any, ...]) -> None:
    assert ReplicaSetController("kcm").plan("web-1", Copy(*things), 0.0) == NOTHING


def test_pods_of_other_owners_are_left_alone() -> None:
    cache = Copy(web(1), Pod("stray", WEB), Pod("db-0", WEB, owner="db"))
    assert names(ReplicaSetController("kcm").plan("web-1", cache, 0.0).batches[0]) == ["web-1-kcm-1"]
    controller = ReplicaSetController("kcm")
    assert list(controller.keys(Change(None, Pod("db-0", WEB, owner="db")), cache)) == []


def test_an_instance_that_starts_again_passes_over_names_that_are_taken() -> None:
    cache = Copy(web(3), pod("web-1-kcm-1"), pod("web-1-kcm-3", node="n1", deleted=1.0))
    plan = ReplicaSetController("kcm").plan("web-1", cache, 2.0)
    assert [name for each in plan.batches for name in names(each)] == ["web-1-kcm-2", "web-1-kcm-4"]


# ---------------------------------------------------------------------------------- expectations


def test_a_cache_that_lags_does_not_create_twice() -> None:
    world = Reconciling()
    world.create(web(10))
    loop = world.add(ReplicaSetController("kcm"), delay=2.0)
    for second in range(40):  # somebody keeps asking for a look
        world.after(second / 10, lambda: loop.enqueue("web-1"))
    world.run(3.9)
    assert loop.syncs > 20
    world.run(10.0)
    assert max(heights(world)) == len(world.active()) == 10


def test_a_cache_that_lags_does_not_delete_twice() -> None:
    world = Reconciling()
    Kubelets(world)
    world.create(web(10))
    loop = world.add(ReplicaSetController("kcm"), delay=0.7)
    world.run(5.0)
    world.change(ReplicaSet, "web-1", replicas=4)
    for second in range(40):
        world.after(second / 10, lambda: loop.enqueue("web-1"))
    world.run(60.0)
    assert len(world.pods()) == 4
    assert min(heights(world)[10:]) == 4


def test_creations_that_nobody_sees_are_waited_for_during_five_minutes() -> None:
    controller, cache = ReplicaSetController("kcm"), Copy(web(3))
    assert len(controller.plan("web-1", cache, 100.0).batches) == 2
    assert controller.plan("web-1", cache, 250.0) == (((), 150.0))
    assert not controller.plan("web-1", cache, 399.9).batches
    plan = controller.plan("web-1", cache, 400.0)
    assert [name for each in plan.batches for name in names(each)] == [f"web-1-kcm-{n}" for n in (4, 5, 6)]


def test_a_wait_is_never_too_short_to_pass() -> None:
    controller, cache = ReplicaSetController("kcm"), Copy(web(1))
    controller.plan("web-1", cache, 0.0)
    assert controller.plan("web-1", cache, np.nextafter(300.0, 0.0)).again == 0.001


def test_each_pod_seen_lowers_what_is_expected_by_one() -> None:
    controller, cache = ReplicaSetController("kcm"), Copy(web(2))
    controller.plan("web-1", cache, 0.0)
    for name, waiting in (("one", True), ("two", False)):
        cache.hear(Change(None, pod(name)))
        assert list(controller.keys(Change(None, pod(name)), cache)) == ["web-1"]
        assert (controller.plan("web-1", cache, 1.0).again is not None) is waiting


def test_a_deletion_counts_when_the_pod_is_marked_and_not_again_when_it_goes() -> None:
    controller = ReplicaSetController("kcm")
    first, second = pod("a", node="n1", phase="Running"), pod("b", node="n2", phase="Running")
    cache = Copy(web(0), first, second)
    (together,) = controller.plan("web-1", cache, 0.0).batches
    assert sorted(names(together)) == ["a", "b"]
    marked = pod("a", node="n1", phase="Running", deleted=1.0)
    for change in (Change(first, marked), Change(first, marked), Change(marked, None)):
        cache.hear(change)
        list(controller.keys(change, cache))
        assert controller.plan("web-1", cache, 2.0).again is not None  # still waiting for b
    cache.hear(Change(second, None))
    list(controller.keys(Change(second, None), cache))
    assert controller.plan("web-1", cache, 3.0) == NOTHING


def test_a_set_that_comes_back_is_not_held_up_by_what_was_expected_of_the_old_one() -> None:
    controller = ReplicaSetController("kcm")
    controller.plan("web-1", Copy(web(3)), 0.0)
    assert controller.plan("web-1", Copy(), 1.0) == NOTHING
    assert controller.plan("web-1", Copy(web(3)), 2.0).batches


def test_what_fails_and_what_is_left_out_because_of_it_is_not_expected() -> None:
    """A quota of three pods: 1, 2, then all four of the next batch fail, and the last three are not tried."""
    world = Reconciling()
    world.create(web(10))
    world.refuse = lambda request: Refused("forbidden") if len(world.pods()) >= 3 else None
    loop = world.add(ReplicaSetController("kcm"))
    world.run(0.0101)
    assert [type(reply) for _, _, reply in loop.asked] == [Done] * 3 + [Refused] * 4
    # Seven are missing still. Once the three have been seen, one is tried, and again after 5 ms, 10 ms and so on.
    world.run(10.0)
    tries = [at for at, _, _ in loop.asked[7:]]
    assert tries[0] == 0.02
    assert np.diff(tries) == pytest.approx([0.005 * 2**n for n in range(len(tries) - 1)])
    assert len(tries) == 11
    world.refuse = lambda request: None
    world.run(30.0)
    assert max(heights(world)) == len(world.active()) == 10


def test_a_deletion_that_fails_is_not_expected() -> None:
    world = Reconciling()
    Kubelets(world)
    world.create(web(3))
    world.add(ReplicaSetController("kcm"))
    world.run(5.0)
    failures = iter([True] * 4)
    world.refuse = lambda request: Refused("forbidden") if next(failures, False) else None
    world.change(ReplicaSet, "web-1", replicas=1)
    world.run(7.0)
    assert len(world.pods()) == 1


def test_a_creation_whose_answer_is_lost_costs_a_pod_too_many_for_a_while() -> None:
    world = Reconciling()
    world.create(web(1))
    lost = iter([True])
    world.lose = lambda request: next(lost, False)
    world.add(ReplicaSetController("kcm"), delay=0.05)
    world.run(5.0)
    assert max(heights(world)) == 2
    assert len(world.active()) == 1


@settings(max_examples=60, deadline=None)
@given(
    delay=st.floats(0.0, 3.0),
    latency=st.sampled_from([0.0, 0.003, 0.4]),
    sizes=st.lists(st.tuples(st.integers(0, 20), st.floats(0.0, 8.0)), min_size=1, max_size=6),
    fails=st.lists(st.booleans(), max_size=60),
    starts=st.floats(0.0, 5.0),
)
def test_one_controller_comes_to_rest_at_what_was_asked_for_and_never_overshoots(
    delay: float, latency: float, sizes: list[tuple[int, float]], fails: list[bool], starts: float
) -> None:
    """Whatever lags and whatever fails, there are never more pods than the most that was ever asked for."""
    world = Reconciling(latency)
    Kubelets(world, starts=lambda pod: starts)
    world.create(web(sizes[0][0]))
    world.add(ReplicaSetController("kcm"), delay)
    failures = iter(fails)
    world.refuse = lambda request: Refused("forbidden") if next(failures, False) else None
    for replicas, pause in sizes:
        world.change(ReplicaSet, "web-1", replicas=replicas)
        world.run(world.now + pause)
    world.run(world.now + 500.0)
    assert len(world.active()) == sizes[-1][0]
    assert max(heights(world)) <= max(replicas for replicas, _ in sizes)
    if len(sizes) == 1:
        assert not any(change.after is None for _, change in world.changes)


# ---------------------------------------------------------------------------------- delete order

# For each rule: how the pod that goes differs from the one that stays, if all rules above it are equal. Whatever stands
# below the rule speaks for the other.
NOW = 10_000.0
RULES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"node": None}, {"node": "n1"}),
    ({"phase": "Pending"}, {"phase": "Running"}),
    ({"ready_at": None}, {"ready_at": NOW - 1.0}),
    ({"deletion_cost": -5}, {"deletion_cost": 5}),
    ({"node": "crowded"}, {"node": "n1"}),
    ({"ready_at": NOW - 10.0}, {"ready_at": NOW - 5_000.0}),
    ({"restarts": 3}, {"restarts": 0}),
    ({"created": NOW - 20.0}, {"created": NOW - 9_000.0}),
]
ALIKE = {"node": "n1", "phase": "Running", "ready_at": NOW - 1.0, "created": NOW - 9_000.0}


@pytest.mark.parametrize("rule", range(len(RULES)))
def test_the_delete_order_is_that_of_kubernetes_rule_by_rule(rule: int) -> None:
    goes, stays = dict(ALIKE), dict(ALIKE)
    for first, second in reversed(RULES[rule + 1 :]):
        if not {*first} & {*RULES[rule][0]}:
            goes.update(second)
            stays.update(first)
    goes.update(RULES[rule][0])
    stays.update(RULES[rule][1])
    neighbours = Counter({"n1": 1, "crowded": 2})
    for one, other in (("a", "b"), ("b", "a")):
        pods = [pod(one, **goes), pod(other, **stays)]
        assert [each.name for each in victims(pods, neighbours, NOW, 1)] == [one]
        assert [each.name for each in victims(pods[::-1], neighbours, NOW, 1)] == [one]


def test_pods_that_are_not_ready_go_by_restarts_and_then_by_age() -> None:
    pods = [
        pod("old", created=0.0),
        pod("restarted", created=0.0, restarts=1),
        pod("new", created=NOW - 1.0),
    ]
    assert [each.name for each in victims(pods, Counter(), NOW, 3)] == ["restarted", "new", "old"]


def test_pods_that_have_been_ready_about_as_long_go_in_no_order() -> None:
    """KEP-2185: within a power of two of age it is chance; of ages 1.05 to 2 octave the youngest half is not preferred.

    How many of 200 chosen ones out of 400 are among the 200 youngest is hypergeometric: mean 100, variance 25.06.
    """
    octave = 2.0**43 / 1e9  # nanoseconds
    pods = [pod(f"web-1-kcm-{n}", phase="Running", ready_at=NOW - octave * (1.05 + n / 450)) for n in range(400)]
    chosen = {each.name for each in victims(pods, Counter(), NOW, 200)}
    young = sum(each.name in chosen for each in pods[:200])
    assert abs(young - 100) < 4 * (200 * 0.25 * 200 / 399) ** 0.5
    # The next octave is spared altogether.
    older = [pod(f"old-{n}", phase="Running", ready_at=NOW - octave * 2.05) for n in range(9)]
    assert not any(each.name.startswith("old") for each in victims([*older, *pods], Counter(), NOW, 400))


def test_a_pod_whose_clock_is_ahead_counts_as_the_youngest() -> None:
    pods = [pod("past", phase="Running", ready_at=NOW - 1e-9), pod("future", phase="Running", ready_at=NOW + 5.0)]
    assert victims(pods, Counter(), NOW, 1)[0].name == "future"


def running(name: str, owner: str, node: str, **fields: Any) -> Pod:
    return Pod(name, WEB, owner=owner, node=node, phase="Running", ready_at=1.0, **fields)


@pytest.mark.parametrize("beside", ["n1", "n2"])
@pytest.mark.parametrize(
    ("neighbour", "counts"),
    [
        (running("c", "web-2", "", created=1.0), True),  # of another set of the deployment
        (running("c", "web-2", "", deleted=5.0), False),
        (running("c", "web-3", ""), False),  # of another deployment
        (running("c", "", ""), False),
    ],
)
def test_neighbours_are_the_active_pods_of_all_sets_of_the_deployment(
    neighbour: Pod, counts: bool, beside: str
) -> None:
    sets = [ReplicaSet(f"web-{n}", 1, WEB, owner=owner) for n, owner in ((1, "web"), (2, "web"), (3, "other"))]
    mine = {"n1": running("a", "web-1", "n1"), "n2": running("b", "web-1", "n2")}

    def first(*others: Pod) -> str:
        (together,) = ReplicaSetController("kcm").plan("web-1", Copy(*sets, *mine.values(), *others), 9.0).batches
        (name,) = names(together)
        return name

    assert first(replace(neighbour, node=beside)) == (mine[beside].name if counts else first())


# ----------------------------------------------------------------------------------- two at once


def two_at_once(delays: tuple[float, float], latency: float, starts: float) -> Reconciling:
    """Ten replicas, and two instances that both believe they are the one."""
    world = Reconciling(latency)
    Kubelets(world, starts=lambda pod: starts)
    world.create(web(10))
    for name, delay in zip("ab", delays, strict=True):
        world.add(ReplicaSetController(name), delay)
    world.run(300.0)
    return world


def test_two_active_controllers_create_twice_and_both_delete_the_surplus() -> None:
    world = two_at_once((0.05, 0.05), 0.0, 1.0)
    counts = heights(world)
    assert counts[:21] == list(range(21))
    assert counts[20:] == list(range(20, 9, -1))
    created: Counter[str] = Counter()
    deleted: Counter[str] = Counter()
    for loop, name in zip(world.loops, "ab", strict=True):
        for _, request, reply in loop.asked:
            (created if isinstance(request, Create) else deleted)[name] += 1
            assert isinstance(reply, Done) or isinstance(request, Delete)
    assert created == deleted == {"a": 10, "b": 10}
    assert {each.after.name for _, each in world.changes if each.before is None and each.key[0] is Pod} == {
        f"web-1-{name}-{n}" for name, n in product("ab", range(1, 11))
    }


def test_two_active_controllers_oscillate_when_their_caches_differ() -> None:
    """Each deletes what it takes for the surplus, the two of them too much; both create again, until it is right."""
    dips = []
    for one, other, latency in product((0.05, 0.1, 0.3), (0.05, 0.2, 0.5), (0.005, 0.02, 0.05)):
        counts = heights(two_at_once((one, other), latency, 0.3))
        assert max(counts) <= 20
        assert counts[-1] == 10
        dips.append(10 - min(counts[counts.index(max(counts)) :]))
    assert max(dips) >= 3
    assert 5 <= sum(dip > 0 for dip in dips) < len(dips)
