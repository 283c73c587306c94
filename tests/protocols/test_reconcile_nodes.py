"""Nodes that fall silent: the controllers, played with kubelets of random phases, against the closed forms.

Samples are judged by Kolmogorov and Smirnov at the level 1e-3, by their mean within four standard errors, and by the
bounds of the law, which none may leave.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from node_world import NodeWorld
from scipy import stats

from hasim.errors import ModelError
from hasim.protocols.api import Change, Delete, Update
from hasim.protocols.reconcile.controller import Plan
from hasim.protocols.reconcile.node_laws import PassDelay, deleted_at, not_ready, tainted_at
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycle, NodeLifecycleController
from hasim.protocols.reconcile.objects import (
    NOT_READY,
    OUT_OF_SERVICE,
    UNREACHABLE,
    Node,
    NodeLease,
    Pod,
    PodTemplate,
    Taint,
)
from hasim.protocols.reconcile.taint_eviction import TaintEviction
from hasim.protocols.reconcile.zones import TokenBucket, state_of
from hasim.units import s

LEVEL = 1e-3
DEFAULTS = NodeLifecycle()


def judge(times: npt.NDArray[np.float64], law: PassDelay) -> None:
    slack = 1e-6  # sums of floats, and the rounding that the controller allows itself
    assert law.low - slack <= times.min() <= times.max() <= law.high + slack
    assert abs(times.mean() - law.mean) <= 4 * np.sqrt(law.variance / len(times))
    assert stats.kstest(law.cdf(times), "uniform").pvalue > LEVEL


def became_unknown(change: Change) -> bool:
    before, after = change
    return isinstance(after, Node) and before is not None and (before.ready, after.ready) == ("True", "Unknown")


def was_tainted(change: Change, effect: str = "NoExecute") -> bool:
    before, after = change
    return isinstance(after, Node) and before is not None and evicting(after, effect) and not evicting(before, effect)


def evicting(node: Node, effect: str = "NoExecute") -> bool:
    return any(taint.effect == effect for taint in node.taints)


def was_deleted(change: Change) -> bool:
    before, after = change
    return isinstance(before, Pod) and before.deleted is None and (after is None or after.deleted is not None)


def node_of(world: NodeWorld, name: str) -> Node:
    node = world.store.get(Node, name)
    assert node is not None
    return node


def settled(sizes: dict[str, int], rng: np.random.Generator, settings: NodeLifecycle = DEFAULTS) -> NodeWorld:
    """Zones of so many nodes, called a0, a1, …, with phases of their own, after a minute of peace."""
    world = NodeWorld()
    for zone, size in sizes.items():
        for number in range(size):
            world.boot(Node(f"{zone}{number}", zone), 10 * rng.random())
    world.lead(NodeLifecycleController(settings), 5 * rng.random())
    world.run(60 + 10 * rng.random())
    return world


def in_step(sizes: dict[str, int], settings: NodeLifecycle = DEFAULTS) -> NodeWorld:
    """The same, where all kubelets renew at 0 s, 10 s, …, and passes come at 2 s, 7 s, …: all are noticed in one."""
    world = NodeWorld()
    for zone, size in sizes.items():
        for number in range(size):
            world.boot(Node(f"{zone}{number}", zone))
    world.lead(NodeLifecycleController(settings), 2.0)
    world.run(65.0)
    return world


# --------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("version", "grace"), [("1.34", 50), ("1.32", 50), ("v1.32.0", 50), ("1.31", 40), ("v1.31.9", 40), ("2.0", 50)]
)
def test_the_grace_follows_the_version(version: str, grace: float) -> None:
    assert NodeLifecycle(version=version).grace_period == grace
    assert NodeLifecycle(version=version, grace="20s").grace_period == 20.0


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("version", "new"),
        ("version", "1"),
        ("monitor_period", "0s"),
        ("grace", "0s"),
        ("eviction_rate", -0.1),
        ("eviction_rate", float("inf")),
        ("unhealthy_zone_threshold", 1.5),
        ("large_cluster_size", -1),
    ],
)
def test_wrong_settings_are_named(field: str, given: object) -> None:
    with pytest.raises(ModelError, match=rf"^{field}: got "):
        NodeLifecycle(**{field: given})


def test_a_bucket_gives_one_token_and_then_one_each_period() -> None:
    bucket = TokenBucket(0.1, 5.0)
    assert [bucket.take(at) for at in (5.0, 5.0, 14.9, 15.0, 15.0)] == [True, False, False, True, False]
    # Idle hours save up one token, no more.
    assert [bucket.take(at) for at in (4000.0, 4000.0, 4010.0)] == [True, False, True]
    assert not TokenBucket(0.0, 0.0).take(1e9)
    # A nanosecond too early is a rounding error, not another period.
    assert [bucket.take(at) for at in (4019.999999999, 4029.999999999)] == [True, True]


@pytest.mark.parametrize(
    ("ready", "unready", "state"),
    [
        (0, 0, "Normal"),
        (1, 0, "Normal"),
        (0, 1, "FullDisruption"),
        (1, 2, "Normal"),  # two thirds, but fewer than three
        (2, 3, "PartialDisruption"),
        (9, 11, "PartialDisruption"),  # 55 % exactly
        (46, 54, "Normal"),
    ],
)
def test_zones_are_disrupted_from_55_percent_and_three_nodes_on(ready: int, unready: int, state: str) -> None:
    assert state_of(ready, unready, 0.55) == state


# --------------------------------------------------------------------------------------------- not ready


def times_to_not_ready(settings: NodeLifecycle, trials: int, seed: int) -> npt.NDArray[np.float64]:
    """Nodes that crash one by one at random moments, of one world."""
    rng = np.random.default_rng(seed)
    world = NodeWorld()
    crashed = {}
    for number in range(trials):
        name = f"n{number}"
        world.boot(Node(name), 10 * rng.random())
        crashed[name] = 20 + 40 * rng.random()  # four rounds of renewals, so that the age of a lease is uniform
        world.at(crashed[name], lambda name=name: world.crash(name))
    world.lead(NodeLifecycleController(settings), 5 * rng.random())
    world.run(150.0)
    gone = {change.after.name: at for at, change in world.changes if became_unknown(change)}
    assert gone.keys() == crashed.keys()
    return np.array([gone[name] - crashed[name] for name in crashed])


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        (DEFAULTS, 40, 55),
        (NodeLifecycle(version="1.31"), 30, 45),
        (NodeLifecycle(monitor_period=s(2), grace=s(20)), 10, 22),  # kubespray's fast profile, but for its renewals
        (NodeLifecycle(grace=s(23)), 15, 30),  # the fifth pass is the first beyond 23 s
    ],
    ids=["since 1.32", "before 1.32", "fast", "no whole passes"],
)
def test_a_crash_is_noticed_when_the_law_says(settings: NodeLifecycle, low: float, high: float) -> None:
    law = not_ready(settings)
    assert (law.low, law.high, law.mean) == pytest.approx((low, high, (low + high) / 2), rel=1e-12)
    judge(times_to_not_ready(settings, 2000, seed=3), law)


def test_passes_that_take_time_notice_no_sooner_and_little_later() -> None:
    rng = np.random.default_rng(4)
    world = NodeWorld(pass_takes=0.05)
    for number in range(50):
        world.boot(Node(f"n{number}"), 10 * rng.random())
    world.lead(NodeLifecycleController(DEFAULTS))
    world.run(73.21)
    for number in range(50):
        world.crash(f"n{number}")
    world.run(200.0)
    delays = np.array(world.when(became_unknown)) - 73.21
    assert len(delays) == 50
    assert 40 <= delays.min() <= delays.max() <= 55 + 11 * 0.05


def test_a_node_that_lives_is_never_given_up() -> None:
    world = settled({"a": 20}, np.random.default_rng(5))
    world.run(3600.0)
    assert not [change for _, change in world.changes if isinstance(change.after, Node) and change.before is not None]


def test_a_node_and_its_pods_are_given_up_in_one_pass() -> None:
    world = in_step({"a": 2, "b": 1})
    world.pod("here", "a0")
    world.pod("there", "b0")
    world.crash("a0")
    world.run(111.0)
    assert node_of(world, "a0").ready == "True"
    world.run(112.0)  # the pass at 62 s saw the renewal of 60 s
    node, pod = node_of(world, "a0"), world.store.get(Pod, "here")
    assert (node.ready, node.taints) == ("Unknown", (Taint(UNREACHABLE, "NoSchedule", 112.0),))
    assert pod is not None and not pod.ready and pod.phase == "Running"
    other = world.store.get(Pod, "there")
    assert other is not None and other.ready
    world.run(117.0)  # queued, and tainted at once: a token was there
    assert node_of(world, "a0").tainted(UNREACHABLE, "NoExecute") == Taint(UNREACHABLE, "NoExecute", 117.0)


def test_what_could_not_be_written_is_written_later() -> None:
    world = in_step({"a": 2})
    world.pod("p", "a0")
    world.crash("a0")
    world.run(111.9)
    world.refuse = lambda request: isinstance(request, Update) and isinstance(request.thing, Pod)
    world.run(113.0)
    assert (node_of(world, "a0").ready, world.store.get(Pod, "p").ready) == ("Unknown", True)
    world.refuse = lambda request: False
    world.run(115.0)  # its back-off has doubled up to 1.28 s
    assert not world.store.get(Pod, "p").ready


def test_pods_of_a_node_that_is_back_are_no_longer_marked() -> None:
    world = in_step({"a": 2})
    world.pod("p", "a0")
    world.crash("a0")
    world.run(111.9)
    world.refuse = lambda request: isinstance(request, Update) and isinstance(request.thing, Pod)
    world.run(112.5)
    world.revive("a0")
    world.run(117.0)
    world.refuse = lambda request: False
    world.run(140.0)
    assert node_of(world, "a0").ready == "True"
    assert world.store.get(Pod, "p").ready


def test_a_node_that_never_spoke_has_the_grace_of_a_start() -> None:
    world = in_step({"a": 2})
    world.make(Node("new", "a", created=65.0))
    world.run(126.9)
    assert node_of(world, "new").ready == "True"
    world.run(127.0)  # first seen at 67 s
    assert node_of(world, "new").ready == "Unknown"


def test_a_kubelet_that_says_not_ready_is_believed_until_it_says_otherwise() -> None:
    world = in_step({"a": 3})
    world.ask(Update(replace(node_of(world, "a0"), ready="False")))
    world.run(67.0)
    assert [(t.key, t.effect) for t in node_of(world, "a0").taints] == [
        (NOT_READY, "NoSchedule"),
        (NOT_READY, "NoExecute"),
    ]
    world.run(200.0)  # it goes on renewing, which changes nothing
    assert node_of(world, "a0").ready == "False"
    # It falls silent: the keys change, without a token; the new taint is of now.
    world.ask(Update(replace(node_of(world, "a1"), ready="False")))
    world.crash("a0")
    world.run(252.0)
    assert [(t.key, t.at) for t in node_of(world, "a0").taints] == [(UNREACHABLE, 252.0), (UNREACHABLE, 252.0)]
    world.ask(Update(replace(node_of(world, "a1"), ready="True")))
    world.run(257.0)
    assert node_of(world, "a1").taints == ()


def test_a_lease_that_is_seen_for_the_first_time_is_no_sign_of_life() -> None:
    """The controller's cache has the node before the lease; the lease may be an old one."""
    world = NodeWorld()
    world.make(Node("a0", ready="Unknown"))
    world.lead(NodeLifecycleController(DEFAULTS))
    world.run(1.0)
    world.make(NodeLease("a0", renewals=7))
    world.run(20.0)
    assert node_of(world, "a0").ready == "Unknown"
    world.ask(Update(NodeLease("a0", renewals=8)))
    world.run(25.0)
    assert node_of(world, "a0").ready == "True"


