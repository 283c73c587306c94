"""Every fault kind: what it does to the world, to the second, and what it refuses to be."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim import faults
from hasim.engines.des import simulate
from hasim.errors import CannotModel
from hasim.faults import (
    DROP,
    PASS,
    ClockJump,
    ClockSkew,
    Copies,
    Crash,
    CutLink,
    Delay,
    DiskFull,
    DiskStall,
    Drain,
    Duplicate,
    ErrorAnswers,
    Fault,
    Held,
    Loss,
    OneWay,
    Partition,
    Pause,
    PowerLoss,
    Rule,
    SlowDisk,
    SlowLink,
    SlowServer,
    Stop,
    Unready,
)
from hasim.model.cluster import Cluster
from hasim.model.laws import Fixed, Lognormal
from hasim.testing import check_fault

WHEN: dict[str, Any] = {"at": "10s", "lasting": "5s"}
NODES = {"zone-a": ("n1", "n2"), "zone-b": ("n3",), "n1": ("n1",), "n2": ("n2",), "n3": ("n3",), "empty": ()}

ONE_OF_EACH: list[Fault] = [
    Crash("n1", **WHEN),
    Pause("n1", **WHEN),
    Partition("n1", **WHEN),
    Partition(sides=[["n1"], ["n2", "n3"]], **WHEN),
    Partition(between=["n1", "n2"], **WHEN),
    OneWay("n1", "n2", **WHEN),
    CutLink("n1", "n2", **WHEN),
    SlowLink("n1", "n2", extra="50ms", **WHEN),
    SlowLink("n1", "n2", extra=Lognormal(mean="50ms", median="30ms"), one_way=True, **WHEN),
    Loss("n1", "n2", share="10%", **WHEN),
    Duplicate("n1", "n2", share=0.1, **WHEN),
    SlowDisk("n1", extra="20ms", **WHEN),
    DiskStall("n1", **WHEN),
    DiskFull("n1", **WHEN),
    ClockSkew("n1", rate=1.01, **WHEN),
    ClockJump("n1", by="2s", back=True, **WHEN),
    PowerLoss("n1", "n2", **WHEN),
    SlowServer("n1", factor=20, **WHEN),
    ErrorAnswers("n1", share="50%", **WHEN),
    Unready("n1", **WHEN),
    Drain("n1", **WHEN),
    Stop("n1", notice="1s", **WHEN),
]


class Scene:
    """A toy world of three nodes in two zones that keeps a list of what holds."""

    transport = "udp"

    def __init__(self) -> None:
        self.holds: list[tuple[Any, ...]] = []
        self.rules: list[Rule] = []
        self.chance = np.random.default_rng(5)

    def nodes_in(self, names: Collection[str]) -> Collection[str]:
        return [node for name in names for node in NODES[name]]

    @contextmanager
    def _hold(self, *what: Any) -> Iterator[None]:
        self.holds.append(what)
        yield
        self.holds.remove(what)

    def held_down(self, target: str, why: str) -> Held:
        return self._hold("down", target, why)

    def powered_off(self, targets: Collection[str]) -> Held:
        return self._hold("dark", *targets)

    def paused(self, node: str) -> Held:
        return self._hold("paused", node)

    @contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        self.rules.append(rule)
        yield
        self.rules.remove(rule)

    def slow_disk(self, node: str, extra: faults.Delays) -> Held:
        return self._hold("slow", node, extra)

    def stalled_disk(self, node: str) -> Held:
        return self._hold("stalled", node)

    def full_disk(self, node: str) -> Held:
        return self._hold("full", node)

    def clock_rate(self, node: str, rate: float) -> Held:
        return self._hold("rate", node, rate)

    def jump_clock(self, node: str, by: float) -> Held:
        return self._hold("jump", node, by)

    def slowed(self, node: str, factor: float) -> Held:
        return self._hold("slowed", node, factor)

    def failing(self, node: str, share: float) -> Held:
        return self._hold("failing", node, share)

    def unready(self, node: str) -> Held:
        return self._hold("unready", node)

    def drained(self, node: str) -> Held:
        return self._hold("drained", node)

    def gracefully(self, nodes: Collection[str]) -> Held:
        return self._hold("gracefully", *nodes)


def during(fault: Fault) -> Scene:
    """The scene while the fault is on; it is checked that nothing holds before and after."""
    before = Scene()
    script = fault.script(before)
    assert next(script) == 10
    assert not before.holds and not before.rules
    assert next(script) == 5
    with pytest.raises(StopIteration):
        next(script)
    assert not before.holds and not before.rules
    scene = Scene()
    script = fault.script(scene)
    next(script)
    next(script)
    _KEPT.append(script)  # else it would be closed here, and heal
    return scene


_KEPT: list[Any] = []


def lost(fault: Fault) -> set[tuple[str, str]]:
    """The pairs (sender, receiver) that do not get through."""
    (rule,) = during(fault).rules
    nodes = ("n1", "n2", "n3")
    chance = np.random.default_rng(1)
    return {(a, b) for a in nodes for b in nodes if a != b and rule(a, b, chance) is DROP}


def both_ways(*links: tuple[str, str]) -> set[tuple[str, str]]:
    return {*links, *((b, a) for a, b in links)}


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: type(fault).__name__)
def test_every_fault_heals_replays_and_leaves_a_mark(fault: Fault) -> None:
    check_fault(fault)


def test_one_of_each_kind_is_judged() -> None:
    kinds = {name for name in faults.__all__ if hasattr(getattr(faults, name), "script")} - {"Fault"}
    assert {type(fault).__name__ for fault in ONE_OF_EACH} == kinds


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (Crash("zone-a", **WHEN), [("down", "zone-a", "crash")]),
        (PowerLoss("n1", "zone-b", **WHEN), [("dark", "n1", "zone-b")]),
        (Pause("zone-a", **WHEN), [("paused", "n1"), ("paused", "n2")]),
        (DiskStall("zone-a", **WHEN), [("stalled", "n1"), ("stalled", "n2")]),
        (DiskFull("n3", **WHEN), [("full", "n3")]),
        (SlowDisk("n3", extra="20ms", **WHEN), [("slow", "n3", faults.Always(0.02))]),
        (SlowDisk("n3", extra=Fixed(value="1s"), **WHEN), [("slow", "n3", Fixed(value="1s"))]),
        (ClockSkew("n3", rate=0.5, **WHEN), [("rate", "n3", 0.5)]),
        (ClockJump("n3", by="2s", **WHEN), [("jump", "n3", 2)]),
        (ClockJump("zone-a", by="2s", back=True, **WHEN), [("jump", "n1", -2), ("jump", "n2", -2)]),
        (Pause("empty", **WHEN), []),
        (SlowServer("zone-a", factor=20, **WHEN), [("slowed", "n1", 20), ("slowed", "n2", 20)]),
        (ErrorAnswers("n3", share="50%", **WHEN), [("failing", "n3", 0.5)]),
        (Drain("zone-a", **WHEN), [("drained", "n1"), ("drained", "n2")]),
        (Unready("zone-a", **WHEN), [("unready", "n1"), ("unready", "n2")]),
        (Stop("zone-a", **WHEN), [("gracefully", "n1", "n2"), ("down", "n1", "stop"), ("down", "n2", "stop")]),
        (Stop("n3", graceful=False, **WHEN), [("down", "n3", "stop")]),
    ],
    ids=str,
)
def test_a_fault_does_its_own_thing_to_all_nodes_of_its_target(fault: Fault, holds: list[Any]) -> None:
    assert during(fault).holds == holds


@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        (Partition("n1", **WHEN), both_ways(("n1", "n2"), ("n1", "n3"))),
        (Partition("n1", "n2", **WHEN), both_ways(("n1", "n3"), ("n2", "n3"))),
        (Partition("zone-a", **WHEN), both_ways(("n1", "n3"), ("n2", "n3"))),
        (Partition(sides=[["n1"], ["n2"]], **WHEN), both_ways(("n1", "n2"), ("n1", "n3"), ("n2", "n3"))),
        (Partition(between=["n1", "zone-b"], **WHEN), both_ways(("n1", "n3"))),
        (Partition(between=[["n1", "n2"], "n3"], **WHEN), both_ways(("n1", "n3"), ("n2", "n3"))),
        (OneWay("n1", "n2", **WHEN), {("n1", "n2")}),
        (OneWay("zone-b", "zone-a", **WHEN), {("n3", "n1"), ("n3", "n2")}),
        (CutLink("n1", "n3", **WHEN), both_ways(("n1", "n3"))),
        (Loss("n1", "n2", share=1.0, **WHEN), both_ways(("n1", "n2"))),
        (Loss("n1", "n2", share="100%", one_way=True, **WHEN), {("n1", "n2")}),
    ],
    ids=lambda given: str(sorted(given) if isinstance(given, set) else given),
)
def test_a_cut_loses_exactly_these_messages(fault: Fault, cut: set[tuple[str, str]]) -> None:
    assert lost(fault) == cut


def test_a_link_loses_the_share_that_was_asked_for() -> None:
    (rule,) = during(Loss("n1", "n2", share="30%", **WHEN)).rules
    chance = np.random.default_rng(2)
    n = 10_000
    dropped = sum(rule("n2", "n1", chance) is DROP for _ in range(n))
    assert abs(dropped - 0.3 * n) < 5 * (n * 0.3 * 0.7) ** 0.5  # five standard errors
    assert all(rule("n1", "n3", chance) is PASS for _ in range(100))


def test_a_link_doubles_the_share_that_was_asked_for() -> None:
    (rule,) = during(Duplicate("n1", "n2", share=0.3, one_way=True, **WHEN)).rules
    chance = np.random.default_rng(3)
    n = 10_000
    doubled = sum(rule("n1", "n2", chance) == Copies(2) for _ in range(n))
    assert abs(doubled - 0.3 * n) < 5 * (n * 0.3 * 0.7) ** 0.5
    assert all(rule("n2", "n1", chance) is PASS for _ in range(100))


def test_a_slow_link_adds_a_plain_duration_to_each_message() -> None:
    (rule,) = during(SlowLink("n1", "n2", extra="50ms", **WHEN)).rules
    chance = np.random.default_rng(4)
    assert rule("n1", "n2", chance) == rule("n2", "n1", chance) == Delay(0.05)
    assert rule("n1", "n3", chance) is PASS


def test_a_slow_link_draws_from_a_law() -> None:
    law = Lognormal(mean="50ms", median="30ms")
    (rule,) = during(SlowLink("n1", "n2", extra=law, one_way=True, **WHEN)).rules
    chance = np.random.default_rng(4)
    delays = [rule("n1", "n2", chance) for _ in range(5)]
    assert delays == [
        Delay(x) for x in [float(law.draw(rng, 1)[0]) for rng in [np.random.default_rng(4)] for _ in delays]
    ]
    assert rule("n2", "n1", chance) is PASS


def test_tcp_delivers_nothing_twice() -> None:
    scene = Scene()
    scene.transport = "tcp"
    with pytest.raises(CannotModel, match="simulate cannot model Duplicate of n1, n2: the nodes talk over tcp"):
        next(Duplicate("n1", "n2", share=0.5, **WHEN).script(scene))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Partition(sides=[["zone-a"], ["n2"]], **WHEN), "n2 stands on two sides"),
        (Partition(between=["zone-a", "n1"], **WHEN), "n1 stands on two sides"),
        (CutLink("zone-a", "n1", **WHEN), "n1 stands at both ends, in zone-a and in n1"),
        (OneWay("n2", "zone-a", **WHEN), "n2 stands at both ends"),
    ],
    ids=str,
)
def test_sides_that_overlap_through_a_zone_are_refused_at_time_zero(fault: Fault, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        next(fault.script(Scene()))


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Pause("n1", at="-1s", lasting="1s"), "at: got '-1s'; a duration is zero or more"),
        (lambda: Pause("n1", at="1s", lasting="0s"), "lasting: got 0.0; give a number above 0"),
        (lambda: Pause("n1", at=1, lasting="1s"), "at: got 1; a duration needs a unit"),
        (lambda: Pause(at="1s", lasting="1s"), "target: is missing"),
        (lambda: Pause("", **WHEN), "target: got ''; give a text that is not empty"),
        (lambda: Pause("n1", **WHEN, until="5s"), "until: unknown key; allowed here: target, at, lasting"),
        (lambda: Partition(**WHEN), "got neither of sides and between"),
        (lambda: Partition("n1", between=["n2", "n3"], **WHEN), "got both of sides and between"),
        (lambda: Partition("n1", sides=[["n2"]], **WHEN), "sides: say either one side by its names or `sides`"),
        (lambda: Partition(sides=[["n1"], []], **WHEN), r"sides\[1\]: is empty; name at least one"),
        (lambda: Partition(sides=[["n1", "n1"]], **WHEN), r"sides\[0\]: names 'n1' twice"),
        (lambda: Partition(sides=[["n1"], ["n2", "n1"]], **WHEN), "'n1' is on two sides"),
        (lambda: Partition(sides="n1", **WHEN), "sides: got 'n1'; give a list of groups"),
        (lambda: Partition(sides=[3], **WHEN), r"sides\[0\]: got 3; give a name or a list of names"),
        (lambda: Partition(between=["n1", "n1"], **WHEN), "'n1' is on two sides"),
        (lambda: Partition(between=["n1"], **WHEN), "between"),
        (lambda: OneWay("n1", "n1", **WHEN), "both ends are 'n1'"),
        (lambda: OneWay("n1", **WHEN), "dst: is missing"),
        (lambda: CutLink("n1", "n1", **WHEN), "link: both ends are 'n1'"),
        (lambda: CutLink("n1", **WHEN), r"link: got \('n1',\); a link has two ends, like 'etcd-1', 'etcd-2'"),
        (lambda: CutLink("n1", "n2", "n3", **WHEN), r"link: got \('n1', 'n2', 'n3'\); a link has two ends"),
        (lambda: CutLink(link="ab", **WHEN), "link: got 'ab'; a link has two ends"),
        (
            lambda: CutLink("n1", "n2", link=["n1", "n3"], **WHEN),
            r"link: got \('n1', 'n2'\) and \['n1', 'n3'\]; say it",
        ),
        (lambda: OneWay("n1", "n2", "n3", **WHEN), "src: got 'n1', 'n2', 'n3'; one direction has a sender and a rec"),
        (lambda: OneWay("n1", dst="n2", src="n3", **WHEN), "src: got 'n1' and 'n3'; say it once"),
        (
            lambda: Pause("n1", "n2", **WHEN),
            "target: got 'n1', 'n2'; this fault strikes one thing, so make one for each",
        ),
        (lambda: Pause("n1", target="n2", **WHEN), "target: got 'n1' and 'n2'; say it once"),
        (lambda: PowerLoss("n1", targets=["n2"], **WHEN), "targets: got .* say it once"),
        (lambda: Loss("n1", "n2", share=1.5, **WHEN), "share: got 1.5; a share is from 0 to 1"),
        (lambda: Loss("n1", "n2", share="-1%", **WHEN), "share: got '-1%'; a share is from 0 to 1"),
        (lambda: Loss("n1", "n2", share=0, **WHEN), "share: got 0.0; give a number above 0"),
        (lambda: Duplicate("n1", "n2", share="200%", **WHEN), "share: got '200%'; a share is from 0 to 1"),
        (lambda: SlowLink("n1", "n2", extra=0.05, **WHEN), "extra: got 0.05; a duration needs a unit.*ha.Lognormal"),
        (lambda: SlowLink("n1", "n2", extra="0s", **WHEN), "extra: got '0s'; a delay of no length is no fault"),
        (lambda: SlowDisk("n1", extra={"fixed": "1s"}, **WHEN), "extra: got {'fixed': '1s'}"),
        (lambda: ClockSkew("n1", rate=1, **WHEN), "rate: got 1; a clock that counts a second a second"),
        (lambda: ClockSkew("n1", rate=0, **WHEN), "rate: got 0; give a number from 0.01 to 100"),
        (lambda: ClockSkew("n1", rate=float("inf"), **WHEN), "rate: got inf"),
        (lambda: ClockSkew("n1", rate=1e6, **WHEN), "rate: got 1000000.0; give a number from 0.01 to 100"),
        (lambda: ClockSkew("n1", rate=True, **WHEN), "rate: got True; give a number from 0.01 to 100"),
        (lambda: ClockSkew("n1", rate="fast", **WHEN), "rate: got 'fast'; give a number"),
        (lambda: ClockJump("n1", by="-2s", **WHEN), "by: got '-2s'; a duration is zero or more"),
        (lambda: ClockJump("n1", by="0s", **WHEN), "by: got 0.0; give a number above 0"),
        (lambda: PowerLoss(**WHEN), "targets: is missing"),
        (lambda: PowerLoss("n1", "n1", **WHEN), "targets: names 'n1' twice"),
        (lambda: PowerLoss(targets=[], **WHEN), "targets: is empty"),
    ],
)
def test_a_wrong_fault_is_refused_where_it_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        make()


def quorum() -> Cluster:
    """Three members on three hosts in two zones."""
    return Cluster(
        name="q",
        topology={"zones": {"zone-a": {"hosts": ["h1", "h2"]}, "zone-b": {"hosts": ["h3"]}}},
        parts={"etcd": {"kind": "quorum", "members": 3, "on": ["h1", "h2", "h3"]}},
        up=["etcd"],
    )


@pytest.mark.parametrize(
    ("fault", "path", "said"),
    [
        (Pause("etcd-9", **WHEN), "during[0]", "the fault names 'etcd-9'"),
        (Partition("etcd1", **WHEN), "during[0]", "did you mean 'etcd-1'"),
        (Partition(sides=[["etcd-1"], ["zone-c"]], **WHEN), "during[0]", "names 'zone-c'"),
        (OneWay("etcd-1", "h9", **WHEN), "during[0]", "names 'h9'"),
        (CutLink("etcd-1", "h9", **WHEN), "during[0]", "names 'h9'"),
        (PowerLoss("h1", "h9", **WHEN), "during[0]", "names 'h9'"),
    ],
    ids=str,
)
def test_a_name_that_is_not_in_the_cluster_is_refused(fault: Fault, path: str, said: str) -> None:
    with pytest.raises(ha.ModelError) as caught:
        quorum().during(fault)
    assert caught.value.problems[0].path == path
    assert said in str(caught.value)


# -------------------------------------------------------------------------- clusters without protocols


def units() -> Cluster:
    """Three parts by the names of the nodes above, which run no protocol."""
    return Cluster(name="u", parts={name: {"kind": "unit"} for name in ("n1", "n2", "n3")}, up=["n1"])


NEED_NODES = [fault for fault in ONE_OF_EACH if not isinstance(fault, Crash | PowerLoss)]


@pytest.mark.parametrize("fault", NEED_NODES, ids=lambda fault: type(fault).__name__)
def test_what_acts_on_protocols_is_refused_by_name_where_there_are_none(fault: Fault) -> None:
    with pytest.raises(CannotModel, match=rf"simulate cannot model {type(fault).__name__} of n1.*`raft: {{}}`"):
        simulate(units().during(fault), over="1m", seed=1)


def test_a_power_loss_takes_all_its_targets_down_at_once() -> None:
    run = simulate(quorum().during(PowerLoss("h1", "zone-b", **WHEN)), over="1m", seed=1)
    for name in ("h1", "h3", "etcd-1", "etcd-3", "etcd"):
        assert run.down(name).tolist() == [[10, 15]], name
    assert run.down("etcd-2").tolist() == []
    assert [fact.at for fact in run.trace.filter(kind="fault begun")] == [10]
