"""The API server as candidates see it: a store of records with versions, which takes its time."""

from __future__ import annotations

from typing import Any

from hasim.machine import CancelTimer, Effect, Event, Fired, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.api import ObjectStore
from hasim.protocols.lease.messages import Answered, Call, Hangup


class LeaseServer:
    """The store, as a pure machine: it answers each call after `low` to `high` seconds, and has done it just before.

    Who hangs up, or whose connection breaks, before that has asked for nothing, and a client's next call takes the
    place of its last. Records survive a crash; they are etcd's. While it is paused it stands for API servers whose etcd
    has no quorum: calls are kept, and answered in time if they can be.

    It hears Started, Received(candidate, Call or Hangup), Unlinked(candidate), and a timer for each client.
    """

    def __init__(self, low: float, high: float) -> None:
        """A server that has not been started; times in seconds."""
        self.low, self.high = low, high
        self.store = ObjectStore()
        self._calls: dict[str, Call] = {}  # by who waits for them, which are the names of their timers

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            message, sender = event.message, event.sender
            if isinstance(message, Call):
                self._calls[sender] = message
                return [SetTimer(sender, self.low, self.high)]
            if isinstance(message, Hangup) and sender in self._calls and self._calls[sender].n == message.n:
                return self._drop(sender)
        elif isinstance(event, Fired):
            return self._serve(event.timer, now)
        elif isinstance(event, Unlinked):
            return self._drop(event.peer)
        elif isinstance(event, Started) and event.saved is not None:
            self.store = event.saved.copy()
        return []

    def _serve(self, sender: str, now: float) -> list[Effect]:
        call = self._calls.pop(sender, None)
        if call is None:
            return []
        reply, change = self.store.apply(call.request, now)
        answer = Send(sender, Answered(call.n, reply))
        return [answer] if change is None else [Save(change), answer]

    def _drop(self, sender: str) -> list[Effect]:
        return [] if self._calls.pop(sender, None) is None else [CancelTimer(sender)]


def keep(saved: Any, record: Any) -> ObjectStore:
    """The journal of a LeaseServer: every write goes into the store that the next life begins with."""
    store: ObjectStore = ObjectStore() if saved is None else saved
    store.restore(record)
    return store
