"""The rig of a queue with all that belongs to it: a resource, disks, a producer, and messages that take their time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from protocols.delivering import BROKER, Rig

from hasim.machine import Announce, CancelTimer, Exit, Proposed, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.delivery import Broker, Delivery, Worker
from hasim.protocols.delivery.broker import keep
from hasim.protocols.delivery.messages import Put, Settled
from hasim.protocols.delivery.producer import NewTask, Producer, keep_rows
from hasim.protocols.effects import Finish, Sink, finish_of
from hasim.protocols.effects.finish import keep_decisions
from hasim.protocols.effects.settings import EffectKind
from hasim.trace import Fact

SINK = "resource"
PRODUCER = "producer"


class EffectRig(Rig):
    """Machines with disks; messages between two of them arrive in order, each after a random time of mean `latency`.

    What a step saves is safe at once. A death is told to whoever is connected, unless it is `silent`; what is sent to
    nobody is refused, and both come as `Unlinked`. An answer is for the process that asked, and lost with it. Workers
    live for a random time of mean `life`, until `calm`.
    """

    def __init__(
        self,
        delivery: Delivery,
        kind: EffectKind | None = None,
        workers: int = 0,
        lasting: Callable[[str, int], float] = lambda task, number: 1.0,
        *,
        latency: float = 0.0,
        life: float = math.inf,
        calm: float = math.inf,
        sink: Sink | None = None,
        finish: Callable[[], Finish] | None = None,
        producer: Callable[[], Producer] | None = None,
        prefetch: int = 1,
        renew: float | None = None,
        ack_first: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(delivery, workers, lasting, **more)
        self.machines.clear()
        self._latency, self._life, self._calm = latency, life, calm
        self._arrival: dict[tuple[str, str], float] = {}  # of the last message, by sender and receiver
        self._asked: dict[tuple[str, str], int] = {}  # the life of whoever spoke last, by itself and whom it asked
        self.disks: dict[str, Any] = {}
        self.left: list[str] = []  # who has left for good
        self.heard: list[tuple[str, Any]] = []  # all that was said, to whom

        def new_finish() -> Finish | None:
            made = None if kind is None else finish_of(kind, BROKER, SINK, not ack_first)
            return made if finish is None else finish()

        def new_broker() -> Broker:
            self.broker = Broker(delivery, lambda share: bool(share) and self.rng.random() < share)
            return self.broker

        self.builds: dict[str, Callable[[], Any]] = {BROKER: new_broker}
        self.journals: dict[str, Any] = {BROKER: keep, PRODUCER: keep_rows}
        if producer is not None:
            self.builds[PRODUCER] = producer
        for name in self.names:
            self.builds[name] = lambda: Worker(BROKER, lasting, prefetch, renew, ack_first, new_finish())
        self.sink = sink
        if sink is None and kind is not None:
            self.sink = Sink(kind)
        if self.sink is not None:
            self.machines[SINK] = self.sink
        self.rise(BROKER)

    def start(self, tasks: int, group: str = "") -> EffectRig:
        """Put the tasks, and start whoever else there is."""
        for i in range(tasks):
            self.hear(BROKER, Received(PRODUCER, Put(i, f"t-{i + 1}", group)))
        for name in self.builds:
            if name not in self.machines:
                self.rise(name)
        return self

    def to(self, when: float) -> EffectRig:
        super().to(when)
        return self

    def rise(self, name: str) -> None:
        self.machines[name] = self.builds[name]()
        self.hear(name, Started(self.disks.get(name)))
        if name in self.names and self._life < math.inf:
            dies = self.now + self.rng.exponential(self._life)
            if dies < self._calm:
                self._dies(name, dies)

    def fall(self, name: str, back: float | None = None) -> None:
        """A process dies; another starts `back` seconds later, or when its kind is started again."""
        self._end(name)
        if not self._silent:
            self._broken(name)
        self.at(self.now + (self._restart if back is None else back), lambda: self.rise(name))

    def _end(self, name: str) -> None:
        self._lives[name] += 1
        del self.machines[name]
        self._timers = {key: number for key, number in self._timers.items() if key[0] != name}

    def _broken(self, name: str) -> None:
        """Whoever was connected to it hears that it is no more."""
        others = [other for other in self.builds if other != BROKER] if name == BROKER else [BROKER]
        for other in others:
            self._arrive(name, other, Unlinked(name), self._lives[other])

    def hear(self, name: str, event: Any) -> None:
        machine = self.machines.get(name)
        if machine is None:
            return
        for effect in machine.step(event, self.now):
            if isinstance(effect, Send):
                self._send(name, effect)
            elif isinstance(effect, SetTimer):
                spread = self.rng.random() * (effect.high - effect.low) if effect.high > effect.low else 0.0
                self._set(name, SetTimer(effect.timer, effect.low + spread, effect.high))
            elif isinstance(effect, CancelTimer):
                self._timers.pop((name, effect.timer), None)
            elif isinstance(effect, Announce):
                self.facts.append(Fact(self.now, effect.kind, name, effect.detail))
            elif isinstance(effect, Save):
                self.disks[name] = self.journals.get(name, keep_decisions)(self.disks.get(name), effect.record)
            elif isinstance(effect, Exit):
                self.left.append(name)
                self._end(name)
                self._broken(name)
                return

    def _send(self, sender: str, send: Send) -> None:
        to, message = send.to, send.message
        self.heard.append((to, message))
        if isinstance(message, Settled):
            self.answers.append((to, message))
        if to in (BROKER, SINK):
            self._asked[sender, to] = self._lives[sender]
            self._arrive(sender, to, Received(sender, message), None)
        elif self._asked.get((to, sender)) == self._lives[to]:
            self._arrive(sender, to, Received(sender, message), self._lives[to])

    def _arrive(self, sender: str, to: str, event: Any, life: int | None) -> None:
        """Let an event arrive after what was sent before it; with a `life`, only if that still goes on."""
        wait = self.rng.exponential(self._latency) if self._latency else 0.0
        when = self._arrival[sender, to] = max(self._arrival.get((sender, to), 0.0), self.now + wait)
        mine = self._lives[sender]

        def arrive() -> None:
            if life is not None and self._lives[to] != life:
                return
            if to in self.machines:
                self.hear(to, event)
            elif to == BROKER and self._lives[sender] == mine:
                self._arrive(to, sender, Unlinked(to), mine)

        self.at(when, arrive)

    # By hand.

    def says(self, name: str, message: object) -> Any:
        """What a worker that is nothing but a name says to the broker, and the last of what that says to it."""
        self._asked[name, BROKER] = self._lives[name]
        before = len(self.heard)
        self.hear(BROKER, Received(name, message))
        said = [heard for to, heard in self.heard[before:] if to == name]
        return said[-1] if said else None

    def put(self, *tasks: str, group: str = "") -> None:
        """Put tasks with these ids."""
        for task in tasks:
            self.hear(BROKER, Received(PRODUCER, Put(1, task, group)))

    def propose(self, task: str) -> None:
        """A client has a task for the producer; nobody notices if that is down."""
        self.hear(PRODUCER, Proposed(NewTask(task)))

    def times(self, kind: str, key: str = "task") -> list[tuple[float, Any]]:
        return [(fact.at, fact.detail[key]) for fact in self.of(kind)]  # type: ignore[index,call-overload]