def test_taints_of_others_are_left_alone() -> None:
    world = in_step({"a": 2})
    mine = (Taint(OUT_OF_SERVICE, "NoExecute"), Taint("dedicated", "NoSchedule"))
    world.ask(Update(replace(node_of(world, "a0"), taints=mine)))
    world.crash("a0")
    world.run(130.0)
    assert node_of(world, "a0").taints[:2] == mine
    assert len(node_of(world, "a0").taints) == 4
    world.revive("a0")
    world.run(140.0)
    assert (node_of(world, "a0").ready, node_of(world, "a0").taints) == ("True", mine)


# --------------------------------------------------------------------------------------------- taints


def test_nodes_of_a_zone_are_tainted_ten_seconds_apart() -> None:
    """5 of 20 that crash together; the first of them keeps to the law of the first of five."""
    rng = np.random.default_rng(7)
    firsts = []
    for _ in range(150):
        world = settled({"a": 20}, rng)
        began = world.now
        for number in range(5):
            world.crash(f"a{number}")
        world.run(began + 110)
        tainted = np.array(world.when(was_tainted)) - began
        assert np.diff(tainted) == pytest.approx([10, 10, 10, 10], rel=0, abs=1e-6)
        firsts.append(tainted[0])
    law = tainted_at(DEFAULTS, 1, lost=5, size=20)
    assert law is not None
    judge(np.array(firsts), law)
    fifth = tainted_at(DEFAULTS, 5, lost=5, size=20)
    assert fifth == law.later(40)


