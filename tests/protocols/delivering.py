"""A queue and its workers on a small heap of events: no network, crashes on demand, every fact kept."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from hasim.machine import Announce, CancelTimer, Fired, Received, Send, SetTimer, Started, Unlinked
from hasim.protocols.delivery import Broker, Delivery, Worker
from hasim.protocols.delivery.messages import Put, Settled
from hasim.protocols.delivery.worker import WORK
from hasim.trace import Fact

BROKER = "queue"


class Rig:
    """Messages arrive at once, in order. A share `crash` of all executions ends with the worker, at any moment of them.

    Workers that died are back `restart` seconds later. A `silent` death leaves the connection open.
    """

    def __init__(
        self,
        delivery: Delivery,
        workers: int,
        lasting: Callable[[str, int], float],
        *,
        seed: int = 1,
        crash: float = 0.0,
        restart: float = 0.5,
        silent: bool = False,
        renew: float | None = None,
        prefetch: int = 1,
        ack_first: bool = False,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.broker = Broker(delivery, lambda share: bool(share) and self.rng.random() < share)
        self.machines: dict[str, Any] = {BROKER: self.broker}
        self.facts: list[Fact] = []
        self.answers: list[tuple[str, Settled]] = []
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._timers: dict[tuple[str, str], int] = {}
        self._lives: Counter[str] = Counter()
        self._make = lambda: Worker(BROKER, lasting, prefetch, renew, ack_first)
        self._crash, self._restart, self._silent = crash, restart, silent
        self.names = [f"w-{i + 1}" for i in range(workers)]

    def start(self, tasks: int) -> Rig:
        """Put the tasks, and start all workers."""
        for i in range(tasks):
            self.hear(BROKER, Received("producer", Put(i, f"t-{i + 1}")))
        for name in self.names:
            self.rise(name)
        return self

    def rise(self, name: str) -> None:
        self.machines[name] = self._make()
        self.hear(name, Started())

    def fall(self, name: str) -> None:
        """A worker dies; its connection breaks with it, unless deaths are silent."""
        self._lives[name] += 1
        del self.machines[name]
        self._timers = {key: number for key, number in self._timers.items() if key[0] != name}
        if not self._silent:
            self.hear(BROKER, Unlinked(name))
        self.at(self.now + self._restart, lambda: self.rise(name))

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._number), what))

    def to(self, when: float) -> Rig:
        while self._heap and self._heap[0][0] <= when:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        self.now = when
        return self

    def hear(self, name: str, event: Any) -> None:
        machine = self.machines.get(name)
        if machine is None:
            return
        for effect in machine.step(event, self.now):
            if isinstance(effect, Send):
                self._send(name, effect)
            elif isinstance(effect, SetTimer):
                self._set(name, effect)
            elif isinstance(effect, CancelTimer):
                self._timers.pop((name, effect.timer), None)
            elif isinstance(effect, Announce):
                self.facts.append(Fact(self.now, effect.kind, name, effect.detail))

    def _dies(self, name: str, when: float) -> None:
        life = self._lives[name]

        def now() -> None:
            if self._lives[name] == life:
                self.fall(name)

        self.at(when, now)

    def _set(self, name: str, effect: SetTimer) -> None:
        number = self._timers[name, effect.timer] = next(self._number)
        if effect.timer == WORK and self.rng.random() < self._crash:
            self._dies(name, self.now + self.rng.random() * effect.low)

        def ring() -> None:
            if self._timers.get((name, effect.timer)) == number:
                del self._timers[name, effect.timer]
                self.hear(name, Fired(effect.timer))

        self.at(self.now + effect.low, ring)

    def _send(self, sender: str, send: Send) -> None:
        life = self._lives[send.to]
        if isinstance(send.message, Settled):
            self.answers.append((send.to, send.message))

        def arrive() -> None:
            if self._lives[send.to] == life:
                self.hear(send.to, Received(sender, send.message))

        self.at(self.now, arrive)

    # What happened.

    def of(self, kind: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.kind == kind]

    def per_task(self, kind: str) -> Counter[str]:
        return Counter(fact.detail["task"] for fact in self.of(kind))  # type: ignore[index,call-overload]
