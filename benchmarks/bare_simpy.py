"""How fast the world runs, next to SimPy itself: events a second of CPU time, and the ratio of the two.

Bare SimPy is the cheapest loop it can have: a timeout whose callback makes the next. The world runs five nodes, of
which a leader pings the others each 100 ms and they answer, while each of them has a tick of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import process_time
from typing import Any, Literal

import simpy

from hasim.engines.des.world import LeapingEnvironment, World
from hasim.machine import Effect, Event, Fired, Received, Send, SetTimer, Started
from hasim.model.laws import Law, Uniform
from hasim.streams import Streams

PERIOD = 0.1
NODES = 5
ROUNDS = 7
WAYS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
CLOCKS = 10  # timeouts pending at a time, about as many as the world has events


class Heartbeat:
    """A machine that pings its peers with every tick, if it leads, and answers the pings of others.

    It makes its effects beforehand: what is measured is the world, not the machine.
    """

    def __init__(self, names: Sequence[str], leads: bool) -> None:
        again = SetTimer("tick", PERIOD, PERIOD)
        self.started: list[Effect] = [again]
        self.fired: list[Effect] = [again, *[Send(peer, "ping") for peer in names[1:]]] if leads else [again]
        self.answers: dict[str, list[Effect]] = {name: [Send(name, "pong")] for name in names}

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        kind = event.__class__
        if kind is Received:
            return self.answers[event.sender] if event.message == "ping" else ()
        if kind is Fired:
            return self.fired
        return self.started if kind is Started else ()


def bare(events: int) -> float:
    """Events a CPU second of SimPy with nothing to do."""
    env = simpy.Environment()
    left = events

    def again(_: Any) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            env.timeout(PERIOD).callbacks.append(again)

    for _ in range(CLOCKS):
        env.timeout(PERIOD).callbacks.append(again)
    begun = process_time()
    env.run()
    return events / (process_time() - begun)


def world(seconds: float, transport: Literal["tcp", "udp"] = "tcp", latency: Law | None = None) -> float:
    """Events a CPU second of five nodes that exchange heartbeats."""
    env = LeapingEnvironment()
    latency = latency or Uniform(low="200us", high="400us")
    made = World(env, Streams(1), lambda *_: None, transport=transport, latency=latency)
    names = [f"n{number}" for number in range(NODES)]
    for name in names:
        made.add(name, partial(Heartbeat, names, name == names[0]), lambda saved, record: record)
    for name in names:
        made.nodes[name].start()
    env.run(until=1.0)
    first = next(env._eid)
    begun = process_time()
    env.run(until=1.0 + seconds)
    return (next(env._eid) - first) / (process_time() - begun)


def main() -> None:
    """Print the rates, each the best of several taken in turn (a busy machine only slows down), and the ratios."""
    rates: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, rate in (("bare SimPy", bare(200_000)), *((f"world, {way}", world(1000.0, way)) for way in WAYS)):
            rates[name] = max(rate, rates.get(name, 0.0))
    for name, rate in rates.items():
        print(f"{name:12} {rate:10,.0f} events a CPU second, {rate / rates['bare SimPy']:.2f} of bare SimPy")


if __name__ == "__main__":
    main()