def test_zones_have_tokens_of_their_own() -> None:
    world = in_step({"a": 5, "b": 5})
    for name in ("a0", "a1", "b0", "b1"):
        world.crash(name)
    world.run(200.0)
    assert world.when(was_tainted) == [117.0, 117.0, 127.0, 127.0]


@pytest.mark.parametrize("rate", [0.3, 1.0, 10.0])
def test_tokens_between_passes_are_given_out_between_passes(rate: float) -> None:
    world = in_step({"a": 20}, NodeLifecycle(eviction_rate=rate))
    for number in range(6):
        world.crash(f"a{number}")
    world.run(200.0)
    assert world.when(was_tainted) == pytest.approx([117 + n / rate for n in range(6)], rel=0, abs=1e-6)


def test_a_queue_is_tried_ten_times_a_second_at_most() -> None:
    world = in_step({"a": 20}, NodeLifecycle(eviction_rate=1000.0))
    for number in range(3):
        world.crash(f"a{number}")
    world.run(200.0)
    assert world.when(was_tainted) == pytest.approx([117.0, 117.1, 117.2], rel=0, abs=1e-6)


def test_a_node_that_says_it_is_ready_while_it_waits_is_not_tainted() -> None:
    world = in_step({"a": 20}, NodeLifecycle(eviction_rate=0.3))
    for number in range(3):
        world.crash(f"a{number}")
    world.run(119.0)
    world.ask(Update(replace(node_of(world, "a1"), ready="True")))
    world.run(121.0)  # its token came at 120.3 s, before any pass
    assert len(world.when(was_tainted)) == 1


