"""No election at all: every process acts, as with `--leader-elect=false`."""

from __future__ import annotations

from hasim.machine import Announce, Effect, Event, Exit, Started, Stopping


class Unelected:
    """A process that takes itself for the leader from its start to its end, as a pure machine.

    All are in the same term, so a token tells none of them from the others.
    """

    token = 1

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.leads = False

    def may_act(self, now: float) -> bool:
        """Nothing forbids it."""
        return True

    def overdue(self, now: float) -> list[Effect]:
        """Never."""
        return []

    def fenced(self, now: float) -> list[Effect]:
        """It goes on."""
        return []

    def calm(self) -> str | None:
        """It waits for nothing."""
        return "?"

    def skipped(self, by: float) -> None:
        """It remembers no times."""

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Started):
            self.leads = True
            return [Announce("leading", {"identity": self.identity, "term": self.token})]
        if isinstance(event, Stopping):
            self.leads = False
            return [
                Announce("stopped leading", {"identity": self.identity, "why": "asked to stop"}),
                Exit("asked to stop"),
            ]
        return []
