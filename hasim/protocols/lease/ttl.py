"""A candidate for a lease with a time to live: it takes the lease if nobody has it, and renews it.

Rules:

1. Who does not hold it asks for it every `retry`, give or take, or (with `watch`) when it is told that it is free.
2. The holder renews `renew` after the last answer. If the store says that the lease is somebody else's, or nobody's,
   it stops leading. If no answer comes it tries again after `retry`, and believes what it believed: the store has
   ended the lease at the latest a time to live after the last renewal, and the holder that does not look at its
   clock does not know.
3. A holder that is asked to stop gives the lease back.

Sources: Redis, "Distributed locks" (SET NX PX, and a script that renews only one's own); etcd, clientv3/concurrency.
"""

from __future__ import annotations

from typing import Literal

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
from hasim.protocols.lease.messages import Acquire, Denied, Granted, Release, Renew, Vacant
from hasim.protocols.lease.settings import TtlLease

Mode = Literal["waiting", "leading", "releasing", "over"]


class TtlCandidate:
    """One candidate, as a pure machine.

    It hears Started, Received(store, Granted, Denied or Vacant), Unlinked(store), Stopping, and the timers "retry",
    "renew" and "timeout". It sends Acquires, Renews and a Release, and announces "leading" and "stopped leading".
    """

    def __init__(self, lease: TtlLease, identity: str, store: str) -> None:
        """A candidate for the lease that the node `store` keeps."""
        self.lease = lease
        self.identity = identity
        self.store = store
        self.mode: Mode = "waiting"
        self.token = 0
        self._sent = 0
        self._sent_at = 0.0
        self._pending = False
        self._until = 0.0  # by its own clock, when the store may have ended the lease

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        return self.mode == "leading"

    def may_act(self, now: float) -> bool:
        """Whether its lease lasts, by its own clock: a time to live since it sent the last renewal."""
        return self.leads and now < self._until

    def overdue(self, now: float) -> list[Effect]:
        """It has looked at its clock, and the lease is over."""
        return self._step_down("deadline")

    def fenced(self, now: float) -> list[Effect]:
        """The resource has refused a write of an old term, so somebody else leads."""
        return self._step_down("fenced")

    def calm(self) -> str | None:
        """Who holds the lease, as far as this candidate knows: itself, or it cannot tell ("?")."""
        if self.mode == "leading":
            return self.identity
        return "?" if self.mode == "waiting" else None

    def skipped(self, by: float) -> None:
        """So many seconds of calm have been left out: what it remembers is that much later."""
        self._until += by
        self._sent_at += by

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            message = event.message
            if isinstance(message, Vacant):
                return self._ask(now) if self.mode == "waiting" and not self._pending else []
            if isinstance(message, Granted | Denied) and message.n == self._sent and self._pending:
                self._pending = False
                return [CancelTimer("timeout"), *self._answered(message, now)]
        elif isinstance(event, Fired):
            if event.timer == "timeout" and self._pending:
                self._pending = False
                return self._unanswered()
            if event.timer == "retry" and not self._pending:
                return self._ask(now)
            if event.timer == "renew" and self.mode == "leading" and not self._pending:
                return self._ask(now)
        elif isinstance(event, Unlinked):
            if event.peer == self.store:
                pending, self._pending = self._pending, False
                return [CancelTimer("timeout"), *self._unanswered()] if pending or self.mode == "waiting" else []
        elif isinstance(event, Started):
            return self._ask(now)
        elif isinstance(event, Stopping):
            return self._stop()
        return []

    def _ask(self, now: float) -> list[Effect]:
        """Ask for the lease, or for more time."""
        self._sent += 1
        self._sent_at, self._pending = now, True
        verb = Renew if self.mode == "leading" else Acquire
        patience = self.lease.patience
        return [
            Send(self.store, verb(self._sent, self.identity, self.lease.ttl)),
            SetTimer("timeout", patience, patience),
        ]

    def _answered(self, message: Granted | Denied, now: float) -> list[Effect]:
        if self.mode == "releasing":
            return self._leave()
        if isinstance(message, Denied):
            if self.mode == "leading":
                return self._step_down("not its own")
            return [] if self.lease.watch else [self._again()]
        self._until = self._sent_at + self.lease.ttl
        renew = SetTimer("renew", self.lease.renew, self.lease.renew)
        if self.mode == "leading":
            return [renew]
        self.mode, self.token = "leading", message.token
        return [Announce("leading", {"identity": self.identity, "term": self.token}), renew]

    def _unanswered(self) -> list[Effect]:
        return self._leave() if self.mode == "releasing" else [self._again()]

    def _again(self) -> Effect:
        retry, jitter = self.lease.retry, self.lease.jitter
        return SetTimer("retry", retry * (1 - jitter), retry * (1 + jitter))

    def _step_down(self, why: str) -> list[Effect]:
        if self.mode != "leading":
            return []
        self.mode = "waiting"
        self._pending = False
        stopped = Announce("stopped leading", {"identity": self.identity, "why": why})
        return [stopped, CancelTimer("renew"), CancelTimer("timeout"), self._again()]

    def _stop(self) -> list[Effect]:
        if self.mode != "leading":
            return self._leave()
        stopped = Announce("stopped leading", {"identity": self.identity, "why": "asked to stop"})
        if not self.lease.release:
            return [stopped, *self._leave()]
        self.mode = "releasing"
        self._sent += 1
        self._pending = True
        patience = self.lease.patience
        return [
            stopped,
            CancelTimer("renew"),
            CancelTimer("retry"),
            Send(self.store, Release(self._sent, self.identity)),
            SetTimer("timeout", patience, patience),
        ]

    def _leave(self) -> list[Effect]:
        self.mode = "over"
        return [Exit("asked to stop")]
