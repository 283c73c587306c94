from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from math import floor
from typing import Any

import numpy as np
import pytest
import simpy
from world_toys import Toy, ToyWorld

from hasim.engines.des.world import LeapingEnvironment, Rhythm, World, leap_together
from hasim.engines.des.world.leaping import common_period
from hasim.faults import DROP, PASS, Always
from hasim.machine import Effect, Event, Fired, Received, Save, Send, SetTimer, Started
from hasim.model.laws import Exponential, Fixed, Law, Lognormal, Uniform
from hasim.streams import Streams

PERIOD = 0.125  # a binary fraction: times add up without rounding, so that two runs can be compared exactly
RHYTHM = Rhythm(PERIOD, PERIOD / 2)


def heartbeats(event: Event, now: float) -> list[Effect]:
    """Each ticks, and pings `b` with every tick; `b` answers."""
    if isinstance(event, Started | Fired):
        return [SetTimer("tick", PERIOD, PERIOD), Send("b", "ping")]
    if isinstance(event, Received) and event.message == "ping":
        return [Send(event.sender, "pong")]
    return []


# -------------------------------------------------------------------------------------------- the event loop


def _chatter(env: simpy.Environment) -> list[tuple[float, str]]:
    """Processes, callbacks, conditions and interrupts, with many events at one time."""
    said: list[tuple[float, str]] = []
    rng = np.random.default_rng(7)

    def talk(name: str) -> Any:
        for turn in range(20):
            try:
                yield env.timeout(int(rng.integers(0, 3)))
                yield env.timeout(1) | env.timeout(2)
            except simpy.Interrupt:
                said.append((env.now, f"{name} interrupted"))
            said.append((env.now, f"{name} {turn}"))

    talkers = [env.process(talk(name)) for name in "abc"]

    def disturb() -> Any:
        yield env.timeout(5)
        talkers[1].interrupt()
        yield talkers[0]
        said.append((env.now, "a is done"))

    env.process(disturb())
    env.run(until=20)
    said.append((env.now, "stopped"))
    env.run()
    return said


def test_the_loop_does_what_that_of_simpy_does() -> None:
    assert _chatter(LeapingEnvironment()) == _chatter(simpy.Environment())


def test_a_run_until_an_event_gives_its_value_and_a_failed_event_is_raised() -> None:
    env = LeapingEnvironment()
    assert env.run(until=env.timeout(3, value="here")) == "here"
    with pytest.raises(ValueError, match="greater than"):
        env.run(until=1)
    env.event().fail(KeyError("lost"))
    with pytest.raises(KeyError):
        env.run()
    with pytest.raises(RuntimeError):
        env.run(until=env.event())


def test_single_steps_do_what_a_run_does() -> None:
    toys, stepped = (ToyWorld("a", "b", react=heartbeats) for _ in range(2))
    toys.run(2.0)
    while stepped.env.peek() < 2.0:
        stepped.env.step()
    assert stepped.heard == toys.heard


def test_a_leap_moves_exactly_the_events_it_is_told_to_and_keeps_ties_in_order() -> None:
    env = LeapingEnvironment()
    seen: list[tuple[float, str]] = []
    moved = set()
    plan = [("x", 1, True), ("fixed", 11, False), ("y", 1, True), ("late", 12, False), ("z", 2, True), ("w", 15, True)]
    for name, delay, moves in (*plan, ("soon", 13, False), ("next", 14, False)):
        event = env.timeout(delay)
        event.callbacks.append(lambda _, name=name: seen.append((env.now, name)))  # type: ignore[misc]
        if moves:
            moved.add(event)
    assert env.next_other(lambda event: event in moved) == 11
    env.leap(10, lambda event: event in moved)
    assert env.now == 10
    env.run()
    assert seen == [(11, "x"), (11, "fixed"), (11, "y"), (12, "late"), (12, "z"), (13, "soon"), (14, "next"), (25, "w")]


def test_no_event_that_stays_is_leapt_over() -> None:
    env = LeapingEnvironment()
    env.timeout(5)
    with pytest.raises(AssertionError):
        env.leap(6, lambda event: False)


# ------------------------------------------------------------------------------------------------ the world