def test_news_that_is_later_than_a_pass_taints_nobody_twice() -> None:
    world = NodeWorld(lag=6.0)
    for number in range(5):
        world.boot(Node(f"a{number}", "a"))
    world.lead(NodeLifecycleController(NodeLifecycle(eviction_rate=0.3)), 2.0)
    world.run(65.0)
    for number in range(2):
        world.crash(f"a{number}")
    world.run(300.0)
    written = [at for at, change in world.changes if change.key == (Node, "a0") and change.before is not None]
    assert len(written) == len(set(written))
    assert len(world.when(was_tainted)) == 2
    last = max(world.when(was_tainted))
    assert not [change for at, change in world.changes if at > last and isinstance(change.after, Node)]


def test_a_small_zone_beyond_the_threshold_is_left_alone() -> None:
    """11 of 20 are 55 %: never; 10 of 20: every 10 s."""
    for lost, expected in ((11, 0), (10, 10)):
        world = in_step({"a": 20, "b": 3})
        for number in range(lost):
            world.crash(f"a{number}")
        world.run(3600.0)
        assert len(world.when(was_tainted)) == expected
        assert (tainted_at(DEFAULTS, 1, lost, 20) is None) is (expected == 0)
        assert len(world.when(became_unknown)) == lost


def test_at_most_one_slips_through_before_a_small_zone_is_known_to_be_disrupted() -> None:
    rng = np.random.default_rng(8)
    slips = 0
    for _ in range(40):
        world = settled({"a": 20, "b": 1}, rng)
        for number in range(12):
            world.crash(f"a{number}")
        world.run(world.now + 600)
        tainted = world.when(was_tainted)
        assert len(tainted) <= 1
        # 11 of 20 are the threshold: at the pass that taints, fewer than that had been noticed.
        assert all(world.when(became_unknown)[10] > at for at in tainted)
        slips += len(tainted)
    assert slips


def test_a_large_zone_has_more_than_50_nodes() -> None:
    assert tainted_at(DEFAULTS, 1, lost=40, size=50) is None
    assert tainted_at(DEFAULTS, 1, lost=40, size=51) is not None
    assert [DEFAULTS.rate("PartialDisruption", size) for size in (50, 51)] == [0.0, 0.01]


def test_a_large_zone_beyond_the_threshold_goes_on_at_a_tenth_of_the_rate() -> None:
    world = in_step({"a": 60, "b": 1})
    for number in range(40):
        world.crash(f"a{number}")
    world.run(500.0)
    assert world.when(was_tainted) == [117.0, 217.0, 317.0, 417.0]
    law = tainted_at(DEFAULTS, 4, lost=40, size=60)
    assert law is not None and law.later(-300) == tainted_at(DEFAULTS, 1, lost=40, size=60)
    assert law.low <= 417 - 65 <= law.high


