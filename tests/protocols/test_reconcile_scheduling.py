"""The scheduler: where pods go, who goes first, who waits, and what two schedulers do to each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from node_world import NodeWorld

from hasim.protocols.api import Bind, Change, Create, Delete, Done, ObjectStore, Refused, Request, Update
from hasim.protocols.reconcile.admission import admits
from hasim.protocols.reconcile.controller import Plan
from hasim.protocols.reconcile.objects import (
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    Node,
    Pod,
    PodTemplate,
    Taint,
)
from hasim.protocols.reconcile.placing import Occupancy, place
from hasim.protocols.reconcile.scheduling import Scheduler


def standing(*pods: Pod) -> Occupancy:
    occupancy = Occupancy()
    for pod in pods:
        occupancy.put(pod)
    return occupancy


def pod(name: str, node: str | None = None, owner: str = "", **template: Any) -> Pod:
    return Pod(name, PodTemplate(**{"app": "app", **template}), owner, node)


def zoned(*sizes: int, **fields: Any) -> list[Node]:
    """Nodes a0, a1, …, b0, … of zones a, b, …."""
    return [Node(f"{zone}{n}", zone, **fields) for zone, size in zip("abcde", sizes, strict=False) for n in range(size)]


def fill(nodes: list[Node], occupancy: Occupancy, count: int, **template: Any) -> list[str | None]:
    """Where `count` like pods go, one after another."""
    found = []
    for number in range(count):
        each = pod(f"p{number}", owner="set", **template)
        found.append(place(each, nodes, occupancy))
        occupancy.put(replace(each, node=found[-1]))
    return found


# --------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("taint", "tolerates", "fits"),
    [
        (Taint(UNREACHABLE, "NoSchedule"), (), False),
        (Taint(UNREACHABLE, "NoExecute"), (), False),
        (Taint(UNREACHABLE, "NoSchedule"), ((UNREACHABLE, 300.0),), False),
        (Taint(UNREACHABLE, "NoSchedule"), ((NOT_READY, None),), False),
        (Taint(UNREACHABLE, "NoSchedule"), ((UNREACHABLE, None),), True),
        (Taint(UNREACHABLE, "NoExecute"), ((UNREACHABLE, None),), True),
    ],
)
def test_a_tainted_node_takes_only_pods_that_tolerate_it_for_ever(
    taint: Taint, tolerates: tuple[tuple[str, float | None], ...], fits: bool
) -> None:
    nodes = [Node("n", taints=(taint,))]
    assert place(pod("p", tolerates=tolerates), nodes, Occupancy()) == ("n" if fits else None)


def test_a_cordoned_node_takes_only_pods_that_tolerate_cordons() -> None:
    nodes = [Node("n", unschedulable=True)]
    assert place(pod("p"), nodes, Occupancy()) is None
    assert place(pod("p", tolerates=((UNSCHEDULABLE, None),)), nodes, Occupancy()) == "n"


def test_cpu_and_places_are_counted_with_pods_that_terminate_and_without_failed_ones() -> None:
    nodes = [Node("n", cpu=1000)]
    big = pod("big", "n", cpu=600)
    assert place(pod("p", cpu=400), nodes, standing(big)) == "n"
    assert place(pod("p", cpu=401), nodes, standing(big)) is None
    assert place(pod("p", cpu=401), nodes, standing(replace(big, deleted=1.0))) is None
    assert place(pod("p", cpu=401), nodes, standing(replace(big, phase="Failed"))) == "n"
    assert place(pod("p", cpu=1001), nodes, Occupancy()) is None
    few = [Node("n", pods=1)]
    assert place(pod("p", cpu=0), few, standing(big)) is None
    # A node that is full twice over still takes a pod that asks for nothing.
    assert place(pod("p", cpu=0), nodes, standing(big, pod("more", "n", cpu=600))) == "n"


def test_a_pod_counts_where_it_stands_now_and_only_once() -> None:
    nodes = [Node("m", cpu=1000), Node("n", cpu=1000)]
    occupancy = standing(pod("a", "m", cpu=800), pod("a", "m", cpu=800), pod("a", "n", cpu=800))
    assert place(pod("p", cpu=800), nodes, occupancy) == "m"
    assert (occupancy.pods("m"), occupancy.pods("n"), occupancy.cpu("n")) == (0, 1, 800)
    occupancy.drop("a")
    occupancy.drop("a")
    assert (occupancy.pods("n"), occupancy.cpu("n"), dict(occupancy.of(("app", "app")))) == (0, 0, {})


def test_pods_that_want_to_be_apart_are_alone_of_their_app_on_a_host() -> None:
    nodes = zoned(3)
    assert fill(nodes, Occupancy(), 4, apart=True) == ["a0", "a1", "a2", None]
    # Terminating ones still repel, those of other apps do not, and it is mutual.
    leaving = replace(pod("old", "n", apart=True), deleted=1.0)
    assert place(pod("p", apart=True), [Node("n")], standing(leaving)) is None
    assert place(pod("p", app="other", apart=True), [Node("n")], standing(leaving)) == "n"
    assert place(pod("p"), [Node("n")], standing(pod("old", "n", apart=True))) is None
    assert place(pod("p", apart=True), [Node("n")], standing(pod("old", "n"))) is None


def test_hard_spread_keeps_the_skew_of_zones() -> None:
    """Two nodes of zone a, one of b with two places: 2 and 2, and then the skew of 1 allows a third in a only."""
    nodes = [*zoned(2), Node("b0", "b", pods=2)]
    where = fill(nodes, Occupancy(), 6, spread="zone", must_spread=True)
    assert [name and name[0] for name in where] == ["a", "b", "a", "b", "a", None]
    where = fill(nodes, Occupancy(), 7, spread="zone", must_spread=True, max_skew=2)
    assert sum(name is not None for name in where) == 6


def test_a_dead_zone_holds_the_others_down_until_its_nodes_are_removed() -> None:
    """nodeTaintsPolicy Ignore: zone b counts, with none of the app's pods but terminating ones."""
    tainted = (Taint(UNREACHABLE, "NoSchedule"),)
    nodes = [Node("a0", "a"), Node("b0", "b", taints=tainted)]
    occupancy = standing(pod("p0", "a0"), replace(pod("p1", "b0"), deleted=1.0))
    template = {"spread": "zone", "must_spread": True}
    assert place(pod("p", **template), nodes, occupancy) is None
    assert place(pod("p", spread="zone"), nodes, occupancy) == "a0"  # softly, it may
    assert place(pod("p", **template), nodes[:1], occupancy) == "a0"


