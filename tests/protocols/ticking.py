"""Pure machines of detection in continuous time: a heap of events, a seeded generator, servers that fail at will.

Messages take `latency` seconds, none by default. What happens at the same moment happens in the order it was asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Machine,
    Proposed,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
)
from hasim.protocols.health import Ping, Pong
from hasim.trace import Fact

REFUSED = "connection refused"


@dataclass
class Target:
    """What is checked: `mood` is well, refused, hung, or gone, where nothing is ever answered."""

    mood: str = "well"
    heard: list[tuple[str, Ping]] = field(default_factory=list)  # while it hung
    starts: list[float] = field(default_factory=list)  # when each Ping came
    takes: list[float] = field(default_factory=list)  # how long the next answers take; then none


class Ticking:
    """Machines and targets by name, and the facts so far."""

    def __init__(self, seed: int | np.random.Generator, latency: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.latency = latency
        self.now = 0.0
        self.machines: dict[str, Machine] = {}
        self.targets: dict[str, Target] = {}
        self.facts: list[Fact] = []
        self.cut: list[frozenset[str]] = []
        self._timers: dict[tuple[str, str], int] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, do: Callable[[], None]) -> int:
        """Do this then."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, do))
        return self._count

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, do = heapq.heappop(self._heap)
            do()
        self.now = until

    def run_to(self, kind: str, limit: float) -> float:
        """Let time pass up to the next fact of this kind; return when it came."""
        seen = len(self.facts)
        while self._heap and self._heap[0][0] <= limit:
            self.now, _, do = heapq.heappop(self._heap)
            do()
            for fact in self.facts[seen:]:
                if fact.kind == kind:
                    return fact.at
            seen = len(self.facts)
        raise AssertionError(f"no {kind!r} until {limit}")

    def boot(self, name: str, machine: Machine) -> None:
        """Start this machine now."""
        self.machines[name] = machine
        self._step(name, Started())

    def crash(self, name: str) -> None:
        """The machine is gone, with its timers."""
        del self.machines[name]
        self._timers = {key: token for key, token in self._timers.items() if key[0] != name}

    def stop(self, name: str) -> None:
        """Ask it to leave."""
        self._step(name, Stopping())

    def propose(self, name: str, command: Any) -> None:
        """Tell it something."""
        self._step(name, Proposed(command))

    def go_on(self, name: str) -> None:
        """A target that hung is well again, and answers everything it was asked meanwhile."""
        target = self.targets[name]
        target.mood = "well"
        for sender, ping in target.heard:
            self._deliver(name, sender, Pong(ping.n))
        target.heard.clear()

    # -------------------------------------------------------------------------------------- effects

    def _step(self, name: str, event: Event) -> None:
        for effect in self.machines[name].step(event, self.now):
            self._perform(name, effect)

    def _perform(self, name: str, effect: Effect) -> None:
        match effect:
            case SetTimer(timer, low, high):
                wait = low if low == high else float(self.rng.uniform(low, high))
                key = (name, timer)
                token = self.at(self.now + wait, lambda: self._fire(key, token))
                self._timers[key] = token
            case CancelTimer(timer):
                self._timers.pop((name, timer), None)
            case Send(to, message):
                self._deliver(name, to, message)
            case Announce(kind, detail):
                self.facts.append(Fact(self.now, kind, name, detail))
            case Exit():
                self.crash(name)
            case _:
                raise TypeError(f"no such effect here: {effect}")

    def _fire(self, key: tuple[str, str], token: int) -> None:
        if self._timers.get(key) == token:
            del self._timers[key]
            self._step(key[0], Fired(key[1]))

    def _deliver(self, sender: str, to: str, message: Any, after: float = 0.0) -> None:
        if frozenset((sender, to)) not in self.cut:
            self.at(self.now + self.latency + after, lambda: self._arrive(sender, to, message))

    def _arrive(self, sender: str, to: str, message: Any) -> None:
        if to in self.machines:
            self._step(to, Received(sender, message))
        elif to in self.targets:
            target = self.targets[to]
            target.starts.append(self.now)
            if target.mood == "hung":
                target.heard.append((sender, message))
            elif target.mood == "refused":
                self._deliver(to, sender, Pong(message.n, False, REFUSED))
            elif target.mood == "well":
                self._deliver(to, sender, Pong(message.n), target.takes.pop(0) if target.takes else 0.0)