def test_a_whole_zone_that_is_lost_is_evicted_at_the_full_rate_while_another_lives() -> None:
    world = in_step({"a": 4, "b": 1})
    for number in range(4):
        world.crash(f"a{number}")
    world.run(200.0)
    assert world.when(was_tainted) == [117.0, 127.0, 137.0, 147.0]


def test_nodes_without_a_zone_are_one_zone() -> None:
    """Six of ten: a cluster that names no zones stops evicting."""
    world = in_step({"": 10})
    for number in range(6):
        world.crash(f"{number}")
    world.run(1000.0)
    assert not world.when(was_tainted)


def test_when_everything_seems_dead_nobody_is_evicted() -> None:
    """First one zone, then the other; then three nodes come back, the others are evicted from the next token on."""
    world = in_step({"a": 4, "b": 4})
    controller = next(iter(world.controllers))
    for number in range(4):
        world.crash(f"a{number}")
    world.run(95.0)
    for number in range(4):
        world.crash(f"b{number}")
    world.run(141.9)  # zone b is found silent at 142 s
    assert [name for name in world.store.all(Node) if evicting(name)]
    assert controller.zone_states == {"a": "FullDisruption", "b": "Normal"}
    world.run(142.0)
    assert controller.zone_states == {"a": "FullDisruption", "b": "FullDisruption"}
    assert not any(evicting(node) for node in world.store.all(Node))
    assert all(evicting(node, "NoSchedule") for node in world.store.all(Node))
    world.run(1000.0)
    assert not world.when(was_tainted, since=142.0)
    for name in ("a0", "a1", "b0"):
        world.revive(name)
    world.run(1100.0)
    # Seen at 1002 s. The tokens of both zones begin to grow then; zone b is Partial, three of four, and stays.
    assert controller.zone_states == {"a": "Normal", "b": "PartialDisruption"}
    assert world.when(was_tainted, since=142.0) == [1012.0, 1022.0]


def test_on_leaving_full_disruption_all_graces_begin_again() -> None:
    """Two kubelets say that they are not ready, and one of them falls silent then: 50 s from the pass at 62 s."""
    for recovers, unknown_at in ((None, 112.0), (100.0, 152.0)):
        world = in_step({"a": 2})
        for name in ("a0", "a1"):
            world.ask(Update(replace(node_of(world, name), ready="False")))
        world.crash("a1")
        if recovers is not None:  # seen at 102 s
            world.run(recovers)
            world.ask(Update(replace(node_of(world, "a0"), ready="True")))
        world.run(unknown_at - 0.1)
        assert node_of(world, "a1").ready == "False"
        world.run(unknown_at)
        assert node_of(world, "a1").ready == "Unknown"


def test_after_full_disruption_a_zone_that_stays_dead_is_evicted_at_the_full_rate() -> None:
    world = in_step({"a": 1, "b": 3})
    for name in ("a0", "b0", "b1", "b2"):
        world.crash(name)
    world.run(1000.0)
    assert not world.when(was_tainted)
    world.revive("a0")
    world.run(1100.0)
    assert world.when(was_tainted) == [1012.0, 1022.0, 1032.0]


def test_a_zone_without_nodes_keeps_nobody_from_full_disruption() -> None:
    world = in_step({"a": 2, "b": 1})
    world.ask(Delete(Node, "b0"))
    for number in range(2):
        world.crash(f"a{number}")
    world.run(200.0)
    assert next(iter(world.controllers)).zone_states == {"a": "FullDisruption"}
    assert not world.when(was_tainted)


def test_a_cluster_of_one_node_is_never_evicted() -> None:
    world = in_step({"a": 1})
    world.crash("a0")
    world.run(1000.0)
    assert node_of(world, "a0").ready == "Unknown"
    assert not world.when(was_tainted)


def test_a_cluster_without_nodes_has_nothing_to_do() -> None:
    world = NodeWorld()
    controller = NodeLifecycleController(DEFAULTS)
    assert controller.plan("", world.store, 0.0) == Plan()
    assert controller.plan("zone a", world.store, 0.0) == Plan()
    assert controller.zone_states == {}


def test_a_node_that_is_removed_while_it_waits_costs_its_token_and_is_forgotten() -> None:
    world = in_step({"a": 5})
    for number in range(2):
        world.crash(f"a{number}")
    world.run(118.0)
    assert len(world.when(was_tainted)) == 1
    world.ask(Delete(Node, "a1"))
    world.run(200.0)
    assert len(world.when(was_tainted)) == 1