def test_hard_spread_over_zones_shuns_nodes_without_one() -> None:
    nodes = [Node("n"), Node("z", "a")]
    assert fill(nodes, Occupancy(), 2, spread="zone", must_spread=True) == ["z", "z"]
    assert fill(nodes, Occupancy(), 2, spread="host", must_spread=True) == ["n", "z"]
    assert place(pod("p", spread="zone", must_spread=True), [Node("n")], Occupancy()) is None


def test_no_node_no_place() -> None:
    assert place(pod("p"), [], Occupancy()) is None
    assert place(pod("p", spread="zone", must_spread=True), [], Occupancy()) is None


# ---------------------------------------------------------------------------------------------- scores


def test_pods_of_one_set_spread_over_hosts_and_zones_by_default() -> None:
    nodes = zoned(2, 2, 2)
    where = fill(nodes, Occupancy(), 12)
    assert [sorted(where).count(node.name) for node in nodes] == [2] * 6
    assert sorted(name[0] for name in where[:3] if name) == ["a", "b", "c"]


def test_the_default_spread_counts_pods_of_the_same_owner() -> None:
    """A new revision spreads by itself, whatever the old one left behind; a declared spread counts the whole app."""
    nodes = zoned(1, 1)
    old = standing(*(pod(f"o{n}", "a0", owner="old", cpu=0) for n in range(3)), pod("x", "b0", app="x", cpu=400))
    assert place(pod("p", owner="new"), nodes, old) == "a0"  # 300 to 400 millicores asked for
    assert place(pod("p", owner="old"), nodes, old) == "b0"
    assert place(pod("p", owner="new", spread="host"), nodes, old) == "b0"
    assert place(pod("p"), nodes, old) == "b0"  # nobody's: like all of its app


