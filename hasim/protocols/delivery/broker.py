"""The queue itself: who has which task, since when, and what is delivered next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Received, Send, SetTimer, Unlinked
from hasim.protocols.delivery.messages import Ack, Delivered, Nack, Put, Settled, Stored, Take, Touch
from hasim.protocols.delivery.settings import Delivery

DELAYED: Final = "delayed "


@dataclass(slots=True)
class _Task:
    """A task that is not done: `receipt` is of the delivery that has it, None while it waits."""

    name: str
    receipt: int | None = None
    received: int = 0
    dead: bool = False


@dataclass(slots=True)
class _Held:
    """A delivery that has not been settled: whose it is; `missed` if its deadline passed and nobody noticed."""

    task: _Task
    worker: str
    missed: bool = False


class Broker:
    """A queue that delivers at least once, as a pure machine: see `Delivery`.

    Tasks that are delivered again wait in a line of their own, which comes first. Workers that ask for a task while
    there is none are served in the order in which they asked. `chance(share)` decides what happens with a probability.

    It hears Received of the messages of producers and workers, Unlinked(worker), and its timers. It announces "task
    stored", "task delivered", "task expired", "task freed" (its worker is gone), "task acked" (with `late`), "ack
    refused" and "dead letter", each with the task.
    """

    def __init__(self, delivery: Delivery, chance: Callable[[float], bool]) -> None:
        """A broker with no tasks."""
        self.delivery = delivery
        self._chance = chance
        self._tasks: dict[str, _Task] = {}  # not done
        self._again: deque[_Task] = deque()
        self._fresh: deque[_Task] = deque()
        self._held: dict[int, _Held] = {}
        self._of_receipt: dict[int, _Task] = {}  # of deliveries whose deadline has passed, or that another has replaced
        self._asking: deque[str] = deque()
        self._receipts = 0

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            return self._received(event.sender, event.message)
        if isinstance(event, Fired):
            return self._fired(event.timer)
        if isinstance(event, Unlinked):
            return self._lost(event.peer)
        return []

    def _received(self, sender: str, message: object) -> list[Effect]:
        if isinstance(message, Put):
            task = self._tasks[message.task] = _Task(message.task)
            self._fresh.append(task)
            return [Send(sender, Stored(message.n)), self._said("task stored", task), *self._deliver()]
        if isinstance(message, Take):
            noticed = [receipt for receipt, held in self._held.items() if held.missed and held.worker == sender]
            effects = [effect for receipt in noticed for effect in self._expire(receipt)]
            self._asking.append(sender)
            return [*effects, *self._deliver()]
        if isinstance(message, Ack):
            return self._acked(sender, message.receipt)
        if isinstance(message, Touch):
            held = self._held.get(message.receipt)
            if held is None:
                return [Send(sender, Settled(message.receipt, False))]
            held.missed = False
            return [Send(sender, Settled(message.receipt, True)), self._timer(message.receipt, held.task)]
        if isinstance(message, Nack):
            return self._refused(sender, message)
        return []

    def _fired(self, timer: str) -> list[Effect]:
        if timer.startswith(DELAYED):
            task = self._tasks.get(timer.removeprefix(DELAYED))
            if task is None or task.receipt is not None:
                return []
            self._again.append(task)
            return self._deliver()
        receipt = int(timer)
        held = self._held.get(receipt)
        if held is None:
            return []
        if self._chance(self.delivery.missed):
            held.missed = True
            return []
        return [*self._expire(receipt), *self._deliver()]

    def _lost(self, worker: str) -> list[Effect]:
        """The connection of a worker has broken."""
        self._asking = deque(other for other in self._asking if other != worker)
        effects: list[Effect] = []
        for receipt in [receipt for receipt, held in self._held.items() if held.worker == worker]:
            if self.delivery.frees_lost or self._held[receipt].missed:
                effects += [CancelTimer(str(receipt)), *self._expire(receipt, "task freed")]
        return [*effects, *self._deliver()]

    # Deliveries.

    def _deliver(self) -> list[Effect]:
        """Give tasks to those who ask, as long as there are both."""
        effects: list[Effect] = []
        while self._asking and (self._again or self._fresh):
            task = (self._again or self._fresh).popleft()
            if task.receipt is not None or self._tasks.get(task.name) is not task:
                continue  # done by a late ack while it waited
            worker = self._asking.popleft()
            self._receipts += 1
            task.receipt, task.received = self._receipts, task.received + 1
            self._held[self._receipts] = _Held(task, worker)
            detail = {"task": task.name, "worker": worker, "number": task.received}
            effects += [
                Send(worker, Delivered(task.name, self._receipts, task.received)),
                self._timer(self._receipts, task),
                Announce("task delivered", detail),
            ]
        return effects

    def _expire(self, receipt: int, kind: str = "task expired", delay: float = 0.0) -> list[Effect]:
        """A delivery ends without an ack: the task waits again, after a delay, or becomes a dead letter."""
        task = self._held.pop(receipt).task
        task.receipt = None
        self._of_receipt[receipt] = task
        said = self._said(kind, task)
        most = self.delivery.max_receives
        if most is not None and task.received >= most:
            task.dead = True
            del self._tasks[task.name]
            return [said, self._said("dead letter", task)]
        if delay > 0:
            return [said, SetTimer(DELAYED + task.name, delay, delay)]
        self._again.append(task)
        return [said]

    def _acked(self, sender: str, receipt: int) -> list[Effect]:
        held = self._held.pop(receipt, None)
        if held is not None:
            del self._tasks[held.task.name]
            done = Announce("task acked", {"task": held.task.name, "late": held.missed})
            return [Send(sender, Settled(receipt, True)), CancelTimer(str(receipt)), done]
        task = self._of_receipt.pop(receipt, None)
        return [Send(sender, Settled(receipt, False))] if task is None else self._acked_late(sender, receipt, task)

    def _acked_late(self, sender: str, receipt: int, task: _Task) -> list[Effect]:
        """An ack of a delivery whose deadline has passed."""
        undone, policy = self._tasks.get(task.name) is task, self.delivery.late_ack
        free = undone and task.receipt is None
        if task.dead or not (policy == "accepted" or (policy == "unless_taken" and free)):
            return [Send(sender, Settled(receipt, False)), self._said("ack refused", task)]
        effects: list[Effect] = [Send(sender, Settled(receipt, True))]
        if not undone:
            return effects  # another was faster; nobody is told
        del self._tasks[task.name]
        if task.receipt is not None:  # whoever has it now works in vain, and cannot tell from its ack either
            del self._held[task.receipt]
            self._of_receipt[task.receipt] = task
            effects.append(CancelTimer(str(task.receipt)))
        return [*effects, Announce("task acked", {"task": task.name, "late": True})]

    def _refused(self, sender: str, nack: Nack) -> list[Effect]:
        held = self._held.get(nack.receipt)
        if held is None:
            return [Send(sender, Settled(nack.receipt, False))]
        effects: list[Effect] = [Send(sender, Settled(nack.receipt, True)), CancelTimer(str(nack.receipt))]
        return [*effects, *self._expire(nack.receipt, "task refused", nack.delay), *self._deliver()]

    def _timer(self, receipt: int, task: _Task) -> Effect:
        lasting = self.delivery.deadline(task.received)
        return SetTimer(str(receipt), lasting, lasting)

    def _said(self, kind: str, task: _Task) -> Announce:
        return Announce(kind, {"task": task.name, "number": task.received})