def test_a_node_of_the_same_name_is_a_new_one_with_a_grace_of_its_own() -> None:
    world = in_step({"a": 5})
    world.crash("a1")
    world.run(110.0)  # silent for 50 s in two seconds
    world.ask(Delete(Node, "a1"))
    world.ask(Delete(NodeLease, "a1"))
    world.make(Node("a1", "a", created=110.0))
    world.run(171.9)
    assert node_of(world, "a1").ready == "True"
    world.run(172.0)  # it never spoke: a minute from the pass at 112 s
    assert node_of(world, "a1").ready == "Unknown"


def test_a_taint_that_was_refused_waits_for_another_token() -> None:
    world = in_step({"a": 5})
    world.crash("a0")
    world.run(116.0)
    world.refuse = lambda request: isinstance(request, Update) and evicting(request.thing)
    world.run(118.0)
    world.refuse = lambda request: False
    world.run(150.0)
    # Asked for at 117 s in vain; the retries come sooner than the next token.
    (at,) = world.when(was_tainted)
    assert 127.0 <= at <= 133.0


# --------------------------------------------------------------------------------------- coming back


def test_a_node_that_is_back_before_its_pods_go_keeps_them() -> None:
    world = in_step({"a": 5})
    world.lead(TaintEviction())
    for number in range(2):
        world.pod(f"p{number}", f"a{number}")
        world.crash(f"a{number}")
    world.run(120.0)
    assert evicting(node_of(world, "a0")) and not evicting(node_of(world, "a1"))  # a1 waits for its token
    world.revive("a0", 1.0)
    world.revive("a1", 1.0)
    world.run(122.0)
    for name in ("a0", "a1"):
        assert (node_of(world, name).ready, node_of(world, name).taints) == ("True", ())
    world.run(1000.0)
    assert len(world.when(was_tainted)) == 1
    assert not world.when(was_deleted)


def test_a_new_leader_begins_all_graces_again() -> None:
    world = in_step({"a": 3})
    (old,) = world.controllers
    world.crash("a0")
    world.run(100.0)
    world.fall(old)
    world.run(117.0)
    world.lead(NodeLifecycleController(DEFAULTS))  # its first pass at once
    world.run(166.9)
    assert node_of(world, "a0").ready == "True"
    world.run(167.0)
    assert node_of(world, "a0").ready == "Unknown"


def test_a_new_leader_begins_all_evictions_again_and_takes_no_old_lease_for_life() -> None:
    world = in_step({"a": 5})
    old, eviction = NodeLifecycleController(DEFAULTS), TaintEviction()
    world.fall(next(iter(world.controllers)))
    world.lead(old, 2.0)
    world.lead(eviction)
    for number in range(2):
        world.pod(f"p{number}", f"a{number}")
        world.crash(f"a{number}")
    world.run(200.0)
    assert sum(evicting(node) for node in world.store.all(Node)) == 2
    world.fall(old)
    world.fall(eviction)
    world.run(800.0)  # nobody leads for ten minutes
    world.lead(NodeLifecycleController(DEFAULTS))
    world.lead(TaintEviction())
    world.run(1000.0)
    assert [node_of(world, f"a{number}").ready for number in range(2)] == ["Unknown", "Unknown"]
    assert [evicting(node_of(world, f"a{number}")) for number in range(2)] == [True, True]
    world.run(2000.0)
    # One is tainted by the first pass, the other ten seconds later; both have their 300 s again.
    assert world.when(was_deleted) == [1100.0, 1110.0]


# --------------------------------------------------------------------------------------- taint eviction


def test_pods_are_deleted_when_the_law_says() -> None:
    """One node of two is lost in each of 300 zones."""
    rng = np.random.default_rng(9)
    world = NodeWorld()
    crashed = {}
    for number in range(300):
        for half in "xy":
            world.boot(Node(f"{half}{number}", f"z{number}"), 10 * rng.random())
        world.pod(f"p{number}", f"x{number}")
        crashed[f"p{number}"] = 20 + 40 * rng.random()
        world.at(crashed[f"p{number}"], lambda number=number: world.crash(f"x{number}"))
    world.lead(NodeLifecycleController(DEFAULTS), 5 * rng.random())
    world.lead(TaintEviction())
    world.run(450.0)
    gone = {change.after.name: at for at, change in world.changes if was_deleted(change)}
    assert gone.keys() == crashed.keys()
    law = deleted_at(DEFAULTS, 1, lost=1, size=2)
    assert law is not None and law.mean == pytest.approx(352.5)
    judge(np.array([gone[name] - crashed[name] for name in crashed]), law)