@pytest.mark.parametrize(
    ("like", "load", "where"), [(1, 0, "b"), (1, 2600, "b"), (1, 2601, "a"), (2, 5700, "b"), (2, 5701, "a")]
)
def test_spread_weighs_against_free_cpu_as_the_plugins_do(like: int, load: int, where: str) -> None:
    """Host a has one or two of the set, host b is loaded; both are of one zone. For one:

    Raw: a is 1 · ln 4 + 2 for the host and 1 · ln 3 + 4 for the zone, 8.5; b is 2 + 5.1 = 7.1. Rounded, 8 and 7;
    scored, 100 · 7 // 8 = 87 and 100; twice that, 174 and 200. Of 10000 millicores a has 9800 left, 98: 272 in all.
    b has 9900 - load left, and with 72 it would draw and lose as the second by name: it needs 73.
    For two: raw 11.0 and 8.2; 72 and 100, so 144 + 97 = 241 against 200, and b needs 42.
    """
    nodes = [Node("a", "z", cpu=10_000), Node("b", "z", cpu=10_000)]
    occupancy = standing(*(pod(f"p{n}", "a", owner="set") for n in range(like)), pod("x", "b", app="x", cpu=load))
    assert place(pod("p", owner="set"), nodes, occupancy) == where


def test_a_node_without_cpu_left_scores_nothing_and_a_node_without_cpu_may_do() -> None:
    occupancy = standing(*(pod(f"q{n}", "m", app=f"q{n}", cpu=0) for n in range(20)))
    nodes = [Node("m", cpu=1000), Node("n", cpu=1000)]
    assert place(pod("p", cpu=0), nodes, occupancy) == "n"  # 20 that ask for none count as 100 each in scores
    assert place(pod("p", cpu=0), [Node("n", cpu=0)], Occupancy()) == "n"
    for number in range(12):
        occupancy.put(pod(f"r{number}", "n", app=f"r{number}", cpu=0))
    assert place(pod("p", cpu=0), nodes, occupancy) == "m"  # no less than nothing is left on either


def test_soft_spread_over_zones_prefers_them_and_leaves_the_rest_to_the_cpu() -> None:
    nodes = [Node("n"), *zoned(1, 1)]
    where = fill(nodes, Occupancy(), 4, spread="zone")
    assert where == ["a0", "b0", "a0", "b0"]
    assert place(pod("p", spread="zone"), [Node("n")], Occupancy()) == "n"


def test_nodes_without_a_zone_weigh_nothing_in_a_declared_spread_over_zones() -> None:
    """ln 4 for two zones: raw 2.8 and 1.4, rounded 3 and 1, scored 33 and 100. With ln 5 it would be 66 and 100."""
    nodes = [Node("n"), *zoned(1, 1)]
    occupancy = standing(*(pod(f"p{n}", where, cpu=0) for n, where in enumerate(("a0", "a0", "b0"))))
    occupancy.put(pod("x", "b0", app="x", cpu=3400))
    assert place(pod("p", spread="zone"), nodes, occupancy) == "b0"


def test_hard_spread_leaves_the_choice_within_its_skew_to_the_cpu() -> None:
    nodes = [Node("a"), Node("b")]
    occupancy = standing(pod("p0", "a"), pod("x", "b", app="x", cpu=200))
    assert place(pod("p", spread="host", max_skew=2, must_spread=True), nodes, occupancy) == "a"
    assert place(pod("p", spread="host", max_skew=2), nodes, occupancy) == "b"


def test_equals_are_taken_by_name_whatever_their_order() -> None:
    nodes = [Node(f"n{number}") for number in range(12)]
    assert place(pod("p"), nodes, Occupancy()) == place(pod("p"), nodes[::-1], Occupancy()) == "n0"


# ----------------------------------------------------------------------------------------------- queue


