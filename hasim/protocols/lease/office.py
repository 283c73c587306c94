"""A process that does its duty while it leads: a candidate, and the work of the one that is elected."""

from __future__ import annotations

from typing import Final

from hasim.machine import CancelTimer, Effect, Event, Fired, Received, Send, SetTimer, Unlinked
from hasim.protocols.lease.candidate import Candidate
from hasim.protocols.lease.coordinated import CoordinatedCandidate
from hasim.protocols.lease.messages import Write, Wrote
from hasim.protocols.lease.settings import Duty
from hasim.protocols.lease.ttl import TtlCandidate
from hasim.protocols.lease.unelected import Unelected

ROUND: Final = "duty round"
WRITE: Final = "duty write"


class Office:
    """A candidate and its duty in one process, as a pure machine.

    As long as the candidate leads, item after item goes to the node `resource`: see `Duty`. Who begins a term of office
    asks how many are done and goes on from there. Who is refused for an old version does the same, and so does whoever
    has lost the connection, in its next round. Nothing is asked twice before an answer has come, so a round whose write
    is not answered yet is left out.
    """

    def __init__(
        self, candidate: Candidate | CoordinatedCandidate | TtlCandidate | Unelected, duty: Duty, resource: str
    ) -> None:
        """A process that has not been started."""
        self.candidate = candidate
        self.duty = duty
        self.resource = resource
        self._term = 0  # the token of the term that it has begun, 0 out of office
        self._sent = 0
        self._pending = False
        self._item = 0  # the next to do, 0: not known yet

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order: those of the candidate first."""
        if isinstance(event, Fired) and event.timer in (ROUND, WRITE):
            effects = self._round(now) if event.timer == ROUND else self._write()
        elif isinstance(event, Received) and isinstance(event.message, Wrote):
            effects = self._wrote(event.message, now)
        elif isinstance(event, Unlinked) and event.peer == self.resource:
            self._item, self._pending = 0, False  # what it wrote last is done or is not
            effects = []
        else:
            effects = self.candidate.step(event, now)
        term = self.candidate.token if self.candidate.leads else 0
        if term != self._term:
            self._term = term
            effects = [*effects, *(self._begin() if term else self._end())]
        return effects

    def calm(self) -> str | None:
        """A process with a duty is never calm."""
        return None

    def skipped(self, by: float) -> None:
        """So many seconds have been left out."""
        self.candidate.skipped(by)

    def _begin(self) -> list[Effect]:
        self._item = 0
        return [CancelTimer(WRITE), *self._write(), SetTimer(ROUND, self.duty.every, self.duty.every)]

    def _end(self) -> list[Effect]:
        self._pending = False
        return [CancelTimer(ROUND), CancelTimer(WRITE)]

    def _round(self, now: float) -> list[Effect]:
        duty = self.duty
        again = SetTimer(ROUND, duty.every, duty.every)
        if duty.looks and not self.candidate.may_act(now):
            return [again, *self.candidate.overdue(now)]
        if self._pending:
            return [again]
        if duty.takes and self._item:
            # Work that ends when the next round begins is written before that.
            return [SetTimer(WRITE, duty.takes, duty.takes), again]
        return [again, *self._write()]

    def _write(self) -> list[Effect]:
        """Write the next item, or ask which it is."""
        self._pending = True
        return [self._send(self._item)]

    def _send(self, item: int) -> Effect:
        self._sent += 1
        return Send(self.resource, Write(self._sent, self.candidate.token, item))

    def _wrote(self, wrote: Wrote, now: float) -> list[Effect]:
        if wrote.n != self._sent or not self._pending:
            return []
        self._pending = False
        if wrote.why == "fenced":
            return self.candidate.fenced(now)
        known = self._item and wrote.why != "conflict"
        self._item = self._item + 1 if known else wrote.done + 1
        return []