def test_pods_go_as_their_tolerations_say() -> None:
    world = NodeWorld()
    world.boot(Node("a0"))
    world.lead(TaintEviction())
    tolerates = {
        "none": (),
        "a minute": ((UNREACHABLE, 60.0),),
        "for ever": ((UNREACHABLE, None),),
        "zero": ((UNREACHABLE, 0.0),),
        "other": ((NOT_READY, None),),
    }
    for name, tolerated in tolerates.items():
        world.pod(name, "a0", PodTemplate("app", tolerates=tolerated))
    world.run(10.0)
    assert not world.when(was_deleted)
    world.ask(Update(replace(node_of(world, "a0"), taints=(Taint(UNREACHABLE, "NoExecute", 10.0),))))
    world.run(1000.0)
    gone = {change.before.name: at for at, change in world.changes if was_deleted(change)}
    assert gone == {"none": 10.0, "zero": 10.0, "other": 10.0, "a minute": 70.0}
    # A second taint is tolerated by none of them.
    taints = (*node_of(world, "a0").taints, Taint(OUT_OF_SERVICE, "NoExecute", 1000.0))
    world.ask(Update(replace(node_of(world, "a0"), taints=taints)))
    world.run(1001.0)
    assert world.when(was_deleted, since=1000.0) == [1000.0]


def test_the_first_of_two_taints_to_outlast_its_toleration_decides() -> None:
    world = NodeWorld()
    world.boot(Node("a0"))
    world.lead(TaintEviction())
    world.pod("p", "a0", PodTemplate("app", tolerates=((UNREACHABLE, 300.0), ("slow", 50.0))))
    first = Taint(UNREACHABLE, "NoExecute", 0.0)
    world.ask(Update(replace(node_of(world, "a0"), taints=(first,))))
    world.run(100.0)
    world.ask(Update(replace(node_of(world, "a0"), taints=(first, Taint("slow", "NoExecute", 100.0)))))
    world.run(1000.0)
    assert world.when(was_deleted) == [150.0]


def test_a_taint_that_only_keeps_pods_away_drives_none_off() -> None:
    world = NodeWorld()
    world.boot(Node("a0"))
    world.lead(TaintEviction())
    world.pod("p", "a0", PodTemplate("app", tolerates=()))
    world.ask(Update(replace(node_of(world, "a0"), taints=(Taint(UNREACHABLE, "NoSchedule", 0.0),))))
    world.run(1000.0)
    assert not world.when(was_deleted)


def test_a_controller_counts_from_when_it_began_at_the_earliest() -> None:
    world = NodeWorld()
    world.boot(Node("a0", taints=(Taint(UNREACHABLE, "NoExecute", 0.0),)))
    world.pod("p", "a0")
    world.run(500.0)
    world.lead(TaintEviction())
    world.run(2000.0)
    assert world.when(was_deleted) == [800.0]


def test_only_news_of_taints_and_of_places_calls_for_a_look() -> None:
    world = NodeWorld()
    world.boot(Node("a0"))
    for name in ("p", "q"):
        world.pod(name, "a0")
    eviction = TaintEviction()
    node, pod = node_of(world, "a0"), world.store.get(Pod, "p")
    assert pod is not None
    tainted = replace(node, taints=(Taint(UNREACHABLE, "NoExecute", 0.0),))

    def called(before: object, after: object) -> list[str]:
        return list(eviction.keys(Change(before, after), world.store))

    assert called(node, tainted) == called(tainted, node) == called(None, tainted) == ["p", "q"]
    assert called(node, replace(node, ready="Unknown")) == called(None, node) == called(tainted, None) == []
    assert called(None, pod) == called(replace(pod, node=None), pod) == ["p"]
    assert called(pod, replace(pod, ready_at=None)) == called(pod, None) == called(None, NodeLease("a0")) == []


def test_a_pod_is_deleted_once_and_not_a_rounding_error_late() -> None:
    world = NodeWorld()
    world.boot(Node("a0", taints=(Taint(UNREACHABLE, "NoExecute", 0.0),)))
    world.pod("p", "a0")
    eviction = TaintEviction()
    assert eviction.plan("p", world.store, 0.0) == Plan(again=300.0)
    plan = eviction.plan("p", world.store, 299.999999999)
    assert plan.again is None and len(plan.batches) == 1
    world.ask(plan.batches[0][0])
    assert eviction.plan("p", world.store, 300.0) == Plan()