class Desk:
    """One scheduler, its cache, and the store behind it; news comes when the test says so."""

    def __init__(self, *things: Any, store: ObjectStore | None = None) -> None:
        self.store = store or ObjectStore()
        self.cache = ObjectStore()
        self.scheduler = Scheduler()
        self.news: list[Change] = []
        for thing in things:
            self.do(Create(thing))

    def do(self, request: Request) -> Any:
        reply, change = self.store.apply(request, 0.0)
        if change is not None:
            self.news.append(change)
        return reply

    def hear(self) -> list[str]:
        """Take in all the news; the keys that it calls for."""
        keys: dict[str, None] = {}
        for change in self.news:
            self.cache.restore(change)
            keys.update(dict.fromkeys(self.scheduler.keys(change, self.cache)))
        self.news.clear()
        return list(keys)

    def plan(self, key: str, now: float = 0.0) -> tuple[Bind | None, float | None]:
        """The one Bind, if there is one, and when to look again."""
        batches, again = self.scheduler.plan(key, self.cache, now)
        assert len(batches) <= 1 and all(len(requests) == 1 for requests in batches)
        return (batches[0][0] if batches else None), again  # type: ignore[return-value]

    def turn(self, key: str, now: float = 0.0) -> Any:
        """A plan that is carried out; what was bound where, and the reply."""
        bind, _ = self.plan(key, now)
        if bind is None:
            return None
        reply = self.do(bind)
        self.scheduler.answered(key, bind, reply)
        return bind.name, bind.node, type(reply)


def test_a_pod_is_bound_once_with_one_bind_a_plan() -> None:
    desk = Desk(Node("n"), pod("p"), pod("q"))
    assert desk.hear() == ["p", "q"]
    assert desk.turn("p") == ("p", "n", Done)
    assert desk.plan("p") == (Bind(Pod, "q", "n"), None)
    assert desk.plan("q") == (None, None)
    assert desk.hear() == []
    assert desk.scheduler.period is None


def test_pods_that_are_not_for_the_scheduler_call_for_nothing() -> None:
    desk = Desk(Node("n"), pod("on", "n"), replace(pod("failed"), phase="Failed"), replace(pod("going"), deleted=1.0))
    assert desk.hear() == []
    assert desk.plan("on") == desk.plan("nobody") == (None, None)


def test_the_most_urgent_goes_first_and_the_oldest_of_equals_whosever_turn_it_is() -> None:
    desk = Desk(Node("n", pods=3), *(pod(name, priority=urgent) for name, urgent in dict(a=0, b=5, c=0, d=9).items()))
    keys = desk.hear()
    assert [desk.turn(key)[0] for key in keys[:3]] == ["d", "b", "a"]
    assert desk.turn(keys[3]) is None
    assert desk.scheduler.unschedulable == ("c",)


def test_those_called_for_together_come_by_priority_and_then_by_age() -> None:
    desk = Desk(*(pod(name, priority=urgent) for name, urgent in dict(a=0, b=5, c=0, d=9).items()))
    for key in desk.hear():
        desk.plan(key)
    assert desk.scheduler.unschedulable == ("d", "b", "a", "c")
    desk.do(Create(Node("n")))
    assert desk.hear() == ["d", "b", "a", "c"]


def test_a_pod_that_was_assumed_to_be_somewhere_counts_before_the_news_of_it() -> None:
    desk = Desk(Node("n", cpu=1000), pod("p", cpu=600), pod("q", cpu=600))
    desk.hear()
    assert desk.turn("p") == ("p", "n", Done)
    assert desk.turn("q") is None
    assert desk.scheduler.unschedulable == ("q",)


