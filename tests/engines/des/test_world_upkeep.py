"""What holds a node down and what pauses it may overlap: it runs whenever it should, and again after the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from world_toys import ToyWorld

from hasim.machine import Effect, Event, Exit, Fired, Save, SetTimer, Started


def test_a_pause_ends_though_a_crash_came_between_it_and_another() -> None:
    toys = ToyWorld("a")
    first, crash, second = toys.world.paused("a"), toys.world.held_down("a", "test"), toys.world.paused("a")
    for verb in (first, crash):
        verb.__enter__()
    crash.__exit__(None, None, None)
    assert not toys["a"].paused  # the pause hit the process that is gone
    second.__enter__()
    assert toys["a"].paused
    second.__exit__(None, None, None)
    assert not toys["a"].paused
    with toys.world.paused("a"):
        first.__exit__(None, None, None)
        assert toys["a"].paused
    assert not toys["a"].paused


def test_a_process_paused_by_hand_and_by_a_fault_goes_on_when_both_have_let_it() -> None:
    toys = ToyWorld("a")
    toys["a"].pause()
    with toys.world.paused("a"):
        toys["a"].resume()
        assert toys["a"].paused
        toys["a"].pause()
    assert toys["a"].paused
    toys["a"].resume()
    assert not toys["a"].paused


def writing(event: Event, now: float) -> list[Effect]:
    return [Save(1), SetTimer("tick", 0.1, 0.1)] if isinstance(event, Started | Fired) else []


def test_room_on_a_disk_starts_no_process_that_something_else_holds_down() -> None:
    for hold in ("held_down", "powered_off"):
        toys = ToyWorld("a", react=writing)
        full = toys.world.full_disk("a")
        down = toys.world.held_down("a", "test") if hold == "held_down" else toys.world.powered_off(["a"])
        full.__enter__()
        toys.run(0.15)
        assert toys["a"].process is None
        down.__enter__()
        full.__exit__(None, None, None)
        assert toys["a"].process is None, hold
        down.__exit__(None, None, None)
        assert toys["a"].process is not None, hold


def test_what_ends_last_of_a_full_disk_and_a_crash_starts_the_process() -> None:
    toys = ToyWorld("a", react=writing)
    full, down = toys.world.full_disk("a"), toys.world.held_down("a", "test")
    full.__enter__()
    toys.run(0.15)
    down.__enter__()
    down.__exit__(None, None, None)
    assert toys["a"].process is None  # there is still no room
    full.__exit__(None, None, None)
    assert toys["a"].process is not None


def test_a_process_that_starts_on_a_full_disk_and_ends_comes_back_when_there_is_room() -> None:
    toys = ToyWorld("a", react=writing, start=False)
    with toys.world.full_disk("a") as touch:
        toys["a"].start()
        assert toys["a"].process is None
        assert touch.touched
    assert toys["a"].process is not None


def test_a_start_while_a_fault_holds_a_node_down_counts_when_it_is_let_go() -> None:
    toys = ToyWorld("a", start=False)
    with toys.world.held_down("a", "test") as touch:
        assert not touch.touched
        toys["a"].start()
        assert toys["a"].process is None
        assert touch.touched
    assert toys["a"].process is not None


def test_who_crashed_by_hand_or_left_by_itself_is_not_started_by_the_end_of_a_fault() -> None:
    for ending in ("crash", "stop"):
        toys = ToyWorld("a")
        with toys.world.full_disk("a"):
            getattr(toys["a"], ending)()
            with toys.world.held_down("a", "test"):
                pass
        assert toys["a"].process is None
    toys = ToyWorld("a")
    toys.tell("a", Exit("done"))
    with toys.world.held_down("a", "test"):
        pass
    assert toys["a"].process is None


@pytest.mark.parametrize("seed", range(40))
def test_whatever_faults_overlap_the_node_runs_again_after_the_last(seed: int) -> None:
    rng = np.random.default_rng(seed)
    toys = ToyWorld("a", react=writing)
    kinds: list[Callable[[], Any]] = [
        lambda: toys.world.paused("a"),
        lambda: toys.world.held_down("a", "test"),
        lambda: toys.world.powered_off(["a"]),
        lambda: toys.world.full_disk("a"),
        lambda: toys.world.stalled_disk("a"),
    ]
    found: list[Any] = []
    for begin, lasting, kind in zip(rng.random(8) * 3, rng.random(8) * 2, rng.integers(0, 5, 8), strict=True):
        verb = kinds[kind]()
        toys.at(begin, verb.__enter__)
        toys.at(begin + lasting, lambda verb=verb: verb.__exit__(None, None, None))  # type: ignore[misc]
        if kind in (1, 2):
            for share in (0.2, 0.4, 0.6, 0.8):
                toys.at(begin + share * lasting, lambda: found.append(toys["a"].process))
    toys.run(6.0)
    assert found == [None] * len(found)
    assert toys["a"].process is not None
    assert not toys["a"].paused
    heard = len(toys.heard["a"])
    toys.run(7.0)
    assert len(toys.heard["a"]) >= heard + 9  # it ticks
