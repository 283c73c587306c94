"""A member of a Raft cluster as a pure machine: every message by its term first, then by its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hasim.machine import Answer, Drawn, Effect, Event, Fired, Linked, Proposed, Received, SetTimer, Started, Unlinked
from hasim.protocols.raft import changes, election, proposals, reads, replication, transfer
from hasim.protocols.raft.config import RaftConfig
from hasim.protocols.raft.membership import JointChange, Name, is_change
from hasim.protocols.raft.messages import (
    Append,
    AppendReply,
    Entry,
    Forward,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    ReadReply,
    ReadRequest,
    Snapshot,
    TimeoutNow,
    TransferRequest,
    VoteReply,
    VoteRequest,
)
from hasim.protocols.raft.roles import become_follower
from hasim.protocols.raft.saved import Saved
from hasim.protocols.raft.state import State

FROM_A_LEADER = (Append, Heartbeat, InstallSnapshot)


class Write(NamedTuple):
    """Propose: put this into the log."""

    data: Any
    size: int = 0


class Read(NamedTuple):
    """Propose: up to where must be applied for a linearizable read? The index comes as the answer."""

    lease: bool = False


class TransferTo(NamedTuple):
    """Propose: hand leadership over."""

    target: Name


class Campaign(NamedTuple):
    """Propose: time out now, as if the election timer had run out."""


class Raft:
    """One member. A layer above calls `hear`, takes what is committed and confirmed, then `collect`s the effects."""

    __slots__ = ("config", "state")

    def __init__(self, config: RaftConfig) -> None:
        """A member that has not been started."""
        self.config = config
        self.state = State(config, None)

    def hear(self, event: Event, now: float) -> None:
        """Take in an event; what it brings about waits in the state until it is collected."""
        state = self.state
        state.now = now
        kind = type(event)
        if kind is Received:
            self.receive(event.sender, event.message)  # type: ignore[union-attr]
        elif kind is Fired:
            self.fire(event.timer)  # type: ignore[union-attr]
        elif kind is Drawn:
            state.timeout = event.value  # type: ignore[union-attr]
        elif kind is Unlinked:
            replication.on_unreachable(state, event.peer)  # type: ignore[union-attr]
        elif kind is Started:
            self.start(event.saved, now)  # type: ignore[union-attr]
        else:
            assert kind is Linked, f"a member cannot hear {event}"

    def start(self, saved: Saved | None, now: float) -> None:
        """Boot: follow nobody, and wait for a leader."""
        self.state = state = State(self.config, saved)
        state.now = now
        if saved is not None:  # an empty disk has granted nothing
            state.reads.booted = now
        state.announce("started", term=state.term, vote=state.vote, last=state.log.last, commit=state.log.commit)
        if self.config.log_facts:
            entries = tuple((entry.term, entry.data) for entry in state.log.entries)
            state.announce("log", first=state.log.first, entries=entries)
        changes.adopt(state, state.members)
        election.start_timers(state)

    def receive(self, sender: Name, message: Message) -> None:
        """Sort a message by its term (5.1), then by its kind."""
        state = self.state
        term = message.term
        if term != state.term and term:
            if term < state.term:
                self._older(sender, message)
                return
            if not self._newer(sender, message):
                return
        handle = (BY_LEADERS if state.role == "leader" else BY_FOLLOWERS).get(type(message))
        if handle is not None:
            handle(state, sender, message)
        else:
            # Answers to a leader that is none any more are late, and strangers may be of another cluster by now. Signs
            # of another leader of one's own term, from a member, cannot be.
            of_a_leader = state.role == "leader" and sender in state.progress
            assert not of_a_leader, f"{sender} and {state.name} both lead term {state.term}"

    def _newer(self, sender: Name, message: Message) -> bool:
        """A message of a higher term; whether to go on with it."""
        state = self.state
        if isinstance(message, VoteRequest):
            if not message.transfer and state.config.check_quorum and state.in_lease():
                state.announce("ignored", term=message.term, candidate=sender, pre=message.pre)
                return False
            if message.pre:
                return True
        elif isinstance(message, VoteReply) and message.pre and message.granted:
            return True  # it carries the term that was asked about, not one that exists
        become_follower(state, message.term, sender if isinstance(message, FROM_A_LEADER) else None)
        return True

    def _older(self, sender: Name, message: Message) -> None:
        """Answer a message of a lower term, where silence would leave somebody stuck."""
        state = self.state
        if isinstance(message, Append | Heartbeat):
            # A member that came back at a higher term would be stuck: votes for it are ignored while this sender
            # leads, so it has to tell the sender.
            if state.config.check_quorum or state.config.pre_vote:
                state.promise(sender, AppendReply(state.term, 0, False))
        elif isinstance(message, VoteRequest) and message.pre:
            state.promise(sender, VoteReply(state.term, False, True))

    def fire(self, timer: str) -> None:
        """One of Raft's own timers has run out."""
        state = self.state
        timing: Any = self.config.timing
        if timer == "tick":
            state.asks.append(state.tick_again)
            election.on_tick(state)
        elif timer == "election":
            election.time_out(state)
        elif timer == "heartbeat" and state.role == "leader":
            state.asks.append(SetTimer("heartbeat", timing.heartbeat, timing.heartbeat))
            election.beat(state)
        elif timer == "check" and state.role == "leader":
            state.asks.append(SetTimer("check", timing.low, timing.low))
            election.check_quorum(state)

    # --------------------------------------------------------------------------------- applying

    def committed(self) -> list[Entry]:
        """The entries that may be applied now, in order; the caller applies each and says so with `applied`."""
        log = self.state.log
        if log.applied >= log.commit:
            return []
        start = max(log.applied + 1, log.first)
        return log.entries[start - log.first : log.commit + 1 - log.first]

    def applied(self, entry: Entry, enact: bool = True) -> None:
        """The entry has been applied; a change of membership is in force from now on, if it is to be enacted."""
        state = self.state
        state.log.applied = entry.index
        if state.config.log_facts:
            state.announce("applied", index=entry.index, term=entry.term, data=entry.data)
        if enact and is_change(entry.data):
            changes.apply_change(state, entry.data)
        if state.members.leaving and changes.wants_to_leave(state):
            proposals.append(state, ((JointChange(()), 0),))

    def compact(self, data: Any, size: int, keep: int) -> None:
        """Let a snapshot of the applied state, `data`, stand for the log, but for the last `keep` entries."""
        state = self.state
        log = state.log
        term = log.term(log.applied)
        assert term is not None, f"the log has no entry {log.applied}, which is applied"
        snapshot = Snapshot(log.applied, term, state.members, data, size)
        log.compact(snapshot, keep)
        state.new_snapshot = (snapshot, keep)

    def collect(self) -> list[Effect]:
        """What this event has brought about."""
        return self.state.collect()