def test_a_pod_that_fits_nowhere_waits_for_a_change_and_for_its_back_off() -> None:
    """1, 2, 4, 8 and then 10 s from each try; without any change, 5 minutes."""
    desk = Desk(Node("n", cpu=50), pod("p"))
    assert desk.hear() == ["p"]
    now = 0.0
    for wait in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
        assert desk.plan("p", now) == (None, 300.0)
        assert desk.plan("p", now + 0.5) == (None, 299.5)  # nothing has happened: no try
        node = desk.store.get(Node, "n")
        desk.do(Update(replace(node, cpu=node.cpu + 1)))
        assert desk.hear() == ["p"]
        assert desk.plan("p", now + 0.25) == (None, wait - 0.25)
        now += wait
    assert desk.plan("p", now) == (None, 300.0)
    assert desk.plan("p", now + 300.0) == (None, 300.0)  # tried again
    assert desk.scheduler.unschedulable == ("p",)
    desk.do(Update(replace(desk.store.get(Node, "n"), cpu=4000)))
    assert desk.hear() == ["p"]
    assert desk.turn("p", now + 310.0) == ("p", "n", Done)
    assert desk.scheduler.unschedulable == ()


def test_only_changes_that_could_help_call_for_another_try() -> None:
    desk = Desk(Node("n", pods=2), pod("p", apart=True), pod("s", app="s", spread="zone", must_spread=True))
    for each in (pod("a", "n"), pod("b", "n", app="b")):
        desk.do(Create(each))
    for key in desk.hear():
        desk.plan(key)
    assert desk.scheduler.unschedulable == ("p", "s")

    def on(change: Request) -> list[str]:
        desk.do(change)
        return sorted(desk.hear())

    assert on(Update(replace(desk.store.get(Node, "n"), ready="Unknown"))) == []  # a status is no taint
    assert on(Update(replace(desk.store.get(Pod, "a"), ready_at=1.0))) == []
    assert on(Create(pod("c"))) == ["c"]
    assert on(Create(pod("gone"))) == ["gone"] and on(Delete(Pod, "gone")) == []  # it was nowhere
    assert on(Create(pod("t", "n", app="s"))) == ["s"]  # shifts the spread of its app
    for name in ("s", "c"):
        desk.plan(name, 5.0)
    assert on(Update(replace(desk.store.get(Pod, "t"), ready_at=1.0))) == []
    assert on(Delete(Pod, "t")) == ["s"]  # as it ends
    for name in ("s", "c"):
        desk.plan(name, 10.0)
    assert on(Delete(Pod, "a")) == []  # it terminates, and still takes room and repels
    assert on(Delete(Pod, "a", force=True)) == ["c", "p", "s"]
    for name in ("p", "s", "c"):
        desk.plan(name, 20.0)
    assert on(Update(replace(desk.store.get(Pod, "b"), phase="Failed"))) == sorted(desk.scheduler.unschedulable)
    for name in ("p", "s", "c"):
        desk.plan(name, 40.0)
    left = sorted(desk.scheduler.unschedulable)
    assert left and on(Delete(Node, "n")) == left


def test_a_pod_that_vanishes_or_is_bound_by_another_leaves_the_line() -> None:
    desk = Desk(Node("n"), pod("p"), pod("q"), pod("r"))
    keys = desk.hear()
    desk.do(Delete(Pod, "p"))
    desk.do(Bind(Pod, "q", "n"))
    assert desk.hear() == []
    assert [desk.turn(key) for key in keys] == [("r", "n", Done), None, None]
    desk.do(Create(pod("p")))  # another of that name
    assert desk.hear() == ["p"]
    assert desk.turn("p") == ("p", "n", Done)


def test_a_pod_that_is_made_again_is_as_young_as_it_is() -> None:
    desk = Desk(Node("n"), pod("p"), pod("q"))
    desk.hear()
    desk.do(Delete(Pod, "p"))
    desk.do(Create(pod("p")))
    assert desk.hear() == ["p"]
    assert [desk.turn(key) for key in ("p", "q", "p")] == [("q", "n", Done), ("p", "n", Done), None]


