"""A member of a consumer group: it polls, works through the batch, commits, and polls again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Linked,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.delivery.group_messages import (
    Assigned,
    Beat,
    Beaten,
    Commit,
    Committed,
    Fetch,
    Fetched,
    Join,
    Leave,
    Named,
    Record,
    Span,
)
from hasim.protocols.delivery.group_settings import ConsumerGroup
from hasim.protocols.delivery.messages import Delivered
from hasim.protocols.delivery.worker import RECONNECT, RECONNECT_S, WORK

if TYPE_CHECKING:
    from hasim.protocols.effects.finish import Finish

HEARTBEAT: Final = "heartbeat"
POLL: Final = "poll interval"
REQUEST: Final = "request"

REQUEST_TIMEOUT: Final = 30.0
"""Seconds after which a request without an answer is sent again: request.timeout.ms of the Kafka client."""

JOIN_EXTRA: Final = 5.0
"""Seconds for which it waits for the answer to Join beyond the longest poll interval: AbstractCoordinator."""


class GroupWorker:
    """A member of a consumer group, as a pure machine: see `ConsumerGroup`.

    It reads up to `max_poll_records` tasks from its partitions, works on one after another, commits them and waits for
    the answer, then polls again. `lasting(task, number)` says how long the `number`-th delivery of a task takes, in
    seconds. Partitions take turns: those that a batch came from are read last by the next.

    Heartbeats go on during work. From the answer it learns of a rebalance, which it joins at its next poll: at once if
    it waits for tasks, else after its batch, whose commit still counts if the rebalance waits for it. A batch that
    takes longer than the longest poll interval costs it its membership; it notices at its commit, gives up the rest of
    the batch, and joins anew. Asked to stop it leaves the group and commits nothing more.

    The Java client does not send a commit that can only be refused; this one does, to have it refused by the broker.

    Results are written as `finish` says, which does not ack; without one the end of the work is the effect.

    It hears Started, Received(broker, ...), Linked and Unlinked(broker), Stopping, and its timers. It announces "work
    begun", "effect" without a `finish` and "work ended" with one, with the task, and the number of its delivery.
    """

    def __init__(
        self,
        broker: str,
        settings: ConsumerGroup,
        lasting: Callable[[str, int], float],
        finish: Finish | None = None,
    ) -> None:
        """A worker that has not been started."""
        self.finish = finish
        self._finishing = False
        self.broker = broker
        self.settings = settings
        self._lasting = lasting
        self._member = ""
        self._generation = 0
        self._out = True  # of the group, as far as it knows
        self._rejoin = True  # at the next poll
        self._positions: dict[int, int] = {}  # of its partitions, those to be read first coming first
        self._batch: deque[Record] = deque()
        self._done: dict[int, Span] = {}  # not committed, by partition
        self._request: Join | Fetch | Commit | None = None  # has no answer yet
        self._requests = 0
        self._cut = False

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            return self._received(event.sender, event.message)
        if isinstance(event, Fired):
            return self._fired(event.timer, now)
        if isinstance(event, Started):
            return self._poll()
        if isinstance(event, Unlinked) and event.peer == self.broker:
            self._cut = True
            return [SetTimer(RECONNECT, RECONNECT_S, RECONNECT_S)]
        if isinstance(event, Linked) and event.peer == self.broker and self._cut:
            self._cut = False
            return self._again()
        elif isinstance(event, Stopping):
            left = [] if self._out else [Send(self.broker, Leave(self._member))]
            timers = [CancelTimer(timer) for timer in (WORK, HEARTBEAT, POLL, REQUEST, RECONNECT)]
            return [*left, *timers, Exit("asked to stop")]
        return []

    def _received(self, sender: str, message: object) -> list[Effect]:
        if self._finishing and self.finish is not None and sender != self.broker:
            effects, through = self.finish.hear(sender, message)
            return [*effects, *self._finish()] if through else effects
        if isinstance(message, Beaten):
            return self._beaten(message)
        request = self._request
        if request is None or getattr(message, "n", None) != request.n:
            return []  # the answer to a request that was given up
        if isinstance(request, Join):
            if isinstance(message, Named):
                self._member, self._out = message.member, False
                return self._ask(Join(self._number(), message.member))
            return self._assigned(message) if isinstance(message, Assigned) else []
        if isinstance(request, Fetch):
            return self._fetched(message) if isinstance(message, Fetched) else []
        return self._committed(message) if isinstance(message, Committed) else []

    def _fired(self, timer: str, now: float) -> list[Effect]:
        if timer == WORK:
            self._finishing = self.finish is not None
            return self._finish() if self.finish is None else self.finish.result(now)
        if timer == RECONNECT:
            self._cut = False
            return self._again()
        if timer == HEARTBEAT:
            beat = Send(self.broker, Beat(self._member, self._generation))
            return [beat, SetTimer(HEARTBEAT, self.settings.heartbeat, self.settings.heartbeat)]
        if timer == POLL:
            self._out = self._rejoin = True
            return [CancelTimer(HEARTBEAT), Send(self.broker, Leave(self._member))]
        return self._again()

    # Membership.

    def _join(self) -> list[Effect]:
        """Give up all partitions, and ask for new ones."""
        self._rejoin = False
        if self._out:
            self._member = ""
        return [CancelTimer(HEARTBEAT), *self._ask(Join(self._number(), self._member))]

    def _assigned(self, assigned: Assigned) -> list[Effect]:
        self._generation = assigned.generation
        self._positions = dict(assigned.positions)
        beat = SetTimer(HEARTBEAT, self.settings.heartbeat, self.settings.heartbeat)
        return [*self._answered(), beat, *self._poll()]

    def _beaten(self, answer: Beaten) -> list[Effect]:
        if answer.status == "ok" or answer.generation != self._generation or isinstance(self._request, Join):
            return []
        self._rejoin = True
        gone: list[Effect] = []
        if answer.status == "unknown":
            self._out = True
            gone = [CancelTimer(HEARTBEAT)]
        busy = self._batch or isinstance(self._request, Commit)
        return gone if busy else [*gone, *self._join()]

    # Work.

    def _poll(self) -> list[Effect]:
        void = CancelTimer(POLL)
        if self._rejoin:
            return [void, *self._join()]
        if not self._positions:
            return [void]  # more members than partitions: it waits for a rebalance
        fetch = Fetch(self._number(), tuple(self._positions.items()), self.settings.max_poll_records)
        return [void, *self._ask(fetch)]

    def _fetched(self, fetched: Fetched) -> list[Effect]:
        self._batch.extend(fetched.records)
        for partition in dict.fromkeys(record.partition for record in fetched.records):
            self._positions[partition] = self._positions.pop(partition)  # to the end of the line
        for record in fetched.records:
            self._positions[record.partition] = record.offset + 1
        longest = self.settings.max_poll_interval
        return [*self._answered(), SetTimer(POLL, longest, longest), *self._begin()]

    def _begin(self) -> list[Effect]:
        record = self._batch[0]
        lasting = self._lasting(record.task, record.number)
        task = Delivered(record.task, record.offset + 1, record.number)
        first = [] if self.finish is None else self.finish.attempt(task)
        return [*first, SetTimer(WORK, lasting, lasting), self._said("work begun", record)]

    def _finish(self) -> list[Effect]:
        record = self._batch.popleft()
        self._finishing = False
        said = self._said("effect" if self.finish is None else "work ended", record)
        done = self._done.get(record.partition)
        begin = record.offset if done is None else done.begin
        self._done[record.partition] = Span(record.partition, begin, record.offset + 1)
        if self._batch and self.settings.commit == "batch":
            return [said, *self._begin()]
        commit = Commit(self._number(), self._member, self._generation, tuple(self._done.values()))
        self._done = {}
        return [said, *self._ask(commit)]

    def _committed(self, answer: Committed) -> list[Effect]:
        if answer.status != "ok":
            self._batch.clear()
            self._rejoin = True
            self._out = self._out or answer.status == "unknown"
        return [*self._answered(), *(self._begin() if self._batch else self._poll())]

    def _said(self, kind: str, record: Record) -> Announce:
        return Announce(kind, {"task": record.task, "number": record.number})

    # Requests.

    def _number(self) -> int:
        self._requests += 1
        return self._requests

    def _ask(self, request: Join | Fetch | Commit) -> list[Effect]:
        self._request = request
        longest = self.settings.max_poll_interval + JOIN_EXTRA
        wait = max(longest, REQUEST_TIMEOUT) if isinstance(request, Join) else REQUEST_TIMEOUT
        return [Send(self.broker, request), SetTimer(REQUEST, wait, wait)]

    def _answered(self) -> list[Effect]:
        self._request = None
        return [CancelTimer(REQUEST)]

    def _again(self) -> list[Effect]:
        """Ask again what has no answer: it was lost, or the answer was."""
        return [] if self._request is None else self._ask(self._request._replace(n=self._number()))