def leaping(toys: ToyWorld, at: float, until: float) -> float:
    toys.run(at)
    end = toys.env.timeout(until - at)  # something irregular
    end.callbacks.append(lambda _: None)
    return toys.world.leap(RHYTHM)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_after_a_leap_all_goes_on_as_if_every_period_had_been_played(transport: str) -> None:
    # With latencies that are always the same: a period is like the next. 1/128 s is on its way at the leap.
    settings = {"react": heartbeats, "transport": transport, "latency": Fixed(value="7812.5us")}
    played, leapt = (ToyWorld("a", "b", "c", **settings) for _ in range(2))  # type: ignore[arg-type]
    played.run(110.0)
    by = leaping(leapt, 10.0 + 1 / 256, 100.0)
    assert by % PERIOD == 0
    assert 100.0 - PERIOD <= leapt.env.now < 100.0
    leapt.run(110.0)
    for name in "abc":
        late = [entry for entry in played.heard[name] if entry[0] > 101.0]
        assert [entry for entry in leapt.heard[name] if entry[0] > 101.0] == late
        assert len(late) > 100
        assert not [at for at, _ in leapt.heard[name] if 10.1 < at < leapt.env.now - 11]


def test_what_is_on_its_way_arrives_as_much_later_as_the_leap_was_long() -> None:
    toys = ToyWorld("a", "b", react=heartbeats, latency=Fixed(value="62.5ms"))
    toys.run(10.0)
    toys.tell("a", Send("b", "on its way"))
    toys.env.timeout(50.0)
    by = toys.world.leap(RHYTHM)
    assert by == 50.0 - PERIOD
    toys.run(70.0)
    assert [at for at, message in toys.messages("b") if message == "on its way"] == [10.0625 + by]


def test_other_timers_end_a_leap_and_come_on_time() -> None:
    def react(event: Event, now: float) -> list[Effect]:
        return [] if event == Fired("request") else heartbeats(event, now)

    toys = ToyWorld("a", "b", react=react)
    toys.run(10.0)
    toys.tell("a", SetTimer("request", 7.0, 7.0))
    by = toys.world.leap(RHYTHM)
    assert 17.0 - 2 * PERIOD <= 10.0 + by < 17.0
    toys.run(20.0)
    assert [at for at, event in toys.heard["a"] if event == Fired("request")] == [17.0]


def test_ticks_keep_their_distance_through_many_leaps() -> None:
    toys = ToyWorld("a", "b", react=heartbeats)
    toys.run(1.0)
    for number in range(20):
        leaping(toys, toys.env.now + 0.3, toys.env.now + 50.0 + number * 0.01)
        toys.run(toys.env.now + 2.0)
    ticks = [at for at, event in toys.heard["a"] if event == Fired("tick")]
    assert ticks[-1] > 900.0
    assert {round((later - earlier) % PERIOD, 9) for earlier, later in pairwise(ticks)} <= {0.0, PERIOD}


def test_the_connection_hears_all_the_time_that_is_leapt_over() -> None:
    toys = ToyWorld("a", "b", react=heartbeats, transport="tcp")
    assert leaping(toys, 10.0, 1000.0) > 980.0
    toys["a"].pause()  # nobody has heard anything for long, but for the leap
    toys.run(toys.env.now + 3.0)
    toys["a"].resume()
    toys.run(1010.0)
    assert [kind for _, kind, _ in toys.links("a")] == ["up"]


def test_a_connection_that_breaks_right_after_a_leap_was_heard_of_just_before_it() -> None:
    toys = ToyWorld("a", "b", react=heartbeats, transport="tcp")
    leaping(toys, 10.0 + 1 / 64, 1000.0)
    cut = toys.env.now
    with toys.world.rule(lambda *_: DROP):
        toys.run(cut + 6.0)
    broken = [at - cut for at, kind, _ in toys.links("a") if kind == "down"]
    assert len(broken) == 1
    assert 5.0 - PERIOD <= broken[0] <= 5.0