def test_a_late_answer_for_an_earlier_pod_of_the_name_changes_nothing() -> None:
    desk = Desk(Node("n"), pod("p"))
    desk.hear()
    bind, _ = desk.plan("p")
    desk.do(Delete(Pod, "p"))
    desk.do(Create(pod("p")))
    desk.hear()
    desk.scheduler.answered("p", bind, Refused("not found"))
    assert desk.plan("p") == (Bind(Pod, "p", "n"), None)
    desk.do(Delete(Pod, "p"))
    desk.do(Create(pod("p", cpu=9999)))
    desk.hear()
    assert desk.plan("p") == (None, 300.0)
    desk.scheduler.answered("p", bind, None)
    assert desk.plan("p", 5.0) == (None, 295.0)


def test_a_pod_that_is_placed_after_five_minutes_is_no_longer_unschedulable() -> None:
    """Nobody told the scheduler of the room; once the pod is bound, changes are none of its business."""
    desk = Desk(Node("n", cpu=50), pod("p"))
    desk.hear()
    assert desk.plan("p") == (None, 300.0)
    desk.cache.restore(Change(None, replace(desk.store.get(Node, "n"), cpu=500)))
    assert desk.turn("p", 300.0) == ("p", "n", Done)
    desk.news.clear()
    desk.do(Create(Node("o")))  # the scheduler knows by itself what it has bound
    assert desk.hear() == []


def test_a_pod_that_was_tried_in_vain_in_anothers_turn_is_tried_again() -> None:
    """low's turn goes to high, whose bind fails; high's turn to low, which does not fit; then low has hope."""
    desk = Desk(Node("n", cpu=1000), pod("low", cpu=2000), pod("high", priority=1))
    high, low = "high", "low"
    assert sorted(desk.hear()) == [high, low]
    bind, _ = desk.plan(low)
    desk.scheduler.answered(low, bind, None)
    assert desk.plan(high, 0.1) == (None, 0.9)  # low is parked; high is due first
    desk.do(Update(replace(desk.store.get(Node, "n"), cpu=5000)))
    assert desk.hear() == [low]
    assert desk.plan(low, 0.2) == (None, 0.8)
    assert desk.plan(low, 1.0) == (Bind(Pod, high, "n"), pytest.approx(0.1))
    assert desk.plan(low, 1.1) == (Bind(Pod, low, "n"), None)


def test_the_turn_that_parks_another_looks_after_it() -> None:
    desk = Desk(Node("n", pods=1), pod("low"), pod("high", priority=1))
    desk.hear()
    assert desk.plan("low") == (Bind(Pod, "high", "n"), None)
    assert desk.plan("high", 7.0) == (None, 300.0)
    assert desk.plan("high", 307.0) == (None, 300.0)
    assert desk.scheduler.unschedulable == ("low",)


def test_a_pod_that_vanishes_from_the_cache_before_the_news_is_worked_off_is_passed_over() -> None:
    desk = Desk(Node("n"), pod("p"), pod("q"))
    keys = desk.hear()
    desk.do(Delete(Pod, "p"))
    for change in desk.news:
        desk.cache.restore(change)
    assert [desk.turn(key) for key in keys] == [("q", "n", Done), None]


def test_news_that_comes_twice_changes_nothing() -> None:
    desk = Desk(Node("n", cpu=1000), pod("p", cpu=400), pod("q", cpu=400))
    desk.news *= 2
    assert desk.hear() == ["p", "q"]
    desk.turn("p")
    desk.news *= 2
    assert desk.hear() == []
    assert desk.turn("q") == ("q", "n", Done)


def test_a_scheduler_that_begins_with_a_full_cache_knows_all_of_it() -> None:
    desk = Desk(Node("n", cpu=1000), pod("on", "n", cpu=600), pod("p", cpu=600), pod("q", cpu=400))
    desk.hear()
    desk.scheduler = Scheduler("next")
    assert desk.plan("q") == (Bind(Pod, "q", "n"), 300.0)  # p was tried first
    assert desk.scheduler.unschedulable == ("p",)
    desk.scheduler = Scheduler("third")
    desk.do(Create(pod("r", priority=1)))
    assert desk.hear() == ["r", "p", "q"]


# ------------------------------------------------------------------------------------- binds that fail


