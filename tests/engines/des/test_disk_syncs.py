"""A disk has one event for all its syncs: one that was given up must not end the next."""

from __future__ import annotations

from itertools import repeat

from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.disk import Disk
from hasim.engines.des.world.touch import Touch


def _disk(env: LeapingEnvironment) -> Disk:
    return Disk(env, lambda saved, record: [*(saved or []), record], repeat(1.0))


def test_a_sync_that_was_abandoned_does_not_end_the_next_one() -> None:
    env = LeapingEnvironment()
    disk = _disk(env)
    ended: list[tuple[str, float]] = []
    disk.write(["a"])
    assert not disk.sync(lambda: ended.append(("first", env.now)))
    env.run(until=0.5)
    disk.abandon()
    env.run(until=0.6)
    disk.write(["b"])
    disk.sync(lambda: ended.append(("second", env.now)))
    env.run(until=1.5)  # past the end of the first
    assert ended == []
    env.run(until=3.0)
    assert ended == [("second", 1.6)]
    assert disk.saved() == ["a", "b"]


def test_a_sync_that_a_stall_holds_is_forgotten_when_it_is_abandoned() -> None:
    env = LeapingEnvironment()
    disk = _disk(env)
    ended: list[str] = []
    disk.stalls.append(Touch())
    disk.write(["a"])
    disk.sync(lambda: ended.append("first"))
    env.run(until=2.0)
    assert disk.stalls[0].touched
    disk.lose_power()
    disk.stalls.clear()
    disk.unstall()
    assert ended == []
    assert disk.saved() is None
