"""A worker: it takes tasks, works on one after another, writes the results, and says so when one is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.delivery.messages import Ack, Beat, Closed, Delivered, Hello, Nack, Take, Touch

if TYPE_CHECKING:
    from hasim.protocols.effects.finish import Finish, Went

WORK: Final = "work"
TOUCH: Final = "touch"
RECONNECT: Final = "reconnect"
BEAT: Final = "beat"

RECONNECT_S: Final = 1.0
"""Seconds until a worker connects again whose broker was gone; our assumption."""


class Worker:
    """A worker of one queue, as a pure machine.

    It has up to `prefetch` tasks at a time, the first of which it works on; the deadlines of all run meanwhile. With
    `renew` it touches every task that it has, so often, in seconds: then only a worker that is dead or asleep for
    longer than the deadline loses a task. `lasting(task, number)` says how long the `number`-th delivery of a task
    takes. Without a `finish` the work itself is the effect, done the moment it ends, whatever the broker thinks of the
    ack: that is what at-least-once means. With one, the result is written as it says, and it sees to the ack. With
    `ack_first` tasks are done with as they are delivered (automatic acks): it does nothing twice, and what it has when
    it crashes is lost: at most once. It says that it is alive every `beat` seconds.

    Where `errs()` says so an attempt ends in an error, and the task is given back, to wait for `nack_delay` seconds.

    When the broker is gone, or has closed the channel, it goes on with its work, forgets what it has not begun, and
    asks for new tasks. Asked to stop, it ends what it is at, and gives back what it has not begun.

    It hears Started, Received, Unlinked(broker), Stopping, and its timers. It announces "work begun", "effect" without
    a `finish`, "work ended" with one, and "work failed", with the task and the number of its delivery.
    """

    def __init__(
        self,
        broker: str,
        lasting: Callable[[str, int], float],
        prefetch: int = 1,
        renew: float | None = None,
        ack_first: bool = False,
        finish: Finish | None = None,
        errs: Callable[[], bool] | None = None,
        nack_delay: float = 0.0,
        beat: float | None = None,
    ) -> None:
        """A worker that has not been started."""
        self.broker = broker
        self.prefetch = prefetch
        self.renew = None if ack_first else renew
        self.ack_first = ack_first
        self.finish = finish
        self.nack_delay = nack_delay
        self.beat = beat
        self._errs = errs
        self._lasting = lasting
        self._has: deque[Delivered] = deque()
        self._finishing = False
        self._stopping = False

    @property
    def is_idle(self) -> bool:
        """Whether it has no task."""
        return not self._has

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            return self._received(event.sender, event.message)
        if isinstance(event, Fired):
            return self._fired(event.timer, now)
        if isinstance(event, Started):
            return self._started(event.saved)
        if isinstance(event, Unlinked) and event.peer == self.broker:
            went = self.finish.lost() if self._finishing and self.finish is not None else ([], False)
            reconnect = [] if self._stopping else [SetTimer(RECONNECT, RECONNECT_S, RECONNECT_S)]
            self._forget()
            return [*self._went(went, asks=False), *reconnect]
        if isinstance(event, Stopping):
            self._stopping = True
            waiting = [Send(self.broker, Nack(task.receipt)) for task in self._forget()]
            return [*waiting, CancelTimer(RECONNECT), *self._leave()]
        return []

    def _leave(self) -> list[Effect]:
        """Who was asked to stop goes when it has nothing left to do, and nobody waits to hear what it decided."""
        if self._has or not (self.finish is None or self.finish.is_at_rest):
            return []
        return [CancelTimer(TOUCH), Exit("asked to stop")]

    def _started(self, saved: Any) -> list[Effect]:
        first = [] if self.finish is None else self.finish.start(saved)
        return [*first, *self._ask(), *self._beat_later()]

    def _beat_later(self) -> list[Effect]:
        return [] if self.beat is None else [SetTimer(BEAT, self.beat, self.beat)]

    def _ask(self) -> list[Effect]:
        """Ask for as many tasks as there is room for, on a connection that nobody has asked on."""
        if self._stopping:
            return []
        return [Send(self.broker, Hello()), *(self._take() for _ in range(self.prefetch - len(self._has)))]

    def _take(self) -> Effect:
        return Send(self.broker, Take(self.ack_first))

    def _received(self, sender: str, message: object) -> list[Effect]:
        if isinstance(message, Delivered) and self._stopping and not self.ack_first:
            return [Send(self.broker, Nack(message.receipt))]
        if isinstance(message, Delivered):
            self._has.append(message)
            if len(self._has) > 1:
                return []
            touching = [] if self.renew is None else [SetTimer(TOUCH, self.renew, self.renew)]
            return [*touching, *self._begin()]
        if isinstance(message, Closed):
            self._forget()
            return self._ask()
        return [] if self.finish is None else self._went(self.finish.hear(sender, message))

    def _fired(self, timer: str, now: float) -> list[Effect]:
        if timer == WORK:
            return self._worked(now)
        if timer == TOUCH:
            return self._touch()
        if timer == RECONNECT:
            return self._ask()
        if timer == BEAT:
            return [Send(self.broker, Beat()), *self._beat_later()]
        return [] if self.finish is None else self._went(self.finish.fired())

    def _forget(self) -> list[Delivered]:
        """What it has not begun will be delivered again, unless it was acked as it was delivered."""
        return [] if self.ack_first else [self._has.pop() for _ in range(len(self._has) - 1)][::-1]

    # One task after another.

    def _begin(self) -> list[Effect]:
        task = self._has[0]
        lasting = self._lasting(task.task, task.number)
        first = [] if self.finish is None else self.finish.attempt(task)
        return [*first, SetTimer(WORK, lasting, lasting), self._said("work begun", task)]

    def _worked(self, now: float) -> list[Effect]:
        """The work is done."""
        task = self._has[0]
        if self._errs is not None and self._errs():
            nack = [] if self.ack_first else [Send(self.broker, Nack(task.receipt, self.nack_delay))]
            return [self._said("work failed", task), *nack, *self._next()]
        if self.finish is not None:
            self._finishing = True
            return self.finish.result(now)
        ack = [] if self.ack_first else [Send(self.broker, Ack(task.receipt))]
        return [self._said("effect", task), *ack, *self._next()]

    def _went(self, went: Went, asks: bool = True) -> list[Effect]:
        effects, through = went
        if not (through and self._finishing):
            return [*effects, *self._leave()] if self._stopping else effects
        self._finishing = False
        return [*effects, self._said("work ended", self._has[0]), *self._next(asks)]

    def _next(self, asks: bool = True) -> list[Effect]:
        """Go on with the next task, and ask for another."""
        self._has.popleft()
        if self._stopping:
            return self._begin() if self._has else self._leave()
        # With as many as it may have, since it was given some that it had asked for before it connected again: none.
        more: list[Effect] = [self._take()] if asks and len(self._has) < self.prefetch else []
        if self._has:
            return [*more, *self._begin()]
        return [*more, CancelTimer(TOUCH)] if self.renew is not None else more

    def _touch(self) -> list[Effect]:
        assert self.renew is not None
        touches = [Send(self.broker, Touch(task.receipt)) for task in self._has]
        return [*touches, SetTimer(TOUCH, self.renew, self.renew)]

    def _said(self, kind: str, task: Delivered) -> Announce:
        return Announce(kind, {"task": task.task, "number": task.number})
