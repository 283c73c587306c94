"""An etcd member as a pure machine: Raft underneath, and on top the store, the requests of clients, and manners.

What decides what clients see of a failover (server/etcdserver/v3_server.go):

- A write is proposed when a leader is known. A follower passes it on to whom it *believes* to be the leader; if that
  one is dead, the write is lost, and its client waits for the request timeout, however soon there is a new leader.
- While no leader is known writes wait, and are proposed when there is one.
- Linearizable reads go in rounds (see `reading`); serializable ones are answered on the spot from the own store.
- A member serves clients once it has published itself through the log, and not any more once it is asked to stop; a
  leader that is asked to stop hands over first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hasim.machine import (
    Answer,
    Effect,
    Event,
    Exit,
    Fired,
    Linked,
    Proposed,
    Received,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.etcd import config as etcd
from hasim.protocols.etcd import reconfigure
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.config import EtcdConfig
from hasim.protocols.etcd.reading import ReadLoop
from hasim.protocols.etcd.relay import RELAYED, Relay, RelayReply, ReplyTo
from hasim.protocols.etcd.requests import Done, Get, Refused, Result
from hasim.protocols.etcd.status import status_of
from hasim.protocols.etcd.store import Compact, Disarm, Ident, Publish, RaiseAlarm, Request, Store, size_of
from hasim.protocols.etcd.waiting import Wait, Waiting
from hasim.protocols.raft import election, proposals, reads, transfer
from hasim.protocols.raft.machine import Raft
from hasim.protocols.raft.membership import Change, is_change
from hasim.protocols.raft.messages import Entry, ReadRequest

WRITES = (asked.Put, asked.Delete, asked.Cas)
GROWING = (asked.Put, asked.Cas)
REPLICATED = (Compact, Disarm)

_new = tuple.__new__  # half the cost of a named tuple is its own constructor


class EtcdMember:
    """One member of an etcd cluster."""

    def __init__(self, config: EtcdConfig) -> None:
        """A member that has not been started."""
        self.config = config
        self.raft = Raft(config.raft)
        self.name = config.raft.name
        self.store = Store()
        self.roomy = config.quota_bytes - etcd.REQUEST_BYTES_MAX  # up to there any request fits
        self.database = 0  # bytes, which only defragmenting gives back
        self.booted = 0.0
        self.count = 0
        self.serving = False
        self.stopping = False
        self.leader: str | None = None
        self.elected_at = -1e18  # when the last leader became known
        self.linked: dict[str, float] = {}  # since when each peer is connected
        self.polls = 0
        self.compacted_at = 0  # the index applied when the log was last compacted
        self.waiting = Waiting()
        self.reads = ReadLoop()
        self.moves: list[tuple[Any, str, float]] = []  # transfers that somebody waits for: (ref, target, until)
        self.out: list[Effect] = []

    # -------------------------------------------------------------------------------------- events

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        """Take in an event and ask for effects, in order."""
        raft = self.raft
        state = raft.state
        state.now = now
        kind = event.__class__
        if kind is Received:  # by far the most
            message = event.message  # type: ignore[union-attr]
            if message.__class__ in RELAYED or self.store.removed:
                self._receive(event.sender, message)  # type: ignore[union-attr]
            else:
                raft.receive(event.sender, message)  # type: ignore[union-attr]
        elif kind is Fired:
            timer = event.timer  # type: ignore[union-attr]
            if timer in _TIMERS:
                _TIMERS[timer](self)
            else:
                raft.fire(timer)
        elif kind is Proposed:
            self._request(event.command, event.ref)  # type: ignore[union-attr]
        elif kind is Stopping:
            self._stop()
        else:
            raft.hear(event, now)
            if kind is Started:
                state = raft.state  # a new one
                self._start(now)
            elif kind is Linked:
                self.linked[event.peer] = now  # type: ignore[union-attr]
            elif kind is Unlinked:
                self.linked.pop(event.peer, None)  # type: ignore[union-attr]
        log = state.log
        if log.applied < log.commit or state.leader != self.leader or state.confirmed or state.installed:
            self._follow_up()
        effects = state.collect()
        if self.out:
            effects = [*effects, *self.out]
            self.out = []
        return effects

    def _receive(self, sender: str, message: Any) -> None:
        """A message that is not for Raft, or from a member that may have been removed: such a one is not heard."""
        if sender in self.store.removed:
            return
        if message.__class__ not in RELAYED:
            self.raft.receive(sender, message)
        elif isinstance(message, Relay):
            reconfigure.request(self, message.command, ReplyTo(sender, message.ident))
        elif isinstance(message, RelayReply):
            wait = self.waiting.by_ident.pop(message.ident, None)
            if wait is not None:
                self.answer(wait.ref, message.result)

    def _follow_up(self) -> None:
        """Take in what Raft has settled: a snapshot, a leader, entries to apply, reads that may go on."""
        state = self.raft.state
        if state.installed is not None:
            self._restore(state.installed.data)
            state.installed = None
        if state.leader != self.leader:
            self._leader_changed()
        log = state.log
        while log.applied < log.commit:
            for entry in self.raft.committed():
                self._apply(entry)
        if state.confirmed:
            for ref, index in state.confirmed:
                self.reads.answered(ref, index)
            state.confirmed = []
        if self.reads.now is not None:
            self._serve_round()
        if state.log.applied - state.log.snapshot.index >= min(etcd.BACKEND_BATCH, self.config.snapshot_count):
            self._commit_backend()

    def _commit_backend(self) -> None:
        """Write the store to the database, so that a boot need not apply all again; compact the log now and then."""
        log = self.raft.state.log
        keep = log.applied - log.first + 1  # all of it
        if log.applied - self.compacted_at >= self.config.snapshot_count:
            keep = min(keep, self.config.snapshot_keeps)
            self.compacted_at = log.applied
        self.raft.compact(self.store.copy(), self.store.in_use, keep)

    def _start(self, now: float) -> None:
        self.booted = self.reads.booted = now
        self._restore(self.raft.state.log.snapshot.data)
        self.compacted_at = self.raft.state.log.first - 1
        members = self.raft.state.members
        if members.voters == (self.name,):
            self._advance(self._election_ticks() - 1)
        elif self.config.tick_advance and self._election_ticks():
            self.set_timer("peers", etcd.PEER_POLL)
        self._publish()

    def _restore(self, data: Any) -> None:
        self.store = data.copy() if isinstance(data, Store) else Store()
        self.database = max(self.database, self.store.in_use)

    def calm(self) -> tuple[str, int] | None:
        """Whom this member follows and in which term, if nothing but heartbeats is to come until something happens.

        None while anything is under way: a request, a change, a transfer, entries on their way to a member that is
        there, an election.
        """
        state = self.raft.state
        log = state.log
        if state.leader is None or not self.serving or self.stopping or len(self.waiting) or self.reads.now is not None:
            return None
        if log.applied != log.commit or log.commit != log.last or state.transferee is not None or self.moves:
            return None
        if state.role == "leader":
            for name, progress in state.progress.items():
                if name != self.name and name in self.linked and (progress.match != log.last or progress.flights):
                    return None
        elif state.role != "follower" or state.leader not in self.linked:
            return None
        return state.leader, state.term

    # -------------------------------------------------------------------------------- being a member

    def _election_ticks(self) -> int:
        ticks = self.raft.state.ticks
        return ticks.election if ticks is not None else 0

    def _advance(self, ticks: int) -> None:
        for _ in range(ticks):
            election.on_tick(self.raft.state)

    def _look_for_peers(self) -> None:
        """Move the election timer of a fresh member on once two peers are connected: it need not wait from zero."""
        self.polls += 1
        if len(self.linked) > 1:
            self._advance(self._election_ticks() - 2)
        elif self.polls < etcd.PEER_POLLS:
            self.set_timer("peers", etcd.PEER_POLL)

    def _publish(self) -> None:
        """Tell the others that this member has started, again and again until it has come through the log."""
        if not self.serving and not self.stopping:
            self._submit(Publish(self.name), "", etcd_size=0)

    def _stop(self) -> None:
        """Leave gracefully: serve nobody any more, and hand over leadership first."""
        state = self.raft.state
        self.stopping, self.serving = True, False
        self.raft.state.announce("stopping")
        heirs = [name for name in self.linked if name != self.name and name in state.members.voters]
        if state.role != "leader" or not heirs:
            self.out.append(Exit("stopped"))
            return
        transfer.request(state, min(heirs, key=lambda name: self.linked[name]))  # the longest connected
        self.set_timer("stop", self.config.request_timeout)
        self.set_timer("handed over", self.config.raft.timing.heartbeat)

    def _handed_over(self) -> None:
        if self.raft.state.role != "leader" and self.raft.state.leader is not None:
            self.out.append(Exit("stopped"))
        else:
            self.set_timer("handed over", self.config.raft.timing.heartbeat)

    def _exit(self) -> None:
        self.out.append(Exit("stopped" if self.stopping else "removed"))

    def set_timer(self, timer: str, after: float) -> None:
        """Set a timer of the server."""
        self.raft.state.asks.append(SetTimer(timer, after, after))

    # -------------------------------------------------------------------------------------- requests

    def _request(self, command: Any, ref: str) -> None:
        learner = self.name in self.raft.state.members.learners
        if command.__class__ in WRITES and self.serving and not learner:  # by far the most
            self._write(command, ref)
        elif isinstance(command, asked.Status):
            status = status_of(self.name, self.raft.state, self.store, self.database)
            self.answer(ref, Done(status, self.store.revision))
        elif not self.serving:
            self.answer(ref, Refused(asked.SERVER_STOPPED if self.stopping else asked.CONNECTION_REFUSED))
        elif isinstance(command, Get) and not (learner and command.mode != "serializable"):
            self._get(command, ref)
        elif isinstance(command, asked.SaveSnapshot):
            self.answer(ref, Done(self.store.copy(), self.store.revision))
        elif learner:
            self.answer(ref, Refused(asked.NOT_FOR_LEARNERS))
        elif isinstance(command, REPLICATED):
            self._submit(command, ref, etcd_size=0)
        elif isinstance(command, asked.MemberAdd | asked.MemberRemove | asked.MemberPromote):
            reconfigure.request(self, command, ref)
        elif isinstance(command, asked.MoveLeader):
            reconfigure.move_leader(self, command, ref)
        elif isinstance(command, asked.Defragment):
            self.database = self.store.in_use
            self.answer(ref, Done(None, self.store.revision))
        else:
            raise TypeError(f"got {command!r}; an etcd member does not know such a request")

    def _get(self, command: Get, ref: str) -> None:
        if command.mode == "serializable":
            self.answer(ref, self.store.read(command.key))
        else:
            self.reads.gather(ref, command.key, command.mode == "lease")
            self._begin_round()

    def _write(self, command: Any, ref: str) -> None:
        size = size_of(command.key, "" if command.__class__ is asked.Delete else command.value)
        log = self.raft.state.log
        if not command.key:
            self.answer(ref, Refused(asked.NO_KEY))
        elif size > etcd.REQUEST_BYTES_MAX:
            self.answer(ref, Refused(asked.TOO_LARGE))
        elif log.commit - log.applied > etcd.APPLY_GAP_MAX:
            self.answer(ref, Refused(asked.TOO_MANY_REQUESTS))
        elif not (self.database <= self.roomy or self._fits(command)):
            self._raise_alarm()
            self.answer(ref, Refused(asked.NO_SPACE))
        else:
            self._submit(command, ref, size)

    def _fits(self, command: Any) -> bool:
        """Whether the database has room for what is to be written."""
        if command.__class__ not in GROWING:
            return True
        return self.database + size_of(command.key, command.value) <= self.config.quota_bytes

    def _raise_alarm(self) -> None:
        if self.name not in self.store.alarms:
            self._submit(RaiseAlarm(self.name), "", etcd_size=0)

    def _submit(self, operation: Any, ref: str, etcd_size: int) -> None:
        """Propose an operation, now or when there is a leader."""
        ident = self.ident()
        request = _new(Request, (ident, operation))
        waiting = self.waiting.by_ident
        if not waiting:
            self.set_timer("requests", self.config.request_timeout)
        state = self.raft.state
        if state.leader is None:
            waiting[ident] = Wait(ref, state.now, etcd_size, request)
        elif proposals.propose(state, ((request, etcd_size),)):
            waiting[ident] = _new(Wait, (ref, state.now, etcd_size, None))
        else:
            self.answer(ref, Refused(asked.DROPPED))

    def ident(self) -> Ident:
        """A new identity for a request of this process."""
        self.count += 1
        return _new(Ident, (self.name, self.booted, self.count))

    def _leader_changed(self) -> None:
        state = self.raft.state
        self.leader = state.leader
        if state.leader is None:
            return
        self.elected_at = state.now
        if self.reads.now is not None and self.reads.now.index is None:
            self._fail_round(Refused(asked.LEADER_CHANGED))
        for ident, wait in self.waiting.unproposed():
            if proposals.propose(state, ((wait.data, wait.size),)):
                self.waiting.by_ident[ident] = Wait(wait.ref, wait.since, wait.size)
            else:
                del self.waiting.by_ident[ident]
                self.answer(wait.ref, Refused(asked.DROPPED))

    def _expire(self) -> None:
        """Fail the requests whose time is up, in etcd's words for what may have been the cause."""
        now, patience = self.raft.state.now, self.config.request_timeout
        for wait in self.waiting.expired(now - patience + 1e-9):
            self.answer(wait.ref, self._too_late(wait))
        oldest = self.waiting.oldest()
        if oldest is not None:
            self.set_timer("requests", oldest + patience - now)
        elif not self.serving:
            self._publish()

    def _too_late(self, wait: Wait) -> Refused:
        if wait.data is not None:
            return Refused(asked.DEADLINE)  # it was never proposed
        window = 2 * self.config.raft.timing.election_timeout
        if self.elected_at - window < wait.since < self.elected_at:
            return Refused(asked.TIMED_OUT_LEADER_FAILURE, unknown=True)
        leader = self.raft.state.leader
        if leader is not None and leader != self.name and self.linked.get(leader, 1e18) > wait.since:
            return Refused(asked.TIMED_OUT_CONNECTION_LOST, unknown=True)
        if leader == self.name and not self._quorum_linked_since(wait.since):
            return Refused(asked.TIMED_OUT_CONNECTION_LOST, unknown=True)
        return Refused(asked.TIMED_OUT, unknown=True)

    def _quorum_linked_since(self, when: float) -> bool:
        return self.raft.state.members.quorum_of(lambda name: name == self.name or self.linked.get(name, 1e18) <= when)

    # ----------------------------------------------------------------------------------------- reads

    def _begin_round(self) -> None:
        if self.reads.begin() is not None:
            self.set_timer("read timeout", self.config.request_timeout)
            self._ask_index()

    def _ask_index(self) -> None:
        round_ = self.reads.now
        if round_ is None or round_.index is not None:
            return
        self.set_timer("read retry", etcd.READ_RETRY)
        reads.ask(self.raft.state, ReadRequest(self.reads.next_attempt(), round_.lease))

    def _serve_round(self) -> None:
        while (round_ := self.reads.now) is not None:
            if round_.index is None or round_.index > self.raft.state.log.applied:
                return
            for ref, key in self.reads.finish():
                self.out.append(Answer(ref, self.store.read(key)))
            self._begin_round()
            for ref, index in self.raft.state.confirmed:
                self.reads.answered(ref, index)
            self.raft.state.confirmed = []

    def _fail_round(self, why: Refused) -> None:
        for ref, _ in self.reads.finish():
            self.answer(ref, why)
        self._begin_round()

    def _round_too_late(self) -> None:
        if self.reads.now is not None:
            self._fail_round(Refused(asked.TIMED_OUT))

    # --------------------------------------------------------------------------------------- applying

    def _apply(self, entry: Entry) -> None:
        data = entry.data
        if data.__class__ is not Request:
            if isinstance(data, Change):
                reconfigure.enact(self, entry, data)
            else:
                self.raft.applied(entry)
                assert data is None or is_change(data), f"an etcd log cannot hold {data!r}"
            return
        self.raft.applied(entry, enact=False)  # there is nothing to enact
        store, operation = self.store, data.operation
        before = store.revision
        fits = self.database <= self.roomy or self._fits(operation)
        result = store.apply(operation)
        self.database = max(self.database, store.in_use)
        if not fits and isinstance(result, Done):
            # It passed where it was asked for, and is applied as everywhere, but here there is no room for more.
            self._raise_alarm()
            result = Refused(asked.NO_SPACE, unknown=True)
        if store.revision != before and self.raft.state.role == "leader":
            self.raft.state.announce("revision", revision=store.revision)
        ident = data.ident
        if ident.member != self.name or ident.boot != self.booted:  # nobody waits for it here
            return
        if operation.__class__ is Publish and not (self.serving or self.stopping):
            self.serving = True
            self.raft.state.announce("serving")
        wait = self.waiting.by_ident.pop(ident, None)
        if wait is not None and wait.ref:
            self.out.append(_new(Answer, (wait.ref, result, False)))

    def answer(self, ref: Any, result: Result) -> None:
        """Answer without regard to the disk, a client or the member that asked for one; "" is nobody."""
        if ref.__class__ is ReplyTo:
            self.raft.state.send(ref.member, RelayReply(ref.ident, result))
        elif ref:
            self.out.append(Answer(ref, result, at_once=True))


_TIMERS = {
    "requests": EtcdMember._expire,
    "read retry": EtcdMember._ask_index,
    "read timeout": EtcdMember._round_too_late,
    "peers": EtcdMember._look_for_peers,
    "stop": EtcdMember._exit,
    "removed": EtcdMember._exit,
    "handed over": EtcdMember._handed_over,
    "moved": reconfigure.moved,
}
