"""Monit's one serial loop, as a pure machine: it looks at one process after another, and starts what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from hasim.protocols.health.messages import Ping, Pong
from hasim.protocols.health.monit import Monit


@dataclass(slots=True)
class _Watched:
    """One process, and what the loop remembers of it."""

    name: str
    run: int = 0  # failed tests in a row; from `failures` of them on every further one acts
    restarts: int = 0
    cycles: int = 0
    monitored: bool = True


class MonitLoop:
    """The loop of one Monit over its processes, in order.

    It hears Started, Received(process, Pong), Unlinked(process) and its timers. It sends Ping(n) to test a process,
    which Monit takes for failed after `timeout`, and Ping(n, "exists") to see whether one that it has started is there,
    which the process table answers, not the process. It announces, with the process and why, "test failed", "restart"
    (stop what is left of it, and start it), "start failed" when none was seen in time, and "unmonitored" when it has
    given a process up.

    The first cycle comes at a random moment of one cycle. That Monit puts off tests of connections while a process is
    younger than its start timeout is the driver's to answer. To begin afresh, make a new one.
    """

    __slots__ = ("_at", "_looks", "_sent", "_testing", "declared", "watched")

    def __init__(self, declared: Monit, processes: Sequence[str]) -> None:
        """A loop that has not been started."""
        self.declared = declared
        self.watched = [_Watched(name) for name in processes]
        self._at = 0  # whose turn it is
        self._sent = 0
        self._testing = False  # whether test `_sent` is under way
        self._looks: list[float] | None = None  # waits until further looks at what was started, if anything was

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; the time of day changes nothing."""
        if isinstance(event, Fired):
            return self._fired(event.timer)
        if isinstance(event, Received):
            message = event.message
            if isinstance(message, Pong) and message.n == self._sent and self._is_on(event.sender):
                if self._testing:
                    return [CancelTimer("timeout"), *self._tested(message.ok, message.why)]
                if self._looks is not None and (message.ok or not self._looks):
                    return [CancelTimer("look"), *self._start_ended(message.ok)]
        elif isinstance(event, Unlinked):
            if self._testing and self._is_on(event.peer):
                return [CancelTimer("timeout"), *self._tested(False, "connection lost")]
        elif isinstance(event, Started):
            return [SetTimer("cycle", 0.0, self.declared.cycle)]
        elif isinstance(event, Stopping):
            self._testing, self._looks = False, None
            return [*(CancelTimer(timer) for timer in ("cycle", "timeout", "look")), Exit("asked to stop")]
        return []

    def _is_on(self, name: str) -> bool:
        return self._at < len(self.watched) and self.watched[self._at].name == name

    def _fired(self, timer: str) -> list[Effect]:
        if timer == "timeout" and self._testing:
            return self._tested(False, "timeout")
        if timer == "look" and self._looks is not None:
            return self._look(self._looks) if self._looks else self._start_ended(False)
        if timer == "cycle":
            self._at = 0
            return self._visit()
        return []

    def _visit(self) -> list[Effect]:
        """Test the process whose turn it is, or sleep when all have had theirs."""
        effects: list[Effect] = []
        while self._at < len(self.watched):
            process = self.watched[self._at]
            if process.monitored:
                effects += self._counted(process)
            if process.monitored:
                self._testing = True
                self._sent += 1
                timeout = self.declared.timeout
                return [*effects, Send(process.name, Ping(self._sent)), SetTimer("timeout", timeout, timeout)]
            self._at += 1
        return [*effects, SetTimer("cycle", self.declared.cycle, self.declared.cycle)]

    def _next(self) -> list[Effect]:
        self._at += 1
        return self._visit()

    def _counted(self, process: _Watched) -> list[Effect]:
        """Before it is tested: whether it has been restarted too often (src/validate.c, _checkTimeout)."""
        restarts, within = self.declared.restarts, self.declared.within
        if restarts is None or within is None or not process.restarts:
            return []
        process.cycles += 1
        if process.restarts >= restarts and process.cycles <= within:
            process.monitored = False
            why = f"{process.restarts} restarts within {process.cycles} cycles"
            return [Announce("unmonitored", {"process": process.name, "why": why})]
        if process.cycles > within:
            process.restarts = process.cycles = 0
        return []

    def _tested(self, ok: bool, why: str) -> list[Effect]:
        self._testing = False
        process = self.watched[self._at]
        if ok:
            process.run = 0
            return self._next()
        process.run += 1
        said = {"process": process.name, "why": why}
        if process.run < self.declared.failures:
            return [Announce("test failed", said), *self._next()]
        process.restarts += 1
        looks = self.declared.looks()
        self._looks = [after - before for before, after in zip([0.0, *looks], looks, strict=False)]
        first = SetTimer("look", self._looks[0], self._looks[0])
        return [Announce("test failed", said), Announce("restart", said), first]

    def _look(self, waits: list[float]) -> list[Effect]:
        """Ask whether what was started is there, and be ready to look again, or to go without an answer."""
        del waits[0]
        self._sent += 1
        again = waits[0] if waits else self.declared.timeout
        return [Send(self.watched[self._at].name, Ping(self._sent, "exists")), SetTimer("look", again, again)]

    def _start_ended(self, seen: bool) -> list[Effect]:
        self._looks = None
        process = self.watched[self._at]
        failed = Announce("start failed", {"process": process.name, "why": "it was not seen in time"})
        return self._next() if seen else [failed, *self._next()]