TROUBLES: dict[str, Callable[[ToyWorld], Any]] = {
    "a rule": lambda toys: toys.world.rule(lambda *_: PASS),
    "a pause": lambda toys: toys.world.paused("a"),
    "a full disk": lambda toys: toys.world.full_disk("a"),
    "a slow disk": lambda toys: toys.world.slow_disk("a", Always(0.01)),
    "a stalled disk": lambda toys: toys.world.stalled_disk("a"),
    "a fast clock": lambda toys: toys.world.clock_rate("a", 1.5),
    "a sync under way": lambda toys: nullcontext(toys.tell("a", Save("x"))),
    "a connection being dialled": lambda toys: nullcontext((toys["a"].crash(), toys["a"].start())),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_there_is_no_leap_while_there_is_trouble(trouble: str) -> None:
    toys = ToyWorld("a", "b", react=heartbeats, transport="tcp", fsync=Fixed(value="10ms"))
    toys.run(9.999)
    with TROUBLES[trouble](toys):
        assert leaping(toys, 10.0, 100.0) == 0
    assert leaping(toys, 20.0, 100.0) > 0


@pytest.mark.parametrize(
    ("latency", "leaps"),
    [
        (Uniform(low="1ms", high="62ms"), True),
        (Uniform(low="1ms", high="63ms"), False),
        (Exponential(mean="3ms"), True),  # 9e-10 of the messages take longer than 62.5 ms, two in a period
        (Exponential(mean="5ms"), False),  # 4e-6
        (Lognormal(mean="1ms", median="0.5ms"), False),
    ],
)
def test_there_is_no_leap_where_late_messages_are_to_be_expected(latency: Law, leaps: bool) -> None:
    rhythm = Rhythm(PERIOD, PERIOD / 2, messages=2)
    toys = ToyWorld("a", "b", react=heartbeats, latency=latency)
    toys.run(10.0)
    toys.env.timeout(90.0)
    assert (toys.world.leap(rhythm) > 0) == leaps


def test_a_leap_ends_before_a_late_message_is_to_be_expected() -> None:
    toys = ToyWorld("a", "b", react=heartbeats, latency=Exponential(mean="3ms"))
    toys.run(10.0)
    toys.env.timeout(1000.0)
    by = toys.world.leap(Rhythm(PERIOD, PERIOD / 2, messages=2))
    expected = np.exp(-62.5 / 3) * 2 * by / PERIOD
    assert 0.99e-6 < expected <= 1e-6


@pytest.mark.parametrize(
    ("periods", "common"),
    [
        ([1.0], 1.0),
        ([1.0, 1.5], 3.0),
        ([0.1 * 12, 1.0], 6.0),
        ([0.3, 0.7, 1.0], 21.0),
        ([0.123456789123456], 0.123456789123456),
        ([0.123456789123456, 1.0], None),
    ],
)
def test_periods_have_a_common_one_if_they_are_fractions(periods: list[float], common: float | None) -> None:
    assert common_period(periods) == common


def test_two_worlds_of_one_environment_leap_together() -> None:
    one, other = ToyWorld("a", "b", react=heartbeats), ToyWorld("a", "b", react=heartbeats)
    other.env = one.env
    other.world = World(one.env, Streams(1), other._note, transport="tcp", latency=Fixed(value="1ms"))
    for name in "ab":
        other.heard[name].clear()
        other.world.add(name, lambda heard=other.heard[name]: Toy(heard, heartbeats), lambda saved, record: None)
        other[name].start()
    one.run(10.0)
    one.env.timeout(100.0)
    parts = [(one.world, Rhythm(PERIOD, 0.1)), (other.world, Rhythm(3 * PERIOD, 0.1))]
    with other.world.paused("a"):
        assert leap_together(parts) == 0
    one.run(20.0)
    assert leap_together(parts) == floor(90.0 / (3 * PERIOD) - 1e-9) * 3 * PERIOD
    one.run(one.env.now + 5.0)
    for toys in (one, other):
        assert len([at for at, event in toys.heard["a"] if event == Fired("tick") and at > 100.0]) >= 39


def test_there_is_no_leap_without_an_end_or_shorter_than_a_period() -> None:
    toys = ToyWorld("a", "b", react=heartbeats)
    toys.run(10.0)
    toys.env.timeout(PERIOD / 2)
    assert toys.world.leap(RHYTHM) == 0
    toys.run(11.0)
    toys.env.run(until=toys.env.timeout(1.0))
    assert toys.world.leap(RHYTHM) == 0


def test_a_node_that_is_down_does_not_keep_the_rest_from_leaping() -> None:
    toys = ToyWorld("a", "b", "c", react=heartbeats, transport="tcp")
    toys.run(5.0)
    toys["c"].power_off()
    assert leaping(toys, 20.0, 1000.0) > 970.0