@pytest.mark.parametrize("reply", [Refused("conflict"), Refused("forbidden"), None])
def test_a_pod_that_could_not_be_bound_is_no_longer_assumed_and_tried_again_after_a_second(reply: Any) -> None:
    desk = Desk(Node("n", cpu=1000), pod("p", cpu=600, priority=1), pod("q", cpu=600))
    desk.hear()
    bind, _ = desk.plan("p")
    assert desk.plan("q") == (None, 300.0)
    desk.scheduler.answered("p", bind, reply)
    assert desk.scheduler.unschedulable == ("q",)
    assert desk.plan("p", 0.005) == (None, 0.995)
    # The room that p was thought to take is free: the next news tells q, and q may have it.
    desk.do(Create(pod("x", cpu=0)))
    assert desk.hear() == ["q", "x"]
    assert desk.plan("q", 1.0) == (Bind(Pod, "q", "n"), None)
    assert desk.plan("p", 1.0)[0] == Bind(Pod, "x", "n")  # p was tried first, and fits no more
    assert desk.scheduler.unschedulable == ("p",)


def test_a_turn_that_another_took_in_vain_is_still_owed_to_it() -> None:
    desk = Desk(Node("n"), pod("low"), pod("high", priority=1))
    low, high = desk.hear()
    bind, _ = desk.plan(low)
    assert bind == Bind(Pod, "high", "n")
    desk.scheduler.answered(low, bind, None)
    assert desk.plan(high)[0] == Bind(Pod, "low", "n")
    assert desk.plan(low, 0.5) == (None, 0.5)  # the key comes again: it is the other's turn, in half a second
    assert desk.plan(low, 1.0) == (Bind(Pod, "high", "n"), None)


def test_an_answer_that_comes_after_the_news_of_it_undoes_nothing() -> None:
    """The bind took effect, its answer was lost, and the watch was faster."""
    desk = Desk(Node("n", cpu=1000), pod("p", cpu=600), pod("q", cpu=600))
    desk.hear()
    bind, _ = desk.plan("p")
    desk.do(bind)
    assert desk.hear() == []
    desk.scheduler.answered("p", bind, None)
    assert desk.plan("q") == (None, 300.0)


def test_a_bind_that_took_effect_unheard_is_refused_the_second_time() -> None:
    desk = Desk(Node("n"), Node("o"), pod("p"))
    desk.hear()
    bind, _ = desk.plan("p")
    desk.do(bind)
    desk.scheduler.answered("p", bind, None)
    assert desk.turn("p", 1.0) == ("p", "n", Refused)
    desk.hear()
    assert desk.plan("p", 10.0) == (None, None)
    assert desk.store.get(Pod, "p").node == "n"


# ---------------------------------------------------------------------------------- two schedulers


def test_two_schedulers_never_bind_a_pod_twice_but_fill_a_node_twice_over() -> None:
    """Room for one, two pods, and news that takes 50 ms: the kubelet has the last word, and the owner makes another."""
    world = NodeWorld(lag=0.05)
    world.boot(Node("n", cpu=1000))
    for name in ("one", "two"):
        world.lead(Scheduler(name))
    world.run(1.0)
    for name in ("p", "q"):
        world.pod(name, template=PodTemplate(name, cpu=600))
    world.run(60.0)
    on = [each for each in world.store.all(Pod) if each.node == "n"]
    assert [each.name for each in on] == ["p", "q"]
    binds = [change.key for _, change in world.changes if change.before and change.before != change.after]
    assert binds.count((Pod, "p")) == binds.count((Pod, "q")) == 1
    node = world.store.get(Node, "n")
    assert node is not None
    assert admits(node, [], on[0]) is None
    assert admits(node, on, on[1]) == "OutOfcpu"


def test_one_scheduler_fills_no_node_twice_over_however_late_its_news() -> None:
    world = NodeWorld(lag=5.0)
    world.boot(Node("n", cpu=1000))
    scheduler = Scheduler()
    world.lead(scheduler)
    world.run(10.0)
    for name in ("p", "q"):
        world.pod(name, template=PodTemplate(name, cpu=600))
    world.run(60.0)
    assert [each.node for each in world.store.all(Pod)] == ["n", None]
    assert scheduler.unschedulable == ("q",)


