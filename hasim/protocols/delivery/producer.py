"""A producer: it puts tasks into a queue, again if it must, by itself or through an outbox."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hasim.machine import (
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Proposed,
    Received,
    Save,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.delivery.messages import Put, Stored

POLL: Final = "poll"
AGAIN: Final = "again"

RECONNECT_S: Final = 1.0
"""Seconds until a producer tries again whose broker was gone; our assumption."""


class NewTask(NamedTuple):
    """What a client proposes: here is a task."""

    task: str
    group: str = ""


class Producer:
    """A producer, as a pure machine.

    It puts each task that is proposed to it, and again if its broker is gone, or has not answered for `again` seconds:
    under the same id, which a broker may know or not. What has not been stored when it crashes is lost, although
    whoever proposed it may have kept his half.

    With an outbox, a task is a row beside the data it comes from, written in one transaction with it. A relay looks
    every `outbox` seconds for rows that were not sent, puts them, and marks those that were stored: nothing is lost,
    each waits for half of that on average, and what was stored but not marked when it crashes is put again.

    It hears Started, Proposed(NewTask), Received(broker, Stored), Unlinked(broker), Stopping, and its timers.
    """

    def __init__(self, broker: str, again: float | None = None, outbox: float | None = None) -> None:
        """A producer that has not been started."""
        self.broker = broker
        self.again = again
        self.outbox = outbox
        self._rows: dict[int, NewTask] = {}  # not known to be stored
        self._puts = 0

    @property
    def is_idle(self) -> bool:
        """Whether all that was proposed is stored, as far as it knows."""
        return not self._rows

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Proposed):
            return self._new(event.command)
        if isinstance(event, Received) and isinstance(event.message, Stored):
            return self._stored(event.message.n)
        if isinstance(event, Fired):
            if event.timer == POLL:
                return [*self._put_all(), *self._poll()]
            return self._put_all() if event.timer == AGAIN else self._unanswered(int(event.timer))
        if isinstance(event, Unlinked):
            return [] if self.outbox is not None else [SetTimer(AGAIN, RECONNECT_S, RECONNECT_S)]
        if isinstance(event, Started) and self.outbox is not None:
            self._rows = dict(event.saved or {})
            self._puts = max(self._rows, default=0)
            return self._poll(first=True)
        return [Exit("asked to stop")] if isinstance(event, Stopping) else []

    def _new(self, task: NewTask) -> list[Effect]:
        self._puts += 1
        self._rows[self._puts] = task
        return self._put(self._puts) if self.outbox is None else [Save(("row", self._puts, task))]

    def _stored(self, n: int) -> list[Effect]:
        if self._rows.pop(n, None) is None:
            return []
        if self.outbox is not None:
            return [Save(("sent", n))]
        return [] if self.again is None else [CancelTimer(str(n))]

    def _put(self, n: int) -> list[Effect]:
        put = Send(self.broker, Put(n, *self._rows[n]))
        return (
            [put] if self.again is None or self.outbox is not None else [put, SetTimer(str(n), self.again, self.again)]
        )

    def _unanswered(self, n: int) -> list[Effect]:
        return self._put(n) if n in self._rows else []

    def _put_all(self) -> list[Effect]:
        return [effect for n in self._rows for effect in self._put(n)]

    def _poll(self, first: bool = False) -> list[Effect]:
        assert self.outbox is not None
        return [SetTimer(POLL, 0.0 if first else self.outbox, self.outbox)]


def keep_rows(saved: Any, record: Any) -> Any:
    """How the records of an outbox add up: rows that were not marked, by number."""
    rows: dict[int, NewTask] = saved if isinstance(saved, dict) else {}
    what, n, *rest = record
    if what == "row":
        rows[n] = rest[0]
    else:
        rows.pop(n, None)
    return rows