def test_a_pod_that_is_gone_or_has_moved_is_not_deleted_again() -> None:
    world = NodeWorld()
    for name in ("a0", "a1"):
        world.boot(Node(name))
    eviction = TaintEviction()
    world.lead(eviction)
    world.pod("p", "a0")
    world.ask(Update(replace(node_of(world, "a0"), taints=(Taint(UNREACHABLE, "NoExecute", 0.0),))))
    world.run(100.0)
    world.ask(Delete(Pod, "p", force=True))
    world.pod("p", "a1")  # of the same name, elsewhere, as of a StatefulSet
    world.run(1000.0)
    assert world.when(was_deleted) == [100.0]
    assert eviction.plan("nobody", world.store, 1000.0) == Plan()
    world.ask(Delete(Node, "a1"))
    assert eviction.plan("p", world.store, 1000.0) == Plan()  # pods of nodes that are gone are another's business


def test_a_delete_is_for_the_pod_that_was_looked_at() -> None:
    world = NodeWorld()
    world.boot(Node("a0"))
    world.pod("p", "a0", PodTemplate("app", tolerates=()))
    world.ask(Update(replace(node_of(world, "a0"), taints=(Taint(UNREACHABLE, "NoExecute", 0.0),))))
    pod = world.store.get(Pod, "p")
    assert pod is not None
    plan = TaintEviction().plan("p", world.store, 0.0)
    assert plan == Plan(((Delete(Pod, "p", version=pod.version),),))


# --------------------------------------------------------------------------------------- the laws


@pytest.mark.parametrize("nodes", [1, 2, 7])
@pytest.mark.parametrize("renew", [10.0, 3.0])
def test_the_law_of_the_first_is_that_of_uniforms(nodes: int, renew: float) -> None:
    """E T = ∫ (1 - F) and E T² = ∫ 2 t (1 - F), by midpoints; F against draws by Kolmogorov and Smirnov."""
    law = not_ready(DEFAULTS, renew, nodes)
    grid = np.linspace(0.0, law.high, 2_000_001)
    middle, step = (grid[1:] + grid[:-1]) / 2, grid[1]
    tail = 1 - law.cdf(middle)
    mean = float(np.sum(tail) * step)
    assert mean == pytest.approx(law.mean, rel=0, abs=2 * step)
    square = float(np.sum(2 * middle * tail) * step)
    assert square - mean**2 == pytest.approx(law.variance, rel=0, abs=8 * law.high * step)
    assert law.cdf([law.low, law.high]).tolist() == pytest.approx([0.0, 1.0], abs=1e-12)
    rng = np.random.default_rng(12)
    draws = 50 + 5 * rng.random(20_000) - renew * rng.random((20_000, nodes)).max(axis=1)
    judge(draws, law)


def test_the_law_of_one_node_is_a_trapezoid() -> None:
    """U(0, 5) - U(0, 10) + 50: density 1/10 between 45 and 50, and sides that fall to 40 and to 55."""
    law = not_ready(DEFAULTS)
    assert law.cdf([39, 40, 42.5, 45, 47.5, 50, 52.5, 55, 60]) == pytest.approx(
        [0, 0, 0.0625, 0.25, 0.5, 0.75, 0.9375, 1, 1], abs=1e-12
    )
    assert law.variance == pytest.approx((25 + 100) / 12)


def test_the_laws_refuse_what_they_do_not_hold_for() -> None:
    with pytest.raises(ModelError, match="renew: got 0"):
        not_ready(DEFAULTS, renew=0.0)
    with pytest.raises(ModelError, match="nodes: got 0"):
        not_ready(DEFAULTS, nodes=0)
    with pytest.raises(ModelError, match="grace: got 9s with renewals every 20 s"):
        not_ready(NodeLifecycle(grace=s(9)), renew=20.0)
    with pytest.raises(ModelError, match=r"nth: got the 3\. of 2 lost of 5"):
        tainted_at(DEFAULTS, 3, lost=2, size=5)
    quick = NodeLifecycle(eviction_rate=1.0)
    assert tainted_at(quick, 1, lost=2, size=5) is not None
    with pytest.raises(ModelError, match="eviction_rate: got 1 a second"):
        tainted_at(quick, 2, lost=2, size=5)
    assert deleted_at(DEFAULTS, 1, 1, 2, toleration=None) is None
    assert deleted_at(DEFAULTS, 1, 11, 20) is None


def test_leases_of_strangers_are_no_nodes() -> None:
    world = in_step({"a": 2})
    world.make(NodeLease("stranger"))
    world.run(200.0)
    assert [node.name for node in world.store.all(Node)] == ["a0", "a1"]
