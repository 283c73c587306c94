"""Every fault kind in the world that machines run in: it makes a difference, heals, and does the same again."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from simpy import Event

from hasim.engines.des.world import LeapingEnvironment, World
from hasim.engines.des.world import Watched as AtPlay
from hasim.faults import (
    ClockJump,
    ClockSkew,
    Crash,
    CutLink,
    Delays,
    DiskFull,
    DiskStall,
    Duplicate,
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
)
from hasim.faults import World as Stage
from hasim.machine import Announce, Effect, Fired, Received, Save, Send, SetTimer, Started
from hasim.streams import Streams

WHEN: dict[str, Any] = {"at": "2s", "lasting": "1s"}
NAMES = ("n1", "n2", "n3")

ONE_OF_EACH: list[Fault] = [
    Crash("n1", **WHEN),
    Pause("zone-a", **WHEN),
    Partition("n1", **WHEN),
    Partition(between=["n1", "n2"], **WHEN),
    OneWay("n1", "n2", **WHEN),
    CutLink("n1", "zone-b", **WHEN),
    SlowLink("n1", "n2", extra="20ms", **WHEN),
    Loss("n1", "n2", share="50%", **WHEN),
    Duplicate("n1", "n2", share="50%", **WHEN),
    SlowDisk("n1", extra="20ms", **WHEN),
    DiskStall("n1", **WHEN),
    DiskFull("n1", **WHEN),
    ClockSkew("n1", rate=1.5, **WHEN),
    ClockJump("n1", by="2s", **WHEN),
    PowerLoss("n1", "zone-b", **WHEN),
]


class Beat:
    """Every 100 ms it saves a number and tells the others, with the time of its clock; it announces what it hears."""

    def __init__(self, name: str) -> None:
        self.others = [other for other in NAMES if other != name]
        self.number = 0

    def step(self, event: Any, now: float) -> Sequence[Effect]:
        if isinstance(event, Received):
            return [Announce("heard", f"{event.sender} {event.message}")]
        if isinstance(event, Started):
            self.number = event.saved or 0
        if isinstance(event, Started | Fired):
            self.number += 1
            message = (self.number, round(now, 9))
            sends = [Send(other, message) for other in self.others]
            return [SetTimer("tick", 0.1, 0.1), Save(self.number), *sends]
        return []


class Watched:
    """The world as a fault sees it, with every hold written down."""

    def __init__(self, world: World) -> None:
        self.world: Stage = world
        self.touches: list[Any] = []

    @property
    def transport(self) -> str:
        return self.world.transport

    def nodes_in(self, names: Collection[str]) -> Collection[str]:
        return self.world.nodes_in(names)

    @contextmanager
    def _watch(self, held: Held) -> Iterator[object]:
        with held as touch:
            self.touches.append(touch)
            yield touch

    def held_down(self, target: str, why: str) -> Held:
        return self._watch(self.world.held_down(target, why))

    def powered_off(self, targets: Collection[str]) -> Held:
        return self._watch(self.world.powered_off(targets))

    def paused(self, node: str) -> Held:
        return self._watch(self.world.paused(node))

    def rule(self, rule: Rule) -> Held:
        return self._watch(self.world.rule(rule))

    def slow_disk(self, node: str, extra: Delays) -> Held:
        return self._watch(self.world.slow_disk(node, extra))

    def stalled_disk(self, node: str) -> Held:
        return self._watch(self.world.stalled_disk(node))

    def full_disk(self, node: str) -> Held:
        return self._watch(self.world.full_disk(node))

    def clock_rate(self, node: str, rate: float) -> Held:
        return self._watch(self.world.clock_rate(node, rate))

    def jump_clock(self, node: str, by: float) -> Held:
        return self._watch(self.world.jump_clock(node, by))


class Played:
    """Five seconds of three beating nodes, with a fault or without, which may be closed early."""

    def __init__(self, fault: Fault | None, transport: Any = "udp", close_at: float | None = None) -> None:
        self.facts: list[tuple[Any, ...]] = []
        self.env = LeapingEnvironment()
        self.world = World(self.env, Streams(7), self._note, transport=transport)
        for name in NAMES:
            zone = "zone-b" if name == "n3" else "zone-a"
            self.world.add(name, lambda name=name: Beat(name), lambda saved, record: record, zone=zone)
        for node in self.world.nodes.values():
            node.start()
        self.watched = Watched(self.world)
        if fault is not None:
            self.script = fault.script(self.watched)
            self.env.process(self._play())
            if close_at is not None:
                self.env.timeout(close_at).callbacks.append(lambda _: self.script.close())
        self.env.run(until=5)

    def _note(self, kind: str, subject: str, detail: Any) -> None:
        self.facts.append((self.env.now, kind, subject, detail))

    def _play(self) -> Iterator[Event]:
        for delay in self.script:
            yield self.env.timeout(delay)

    def state(self) -> dict[str, Any]:
        """All that a fault may have left behind, by node."""
        return {
            name: {
                "runs": node.process is not None,
                "paused": node.paused,
                "powered": node.powered,
                "rate": node.clock.rate,
                "disk": (bool(node.disk.extras), bool(node.disk.stalls), bool(node.disk.fulls)),
                "rules": len(self.world.network.rules),
            }
            for name, node in self.world.nodes.items()
        }


@pytest.fixture(scope="module")
def quiet() -> Played:
    return Played(None)


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: type(fault).__name__)
def test_the_world_is_as_before_and_the_fault_has_left_a_mark(fault: Fault, quiet: Played) -> None:
    played = Played(fault)
    assert played.state() == quiet.state()
    assert played.watched.touches
    assert all(touch.touched for touch in played.watched.touches)
    before = [fact for fact in played.facts if fact[0] < 2]
    assert before == [fact for fact in quiet.facts if fact[0] < 2]
    assert played.facts != quiet.facts


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: type(fault).__name__)
def test_the_same_seed_tells_the_same_story(fault: Fault) -> None:
    assert Played(fault).facts == Played(fault).facts


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: type(fault).__name__)
def test_a_fault_that_is_closed_early_heals(fault: Fault, quiet: Played) -> None:
    assert Played(fault, close_at=2.5).state() == quiet.state()


WITHOUT_COPIES = [fault for fault in ONE_OF_EACH if not isinstance(fault, Duplicate)]


@pytest.mark.parametrize("fault", WITHOUT_COPIES, ids=lambda fault: type(fault).__name__)
def test_over_tcp_the_world_is_as_before_too(fault: Fault, quiet: Played) -> None:
    played = Played(fault, transport="tcp")
    assert played.state() == quiet.state()
    assert all(touch.touched for touch in played.watched.touches)
    assert played.facts != quiet.facts


def test_a_full_disk_ends_the_process_that_writes_to_it() -> None:
    played = Played(DiskFull("n1", **WHEN))
    ended = [(at, subject, why) for at, kind, subject, why in played.facts if kind == "process exited"]
    assert [(subject, why) for _, subject, why in ended] == [("n1", "disk full")]
    assert 2 <= ended[0][0] <= 2.1


def heard(played: Played, src: str, dst: str, since: float, until: float) -> int:
    """How many messages of one node another one heard."""
    return sum(
        kind == "heard" and subject == dst and detail.startswith(src) and since <= at < until
        for at, kind, subject, detail in played.facts
    )


def test_during_a_one_way_cut_one_direction_is_silent_and_the_other_is_not() -> None:
    played = Played(OneWay("n1", "n2", **WHEN))
    assert heard(played, "n1", "n2", 2.05, 3) == 0
    assert heard(played, "n2", "n1", 2.05, 3) == heard(played, "n1", "n3", 2.05, 3) > 5
    assert heard(played, "n1", "n2", 3.05, 5) > 15


def test_during_a_pause_a_node_hears_nothing_and_then_all_of_it() -> None:
    played = Played(Pause("n1", **WHEN))
    assert heard(played, "n2", "n1", 2, 3) == 0
    assert heard(played, "n2", "n1", 3, 3.0001) >= 9


def test_a_fast_clock_beats_faster() -> None:
    played, quiet = Played(ClockSkew("n1", rate=1.5, **WHEN)), Played(None)
    assert heard(quiet, "n1", "n2", 2.05, 3) in (9, 10)
    assert heard(played, "n1", "n2", 2.05, 3) >= 14


def test_a_fault_on_a_node_that_is_down_already_has_touched_nothing() -> None:
    class After:
        """A pause inside a crash."""

        targets = ("n1",)

        def script(self, world: Stage) -> Iterator[float]:
            yield 1.0
            with world.held_down("n1", "crash"):
                yield 0.5
                with world.paused("n1"):
                    yield 0.5

    crash, pause = Played(After()).watched.touches  # type: ignore[arg-type]
    assert crash.touched
    assert not pause.touched


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: type(fault).__name__)
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_fault_at_play_that_is_thrown_away_does_nothing_in_its_dead_world(fault: Fault) -> None:
    facts: list[str] = []

    def abandon() -> None:
        env = LeapingEnvironment()
        transport: Any = "udp" if isinstance(fault, Duplicate) else "tcp"
        world = World(env, Streams(7), lambda kind, subject, detail: facts.append(kind), transport=transport)
        for name in NAMES:
            zone = "zone-b" if name == "n3" else "zone-a"
            world.add(name, lambda name=name: Beat(name), lambda saved, record: record, zone=zone)
            world.nodes[name].start()
            skew = world.nodes[name].set_skews  # what heals is seen, even if it says nothing
            world.nodes[name].set_skews = lambda skews, skew=skew: (facts.append("skews"), skew(skews))  # type: ignore
            jump = world.nodes[name].jump
            world.nodes[name].jump = lambda by, jump=jump: (facts.append("jump"), jump(by))  # type: ignore
        remove = world.network.remove_rule
        world.network.remove_rule = lambda number: (facts.append("rule"), remove(number))  # type: ignore
        env.process(AtPlay(world, fault, lambda kind, subject, detail: facts.append(kind)).play())
        env.run(until=2.5)

    gc.collect()
    abandon()
    before = list(facts)
    gc.collect()
    assert "fault begun" in before
    assert facts == before


def test_a_fault_at_play_heals_when_its_script_fails() -> None:
    class Fails:
        """A pause that breaks off."""

        targets = ("n1",)

        def script(self, world: Stage) -> Iterator[float]:
            with world.paused("n1"):
                yield 0.5
                raise KeyError("broken")

    world = Played(None).world
    world.env.process(AtPlay(world, Fails(), lambda *fact: None).play())  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        world.env.run(until=7)
    assert not world.nodes["n1"].paused