Receive = Callable[[State, Name, Any], None]

BY_ANYBODY: dict[type, Receive] = {
    VoteRequest: election.on_vote_request,
    VoteReply: election.on_vote_reply,
    TimeoutNow: transfer.on_timeout_now,
    TransferRequest: transfer.on_request,
    Forward: proposals.on_forward,
    ReadRequest: reads.on_request,
    ReadReply: reads.on_reply,
}
BY_FOLLOWERS: dict[type, Receive] = {
    **BY_ANYBODY,
    Heartbeat: replication.on_heartbeat,
    Append: replication.on_append,
    InstallSnapshot: replication.on_snapshot,
}
BY_LEADERS: dict[type, Receive] = {
    **BY_ANYBODY,
    HeartbeatReply: replication.on_heartbeat_reply,
    AppendReply: replication.on_append_reply,
}


class RaftMember:
    """Raft and nothing else, as a machine: it applies by announcing, and answers writes and reads it is asked for.

    A write is answered with its index once it is applied here, a read with the index that must be applied first.
    """

    def __init__(self, config: RaftConfig) -> None:
        """A member that has not been started."""
        self.raft = Raft(config)
        self.writes: dict[Any, str] = {}  # data: ref

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        """Take in an event and ask for effects, in order."""
        raft = self.raft
        if isinstance(event, Proposed):
            raft.state.now = now
            self._propose(event)
        else:
            raft.hear(event, now)
        answers: list[Effect] = []
        while entries := raft.committed():
            for entry in entries:
                raft.applied(entry)
                if entry.data in self.writes:
                    answers.append(Answer(self.writes.pop(entry.data), entry.index))
        state = raft.state
        if state.confirmed:
            answers += [Answer(ref, index) for ref, index in state.confirmed]
            state.confirmed = []
        effects = raft.collect()
        return [*effects, *answers] if answers else effects

    def _propose(self, event: Proposed) -> None:
        raft, command = self.raft, event.command
        if isinstance(command, Write):
            if proposals.propose(raft.state, ((command.data, command.size),)):
                self.writes[command.data] = event.ref
            else:
                raft.state.asks.append(Answer(event.ref, None))
        elif isinstance(command, Read):
            if not reads.ask(raft.state, ReadRequest(event.ref, command.lease)):
                raft.state.asks.append(Answer(event.ref, None))
        elif isinstance(command, TransferTo):
            transfer.request(raft.state, command.target)
        elif isinstance(command, Campaign):
            election.time_out(raft.state)
        else:
            raise TypeError(f"got {command!r}; a Raft member takes Write, Read, TransferTo and Campaign")
