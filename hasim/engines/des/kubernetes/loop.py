"""One control loop at work: its queue of keys, and the requests that its controller asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hasim.engines.des.kubernetes.pace import Bucket, Pace
from hasim.engines.des.world.alarm import Alarm, Beat
from hasim.protocols.api import Change, Delete, Done, Refused, Reply, Request
from hasim.protocols.reconcile.controller import Backoffs, Controller, Plan

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.control import ControlProcess

PERIODIC: Final = ""
"""The key of a controller's own beat."""


class Loop:
    """A controller, driven: one key at a time, the requests of a batch at once, as fast as its client may.

    A key that comes up while it waits is there once. One that is to come later, as its plan says or since a request
    failed, comes at the earliest of these times (client-go util/workqueue).
    """

    def __init__(self, process: ControlProcess, controller: Controller, pace: Pace) -> None:
        self._process = process
        self._controller = controller
        self._bucket = Bucket(pace, process.api.now)
        self._queue: dict[str, None] = {}
        self._later: dict[str, tuple[float, Alarm]] = {}
        self._busy = False
        self._backoffs = Backoffs()

    @property
    def idle(self) -> bool:
        """Whether nothing is to be done but its own beat."""
        return not self._busy and not self._queue and not self._later.keys() - {PERIODIC}

    def begin(self) -> None:
        """Its process has begun to lead; a controller with a beat begins with it."""
        if self._controller.period is not None:
            self._queue[PERIODIC] = None

    def hear(self, change: Change) -> None:
        """The cache has changed."""
        self._queue.update(dict.fromkeys(self._controller.keys(change, self._process.informer)))

    def go_on(self) -> None:
        """Take the next key, and the next, until there is something to wait for."""
        process = self._process
        while self._queue and not self._busy and process.awake:
            key = next(iter(self._queue))
            del self._queue[key]
            plan = self._controller.plan(key, process.informer, process.api.now)
            self._busy = True
            self._run(key, plan, 0)

    def _run(self, key: str, plan: Plan, number: int) -> None:
        """Carry out the batches from this one on."""
        if number == len(plan.batches):
            self._backoffs.succeeded(key)
            self._done(key, plan.again)
            return
        batch = plan.batches[number]
        left, failed = len(batch), False

        def answered(request: Request, reply: Reply | None) -> None:
            nonlocal left, failed
            self._controller.answered(key, request, reply)
            failed = failed or not _went_well(request, reply)
            left -= 1
            if left:
                return
            if failed:
                self._done(key, self._backoffs.failed(key))
            else:
                self._run(key, plan, number + 1)
            self.go_on()

        for request in batch:
            self._process.ask(request, _answer_to(request, answered), self._bucket)

    def _done(self, key: str, again: float | None) -> None:
        self._busy = False
        if key == PERIODIC and self._controller.period is not None:
            again = self._controller.period
        if again is not None:
            self._add_later(key, self._process.env._now + again)

    def _add_later(self, key: str, at: float) -> None:
        waiting = self._later.get(key)
        if waiting is not None:
            if waiting[0] <= at:
                return
            waiting[1].cancel()
        kind = Beat if key == PERIODIC else Alarm
        self._later[key] = at, kind(self._process.env, at, lambda: self._due(key))

    def _due(self, key: str) -> None:
        del self._later[key]
        self._queue[key] = None
        self.go_on()


def _answer_to(request: Request, answered: Callable[[Request, Reply | None], None]) -> Callable[[Reply | None], None]:
    return lambda reply: answered(request, reply)


def _went_well(request: Request, reply: Reply | None) -> bool:
    """What is gone need not be deleted."""
    return isinstance(reply, Done) or (isinstance(request, Delete) and reply == Refused("not found"))
