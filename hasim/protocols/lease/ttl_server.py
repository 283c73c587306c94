"""A store that ends a lease by itself: Redis to the millisecond, etcd with the next pass of its loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hasim.machine import CancelTimer, Effect, Event, Fired, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.lease.messages import Acquire, Denied, Granted, Release, Renew, Vacant
from hasim.protocols.lease.settings import SCAN_S, TtlLease

Ask = Acquire | Renew | Release
SCAN: Final = " scan"  # no node is called that
REVOKE: Final = " revoke"
LATE_S: Final = 1e-3
"""By up to this a pass of etcd comes late: Go's poller sleeps in whole milliseconds (runtime/netpoll_epoll.go)."""


class Held(NamedTuple):
    """Who holds the lease ("" for nobody), until when by the server's clock, and the number of its term."""

    owner: str = ""
    until: float = 0.0
    token: int = 0

    def later(self, by: float) -> Held:
        """The same, so many seconds later."""
        return self._replace(until=self.until + by)


class TtlServer:
    """The store, as a pure machine: it carries each request out after `low` to `high` seconds, and answers.

    Redis looks at the time when it is asked. In etcd a lease that has run out is there until a pass over all of them,
    and then is revoked through the log, which takes as long as any request. Whoever watches is told then. A lease that
    has run out cannot be renewed.

    A pass comes 500 ms after the last has ended, and up to `late` seconds more. Who takes the lease right after a pass
    and renews every whole second stays in step with the passes, just behind them; were none of them late, for ever.

    A client's next request takes the place of its last. What is held survives a crash.

    It hears Started, Received(candidate, Acquire, Renew or Release), Unlinked(candidate), and timers.
    """

    def __init__(self, lease: TtlLease, watchers: Sequence[str], low: float, high: float, late: float = LATE_S) -> None:
        """A server that has not been started; `watchers` are told when the lease is gone, times are seconds."""
        self.lease = lease
        self.low, self.high = low, high
        self.late = late
        self.held = Held()
        self._watchers = tuple(watchers) if lease.watch else ()
        self._asked: dict[str, Ask] = {}  # by who waits for it, which are the names of their timers
        self._revoking = False

    def skipped(self, by: float) -> None:
        """So many seconds of calm have been left out: what it remembers is that much later."""
        self.held = self.held.later(by)

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            if isinstance(event.message, Acquire | Renew | Release):
                self._asked[event.sender] = event.message
                return [SetTimer(event.sender, self.low, self.high)]
        elif isinstance(event, Fired):
            if event.timer == SCAN:
                return self._scan(now)
            if event.timer == REVOKE:
                return self._revoke(now)
            asked = self._asked.pop(event.timer, None)
            return [] if asked is None else self._serve(event.timer, asked, now)
        elif isinstance(event, Unlinked):
            return [] if self._asked.pop(event.peer, None) is None else [CancelTimer(event.peer)]
        elif isinstance(event, Started):
            if event.saved is not None:
                self.held = event.saved
            return [SetTimer(SCAN, 0.0, SCAN_S)] if self.lease.store == "etcd" else []
        return []

    def _serve(self, sender: str, ask: Ask, now: float) -> list[Effect]:
        mine = self.held.owner == ask.owner
        if isinstance(ask, Release):
            freed = self._free() if mine else []
            return [*freed, Send(sender, Granted(ask.n, self.held.token))]
        lives = self.held.owner != "" and now < self.held.until
        if isinstance(ask, Renew):
            if not (mine and lives):
                return [Send(sender, Denied(ask.n))]
            token = self.held.token
        else:
            if self.held.owner != "" and (lives or self.lease.store == "etcd"):
                return [Send(sender, Denied(ask.n))]
            token = self.held.token + 1
        self.held = Held(ask.owner, now + ask.ttl, token)
        return [Save(self.held), Send(sender, Granted(ask.n, token))]

    def _scan(self, now: float) -> list[Effect]:
        again = SetTimer(SCAN, SCAN_S, SCAN_S + self.late)
        over = self.held.owner != "" and now >= self.held.until
        if not over or self._revoking:
            return [again]
        self._revoking = True
        return [again, SetTimer(REVOKE, self.low, self.high)]

    def _revoke(self, now: float) -> list[Effect]:
        self._revoking = False
        return self._free() if self.held.owner and now >= self.held.until else []

    def _free(self) -> list[Effect]:
        self.held = Held(token=self.held.token)
        return [Save(self.held), *(Send(watcher, Vacant()) for watcher in self._watchers)]


def keep_held(saved: Held | None, record: Held) -> Held:
    """The journal of a TtlServer: the last record is all there is."""
    return record
