"""The broker of a consumer group: logs, committed offsets, and who is a member of which generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Received, Send, SetTimer, Unlinked
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
    Status,
)
from hasim.protocols.delivery.group_settings import ConsumerGroup
from hasim.protocols.delivery.messages import Put, Stored

REBALANCE: Final = "rebalance"
SESSION: Final = "session "


@dataclass(slots=True)
class _Entry:
    """A task in a log, and how often it was delivered."""

    task: str
    number: int = 0


@dataclass(slots=True)
class _Member:
    """A member: its process, the number of the Join that waits for an answer if one does, and its partitions."""

    worker: str
    joining: int | None = None
    partitions: range = range(0)


@dataclass(slots=True)
class _Rebalance:
    """A rebalance under way. The first of an empty group (`first`) waits for its time, whoever has joined.

    While newcomers keep coming (`grown`) the first of all is put off again, as long as something of `left` is left.
    """

    first: bool
    left: float = 0.0
    grown: bool = False


class GroupBroker:
    """Broker and coordinator of one consumer group, as a pure machine: see `ConsumerGroup`.

    Tasks go to the partitions in turn. A rebalance begins when a member comes, leaves, or has been silent for the
    session timeout, and ends when all known members have rejoined; those that have not after the longest poll interval
    are thrown out. Until it ends, commits of the generation before still count. Members that wait to be assigned are
    not missed until they are. A fetch that finds nothing waits for the next task in one of its partitions; it is not
    asked for its generation, as in Kafka.

    It hears Received of the messages of producers and members, Unlinked(worker), which ends nothing but a fetch that
    waits, and its timers. It announces "task stored", "task delivered", "task acked" once a task, "ack refused" for
    each task of a commit that does not count, "put again" (dropped), and "rebalance begun" (`generation`: the one that
    ends; `why`) and "rebalance ended" (the one that begins), with the `members` by id.
    """

    def __init__(self, settings: ConsumerGroup) -> None:
        """A topic with no tasks, and a group with no members."""
        self.settings = settings
        self._logs: list[list[_Entry]] = [[] for _ in range(settings.partitions)]
        self._committed = [0] * settings.partitions
        self._known: set[str] = set()
        self._puts = 0
        self._members: dict[str, _Member] = {}
        self._not_joined: dict[str, None] = {}  # members that the rebalance waits for
        self._rebalance: _Rebalance | None = None
        self._generation = 0
        self._ids = 0
        self._parked: dict[str, Fetch] = {}  # fetches that wait, by worker
        self._readers: list[dict[str, None]] = [{} for _ in range(settings.partitions)]  # whose they are, by partition

    def successor(self) -> GroupBroker:
        """The broker that takes over: it has the logs and the offsets, which are replicated, and knows no member."""
        other = GroupBroker(self.settings)
        other._logs, other._committed, other._puts = self._logs, self._committed, self._puts
        other._known = self._known
        other._generation, other._ids = self._generation, self._ids
        return other

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            return self._received(event.sender, event.message)
        if isinstance(event, Fired):
            if event.timer == REBALANCE:
                return self._waited()
            return self._remove(event.timer.removeprefix(SESSION), "session timeout")
        if isinstance(event, Unlinked):
            self._unpark(event.peer)
        return []

    def _received(self, sender: str, message: object) -> list[Effect]:
        if isinstance(message, Put):
            return self._put(sender, message)
        if isinstance(message, Fetch):
            return self._fetch(sender, message)
        if isinstance(message, Commit):
            return self._commit(sender, message)
        if isinstance(message, Beat):
            status, effects = self._alive(message.member, message.generation)
            if status == "ok" and self._rebalance is not None:
                status = "rebalancing"
            return [*effects, Send(sender, Beaten(message.generation, status))]
        if isinstance(message, Join):
            return self._join(sender, message)
        if isinstance(message, Leave):
            return self._remove(message.member, "left")
        return []

    # Tasks.

    def _put(self, sender: str, put: Put) -> list[Effect]:
        if put.task in self._known:  # producers are idempotent by default since Kafka 3.0 (KIP-679)
            return [Send(sender, Stored(put.n)), Announce("put again", {"task": put.task, "number": 0})]
        self._known.add(put.task)
        partition = self._puts % len(self._logs)
        self._puts += 1
        self._logs[partition].append(_Entry(put.task))
        effects: list[Effect] = [Send(sender, Stored(put.n)), Announce("task stored", {"task": put.task, "number": 0})]
        for worker in list(self._readers[partition]):
            effects += self._fetch(worker, self._parked[worker])
        return effects

    def _fetch(self, worker: str, fetch: Fetch) -> list[Effect]:
        self._unpark(worker)
        records: list[Record] = []
        for partition, offset in fetch.positions:
            log = self._logs[partition]
            for place in range(offset, min(len(log), offset + fetch.most - len(records))):
                log[place].number += 1
                records.append(Record(partition, place, log[place].task, log[place].number))
        if not records:
            self._parked[worker] = fetch
            for partition, _ in fetch.positions:
                self._readers[partition][worker] = None
            return []
        said = [
            Announce("task delivered", {"task": record.task, "worker": worker, "number": record.number})
            for record in records
        ]
        return [Send(worker, Fetched(fetch.n, tuple(records))), *said]

    def _unpark(self, worker: str) -> None:
        """Forget the fetch of a worker that waits."""
        fetch = self._parked.pop(worker, None)
        for partition, _ in fetch.positions if fetch is not None else ():
            self._readers[partition].pop(worker, None)

    def _commit(self, sender: str, commit: Commit) -> list[Effect]:
        status, effects = self._alive(commit.member, commit.generation)
        effects.append(Send(sender, Committed(commit.n, status)))
        for span in commit.spans:
            effects += self._acked(span) if status == "ok" else self._refused(span)
        return effects

    def _acked(self, span: Span) -> list[Effect]:
        done = self._logs[span.partition][self._committed[span.partition] : span.end]
        self._committed[span.partition] += len(done)
        return [Announce("task acked", {"task": entry.task, "late": False}) for entry in done]

    def _refused(self, span: Span) -> list[Effect]:
        done = self._logs[span.partition][span.begin : span.end]
        return [Announce("ack refused", {"task": entry.task, "number": entry.number}) for entry in done]

    # Members.

    def _alive(self, member_id: str, generation: int) -> tuple[Status, list[Effect]]:
        """What the broker thinks of a member that speaks for this generation; if it is of it, its session goes on."""
        member = self._members.get(member_id)
        if member is None:
            return "unknown", []
        if generation != self._generation:
            return "old", []
        return "ok", [self._session(member_id)] if member.joining is None else []

    def _join(self, sender: str, join: Join) -> list[Effect]:
        self._unpark(sender)
        if not join.member:
            self._ids += 1
            return [Send(sender, Named(join.n, f"{sender}/{self._ids}"))]
        member = self._members.get(join.member)
        if member is not None and self._rebalance is None:  # its answer was lost
            member.joining = join.n
            return [self._assign(join.member, member), self._session(join.member)]
        effects: list[Effect] = [CancelTimer(SESSION + join.member)]
        if member is None:
            if self._rebalance is None:
                effects += self._begin("joined")
            else:
                self._rebalance.grown = True
            member = self._members[join.member] = _Member(sender)
        member.joining = join.n
        self._not_joined.pop(join.member, None)
        return [*effects, *self._end_if_all_joined()]

    def _remove(self, member_id: str, why: str) -> list[Effect]:
        """A member is gone: its partitions are for the others."""
        member = self._members.get(member_id)
        if member is None:
            return []
        begun = self._begin(why) if self._rebalance is None else []
        return [*begun, self._forget(member_id), *self._end_if_all_joined()]

    def _forget(self, member_id: str) -> Effect:
        self._unpark(self._members.pop(member_id).worker)
        self._not_joined.pop(member_id, None)
        return CancelTimer(SESSION + member_id)

    def _session(self, member_id: str) -> Effect:
        return SetTimer(SESSION + member_id, self.settings.session_timeout, self.settings.session_timeout)

    # Rebalances.

    def _begin(self, why: str) -> list[Effect]:
        """From now on all members are asked to rejoin."""
        longest, delay = self.settings.max_poll_interval, self.settings.rebalance_delay
        first = not self._members
        # Only the very first generation is put off for the sake of newcomers.
        left = max(longest - delay, 0.0) if self._generation == 0 else 0.0
        self._rebalance = _Rebalance(first, left)
        self._not_joined = dict.fromkeys(self._members)
        wait = delay if first else longest
        detail = {"generation": self._generation, "members": tuple(self._members), "why": why}
        return [Announce("rebalance begun", detail), SetTimer(REBALANCE, wait, wait)]

    def _waited(self) -> list[Effect]:
        """The time of a rebalance is over."""
        rebalance = self._rebalance
        if rebalance is None:
            return []
        if rebalance.first and rebalance.grown and rebalance.left > 0:
            wait = min(self.settings.rebalance_delay, rebalance.left)
            rebalance.left -= wait
            rebalance.grown = False
            return [SetTimer(REBALANCE, wait, wait)]
        return self._end()

    def _end_if_all_joined(self) -> list[Effect]:
        if self._rebalance is None or self._rebalance.first or self._not_joined:
            return []
        return self._end()

    def _end(self) -> list[Effect]:
        """A new generation of those who have joined, in ranges: the first of them have one partition more."""
        effects: list[Effect] = [CancelTimer(REBALANCE), *(self._forget(member) for member in list(self._not_joined))]
        self._rebalance = None
        self._generation += 1
        ids = sorted(self._members)
        each, more = divmod(len(self._logs), len(ids)) if ids else (0, 0)
        begin = 0
        for i, member_id in enumerate(ids):
            member = self._members[member_id]
            member.partitions = range(begin, begin + each + (i < more))
            begin = member.partitions.stop
            effects += [self._assign(member_id, member), self._session(member_id)]
        return [*effects, Announce("rebalance ended", {"generation": self._generation, "members": tuple(ids)})]

    def _assign(self, member_id: str, member: _Member) -> Effect:
        """Answer the Join that waits."""
        assert member.joining is not None, f"{member_id} has not joined"
        n, member.joining = member.joining, None
        positions = tuple((partition, self._committed[partition]) for partition in member.partitions)
        return Send(member.worker, Assigned(n, self._generation, positions))
