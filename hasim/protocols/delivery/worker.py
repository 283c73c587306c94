"""A worker: it takes tasks, works on one after another, and says so when one is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Exit, Fired, Received, Send, SetTimer, Started, Stopping
from hasim.protocols.delivery.messages import Ack, Delivered, Take, Touch

WORK: Final = "work"
TOUCH: Final = "touch"


class Worker:
    """A worker of one queue, as a pure machine.

    It has up to `prefetch` tasks at a time, the first of which it works on; the deadlines of all run meanwhile. With
    `renew` it touches every task that it has, so often, in seconds: then only a worker that is dead or asleep for
    longer than the deadline loses a task. `lasting(task, number)` says how long the `number`-th delivery of a task
    takes. Whatever the broker thinks of an ack, the effect is done: that is what at-least-once means. One that acks
    before it works (`ack_first`) does nothing twice, and what it has when it crashes is lost: at most once.

    It hears Started, Received(broker, Delivered or Settled), Stopping, and its timers. It announces "work begun" and
    "effect", with the task, and the number of its delivery.
    """

    def __init__(
        self,
        broker: str,
        lasting: Callable[[str, int], float],
        prefetch: int = 1,
        renew: float | None = None,
        ack_first: bool = False,
    ) -> None:
        """A worker that has not been started."""
        self.broker = broker
        self.prefetch = prefetch
        self.renew = renew
        self.ack_first = ack_first
        self._lasting = lasting
        self._has: deque[Delivered] = deque()

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Started):
            touching = [] if self.renew is None else [SetTimer(TOUCH, self.renew, self.renew)]
            return [*touching, *(Send(self.broker, Take()) for _ in range(self.prefetch))]
        if isinstance(event, Received):
            if isinstance(event.message, Delivered):
                self._has.append(event.message)
                return self._begin() if len(self._has) == 1 else []
        elif isinstance(event, Fired):
            return self._done() if event.timer == WORK else self._touch()
        elif isinstance(event, Stopping):
            return [CancelTimer(WORK), CancelTimer(TOUCH), Exit("asked to stop")]
        return []

    def _begin(self) -> list[Effect]:
        task = self._has[0]
        lasting = self._lasting(task.task, task.number)
        ack = [Send(self.broker, Ack(task.receipt))] if self.ack_first else []
        return [*ack, SetTimer(WORK, lasting, lasting), self._said("work begun", task)]

    def _done(self) -> list[Effect]:
        task = self._has.popleft()
        ack = [] if self.ack_first else [Send(self.broker, Ack(task.receipt))]
        return [self._said("effect", task), *ack, Send(self.broker, Take()), *(self._begin() if self._has else [])]

    def _touch(self) -> list[Effect]:
        assert self.renew is not None
        touches = [Send(self.broker, Touch(task.receipt)) for task in self._has]
        return [*touches, SetTimer(TOUCH, self.renew, self.renew)]

    def _said(self, kind: str, task: Delivered) -> Announce:
        return Announce(kind, {"task": task.task, "number": task.number})