@pytest.mark.parametrize(("schedulers", "lost"), [(1, 0.0), (1, 0.2), (2, 0.2)])
@pytest.mark.parametrize("lag", [0.0, 0.05, 2.0])
def test_in_the_end_every_pod_that_fits_is_bound_whatever_happened(schedulers: int, lost: float, lag: float) -> None:
    """Random pods and cordons; a fifth of the binds is not done, and of the others a share `lost` not answered.

    One scheduler fills no node twice over, unless answers are lost: it may then give away room that is taken.
    """
    for seed in range(4):
        rng = np.random.default_rng(seed)
        world = NodeWorld(lag=lag)
        for node in [*zoned(2, 2, 1, cpu=1500, pods=8), Node("n", cpu=500)]:
            world.boot(node)
        crew = [Scheduler(f"s{number}") for number in range(schedulers)]
        for scheduler in crew:
            world.lead(scheduler)
        world.refuse = lambda request, rng=rng: isinstance(request, Bind) and bool(rng.random() < 0.2)
        world.lose = lambda request, rng=rng: isinstance(request, Bind) and bool(rng.random() < lost)
        for _ in range(120):
            disturb(world, rng)
            world.run(world.now + rng.exponential(1.0))
        world.refuse = world.lose = lambda request: False
        world.run(world.now + 700.0)
        assert_settled(world, crew, twice=bool(lost))


def disturb(world: NodeWorld, rng: np.random.Generator) -> None:
    """Something happens."""
    what, pods = rng.random(), list(world.store.all(Pod))
    if what < 0.55:
        spread = rng.choice(["", "zone", "host"])
        template = PodTemplate(
            f"app{rng.integers(3)}",
            cpu=int(rng.choice([0, 100, 300, 700])),
            priority=int(rng.integers(2)),
            spread=str(spread) or None,  # type: ignore[arg-type]
            must_spread=bool(rng.random() < 0.5),
            apart=bool(rng.random() < 0.2),
        )
        world.pod(f"p{world.now:.6f}", template=template)
    elif what < 0.85 and pods:
        world.ask(Delete(Pod, pods[int(rng.integers(len(pods)))].name, force=bool(rng.random() < 0.8)))
    else:
        nodes = list(world.store.all(Node))
        node = nodes[int(rng.integers(len(nodes)))]
        world.ask(Update(replace(node, unschedulable=not node.unschedulable)))


def assert_settled(world: NodeWorld, crew: list[Scheduler], twice: bool) -> None:
    nodes, pods = list(world.store.all(Node)), list(world.store.all(Pod))
    occupancy = standing(*pods)
    waiting = [each for each in pods if each.node is None]
    assert [each.name for each in waiting if place(each, nodes, occupancy)] == []
    for scheduler in crew:
        assert set(scheduler.unschedulable) == {each.name for each in waiting}
    for node in nodes:
        assert twice or (occupancy.cpu(node.name) <= node.cpu and occupancy.pods(node.name) <= node.pods)


# ---------------------------------------------------------------------------------------- admission


def test_the_kubelet_admits_what_there_is_room_for() -> None:
    node = Node("n", cpu=1000, pods=3)
    a, b = pod("a", "n", cpu=500), pod("b", "n", cpu=500)
    assert admits(node, [a], b) is None
    assert admits(node, [a], pod("c", "n", cpu=501)) == "OutOfcpu"
    assert admits(node, [a, b], pod("c", "n", cpu=0)) is None
    assert admits(node, [a, b, pod("c", cpu=0)], pod("d", "n", cpu=900)) == "OutOfpods"  # the first of two reasons
    assert admits(node, [replace(a, deleted=1.0)], pod("c", "n", cpu=501)) == "OutOfcpu"
    assert admits(node, [replace(a, phase="Failed")], pod("c", "n", cpu=501)) is None
    assert admits(node, [a, b], b) is None  # itself is no other


def test_plans_of_an_idle_scheduler_are_empty() -> None:
    assert Scheduler().plan("p", ObjectStore(), 0.0) == Plan()
