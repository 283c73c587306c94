"""Appends on a stream of their own, and the tail loss probe: when what was lost in a cut comes through."""

from __future__ import annotations

from typing import Any

import pytest
from world_toys import ToyWorld

from hasim.engines.des.world import TcpTiming
from hasim.faults import DROP
from hasim.machine import Send
from hasim.model.laws import Fixed

BUSY = 100  # messages of class int travel apart


def cut_off(src: str, dst: str, draw: object) -> object:
    return DROP


def toys(tail_probe: bool = False, **settings: Any) -> ToyWorld:
    """Two nodes that have been connected for a second, over links without latency, with signs of life each 200 s."""
    tcp = TcpTiming(io_timeout=600.0, tail_probe=tail_probe)
    world = ToyWorld("a", "b", transport="tcp", latency=Fixed(value="0s"), tcp=tcp, **settings)
    world.run(1.0)
    return world


def test_a_busy_stream_does_not_hold_up_the_one_apart() -> None:
    # What was lost at 0.1 s into the cut is due again 3 s later, what was lost at 1 s (apart) already after 1.4 s.
    world = toys(apart=(int,))
    with world.world.rule(cut_off):
        world.at(1.1, lambda: world.tell("a", Send("b", "busy")))
        world.at(1.2, lambda: world.tell("a", Send("b", BUSY)))
        world.run(2.55)
    world.run(4.5)
    assert world.messages("b") == [(pytest.approx(1.2 + 1.4), BUSY), (pytest.approx(1.1 + 3.0), "busy")]


def test_on_one_stream_the_later_message_waits_for_the_earlier() -> None:
    world = toys()
    with world.world.rule(cut_off):
        world.at(1.1, lambda: world.tell("a", Send("b", "busy")))
        world.at(1.2, lambda: world.tell("a", Send("b", BUSY)))
        world.run(2.55)
    world.run(4.5)
    assert world.messages("b") == [(pytest.approx(1.1 + 3.0), "busy"), (pytest.approx(1.1 + 3.0), BUSY)]


@pytest.mark.parametrize(
    ("lasting", "arrives"), [(0.1, 0.2), (0.3, 0.4), (0.7, 0.8), (1.5, 1.6), (3.0, 3.2)], ids=lambda value: f"{value}s"
)
def test_with_a_tail_loss_probe_the_first_wait_comes_twice(lasting: float, arrives: float) -> None:
    world = toys(tail_probe=True)
    with world.world.rule(cut_off):
        world.tell("a", Send("b", "x"))
        world.run(1.0 + lasting)
    world.run(6.0)
    assert world.messages("b") == [(pytest.approx(1.0 + arrives), "x")]
