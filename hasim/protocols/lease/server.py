"""The API server as candidates see it: a store of records with versions, which takes its time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hasim.machine import CancelTimer, Effect, Event, Fired, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.api import ObjectStore
from hasim.protocols.lease.coordinator import Coordinator, later
from hasim.protocols.lease.messages import Answered, Call, Hangup


class LeaseServer:
    """The store, as a pure machine: it answers each call after `low` to `high` seconds, and has done it just before.

    Who hangs up, or whose connection breaks, before that has asked for nothing, and a client's next call takes the
    place of its last. Records survive a crash; they are etcd's. While it is paused it stands for API servers whose etcd
    has no quorum: calls are kept, and answered in time if they can be. A controller that elects, if there is
    one, lives in the same process: it stops with it, and begins anew with it.

    It hears Started, Received(candidate, Call or Hangup), Unlinked(candidate), and a timer for each client's line.
    """

    def __init__(self, low: float, high: float, coordinator: Coordinator | None = None) -> None:
        """A server that has not been started; times in seconds."""
        self.low, self.high = low, high
        self.store = ObjectStore()
        self.coordinator = coordinator
        self._calls: dict[str, tuple[str, Call]] = {}  # who waits for them; by their lines, which name their timers

    def is_calm(self, identities: Collection[str]) -> bool:
        """Whether its controller, if any, has nothing to do while these processes are the candidates."""
        return self.coordinator is None or self.coordinator.is_calm(self.store, identities)

    def skipped(self, by: float) -> None:
        """So many seconds of calm have been left out: whoever compares times in records with the time of day minds."""
        if self.coordinator is not None:
            self.store = later(self.store, by)

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if self.coordinator is None:
            return self._step(event, now)
        effects = [] if self.coordinator.hears(event) else self._step(event, now)
        return [*effects, *self.coordinator.step(event, self.store, now)]

    def _step(self, event: Event, now: float) -> list[Effect]:
        if isinstance(event, Received):
            message, sender = event.message, event.sender
            if isinstance(message, Call):
                line = sender + message.line
                self._calls[line] = sender, message
                return [SetTimer(line, self.low, self.high)]
            if isinstance(message, Hangup):
                line = sender + message.line
                return self._drop(line) if line in self._calls and self._calls[line][1].n == message.n else []
        elif isinstance(event, Fired):
            return self._serve(event.timer, now)
        elif isinstance(event, Unlinked):
            lines = [line for line, (sender, _) in self._calls.items() if sender == event.peer]
            return [effect for line in lines for effect in self._drop(line)]
        elif isinstance(event, Started) and event.saved is not None:
            self.store = event.saved.copy()
        return []

    def _serve(self, line: str, now: float) -> list[Effect]:
        if line not in self._calls:
            return []
        sender, call = self._calls.pop(line)
        reply, change = self.store.apply(call.request, now)
        answer = Send(sender, Answered(call.n, reply, call.line))
        if change is None:
            return [answer]
        told = [] if self.coordinator is None else self.coordinator.changed(change, self.store, now)
        return [Save(change), answer, *told]

    def _drop(self, line: str) -> list[Effect]:
        del self._calls[line]
        return [CancelTimer(line)]


def keep(saved: Any, record: Any) -> ObjectStore:
    """The journal of a LeaseServer: every write goes into the store that the next life begins with."""
    store: ObjectStore = ObjectStore() if saved is None else saved
    store.restore(record)
    return store
