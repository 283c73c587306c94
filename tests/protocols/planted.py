"""Bugs to plant into Raft, each by replacing one function, as it was or might have been written wrongly somewhere."""

from __future__ import annotations

from typing import Any

import pytest
import timed
import timed_stories

from hasim.machine import Save, Send
from hasim.protocols.raft import RaftConfig, RaftMember, changes, election, log, machine, reads, replication
from hasim.protocols.raft.membership import JointChange, Membership, is_change
from hasim.protocols.raft.messages import Append, AppendReply, Entry, Heartbeat, ReadRequest
from hasim.protocols.raft.saved import Saved
from hasim.protocols.raft.state import State

Patch = pytest.MonkeyPatch

# --------------------------------------------------------------------------------- logs and commits


def old_terms_are_counted(patch: Patch) -> None:
    """A leader commits by counting replicas also what an earlier leader appended."""

    def maybe_commit(member: State) -> bool:
        index = member.members.committed({name: progress.match for name, progress in member.progress.items()})
        if index <= member.log.commit:
            return False
        member.log.commit = index
        member.announce("committed", index=index, term=member.term)
        return True

    patch.setattr(replication, "maybe_commit", maybe_commit)


def appends_need_not_fit(patch: Patch) -> None:
    """A follower takes in entries without a look at what comes before them."""

    def on_append(member: State, sender: str, append: Append) -> None:
        # As if the entry before were the same here.
        fits = append._replace(prev_term=member.log.term(append.prev_index) or append.prev_term)
        replication.on_append(member, sender, fits)

    patch.setitem(machine.BY_FOLLOWERS, Append, on_append)


def new_leaders_begin_with_what_is_committed(patch: Patch) -> None:
    """A new leader throws away what it does not know to be committed."""
    sound = replication.append_own

    def append_own(member: State, items: list[tuple[object, int]]) -> None:
        kept = member.log
        del kept.entries[kept.commit - kept.first + 1 :]
        kept.last = kept.first + len(kept.entries) - 1
        kept.unsaved = min(kept.unsaved, kept.last + 1)
        sound(member, items)

    patch.setattr(replication, "append_own", append_own)


def logs_are_not_compared(patch: Patch) -> None:
    """A vote is granted to whoever asks first, however little it knows."""
    patch.setattr(election, "knows_enough", lambda member, request: True)


def heartbeats_carry_the_commit_index(patch: Patch) -> None:
    """The commit index in a heartbeat goes past what the follower is known to have."""

    def broadcast_heartbeat(member: State, context: int) -> None:
        for to in member.progress:
            if to != member.name:
                member.send(to, Heartbeat(member.term, member.log.commit, context))

    patch.setattr(election, "broadcast_heartbeat", broadcast_heartbeat)


def every_append_truncates(patch: Patch) -> None:
    """A follower cuts its log off after each append, whether it conflicts or not."""

    def merge(self: log.Log, entries: tuple[Entry, ...]) -> int | None:
        if not entries:
            return None
        first = entries[0].index
        del self.entries[first - self.first :]
        self.entries.extend(entries)
        self.last = entries[-1].index
        self.unsaved = min(self.unsaved, first)
        return first

    patch.setattr(log.Log, "merge", merge)


# --------------------------------------------------------------------------------------------- disks


def answers_leave_before_the_save(patch: Patch) -> None:
    """Votes and acknowledgements are sent before the disk has what they promise."""

    proper = State.collect

    def collect(self: State) -> list[Any]:
        return sorted(proper(self), key=lambda effect: isinstance(effect, Save))

    patch.setattr(State, "collect", collect)


def appends_are_acknowledged_before_the_sync(patch: Patch) -> None:
    """A follower says that it has entries before its disk has them."""
    proper = replication.on_append

    def on_append(member: State, sender: str, append: Any) -> None:
        proper(member, sender, append)
        hasty = [effect for effect in member.after if isinstance(effect, Send) and _is(effect, AppendReply)]
        member.after = [effect for effect in member.after if effect not in hasty]
        member.asks += hasty

    patch.setitem(machine.BY_FOLLOWERS, machine.Append, on_append)


def _is(effect: Send, kind: type) -> bool:
    return isinstance(effect.message, kind)


def a_boot_forgets_the_vote(patch: Patch) -> None:
    """The vote is not read back from the disk."""
    proper = machine.Raft.start

    def start(self: machine.Raft, saved: Saved | None, now: float) -> None:
        if saved is not None:
            saved.vote = None
        proper(self, saved, now)

    patch.setattr(machine.Raft, "start", start)


def a_single_member_does_not_wait_for_its_disk(patch: Patch) -> None:
    """Alone, a member takes an entry for committed before it is on its disk."""
    proper = State._save

    def _save(self: State) -> Save:
        before = (self.saved_term, self.saved_vote)
        save = proper(self)
        alone = self.members.all_voters == (self.name,)
        return save._replace(sync=False) if alone and before == (self.term, self.vote) else save

    patch.setattr(State, "_save", _save)


# ----------------------------------------------------------------------------------------- membership


def members_from_the_append_on(patch: Patch) -> None:
    """No bug but another design, the thesis's: a membership is in force from when it is appended.

    Its rule is that no change is appended before an entry of the leader's own term is committed.
    """
    proper_append, proper_timers, proper_admissible = State.append, election.start_timers, changes.admissible
    proper_on_append = replication.on_append

    def follow(member: State) -> None:
        members: Membership = member.log.snapshot.members
        for entry in member.log.entries:
            if is_change(entry.data):
                members = members.after(entry.data)
        if members != member.members:
            changes.adopt(member, members)

    def append(self: State, data: Any, size: int) -> Entry:
        entry = proper_append(self, data, size)
        if is_change(data):
            follow(self)
        return entry

    def on_append(member: State, sender: str, message: Any) -> None:
        proper_on_append(member, sender, message)
        follow(member)

    def start_timers(member: State) -> None:
        follow(member)
        proper_timers(member)

    def admissible(member: State, data: object) -> bool:
        of_this_term = member.log.term(member.log.commit) == member.term
        return proper_admissible(member, data) and (of_this_term or not is_change(data))

    patch.setattr(State, "append", append)
    patch.setitem(machine.BY_FOLLOWERS, machine.Append, on_append)
    patch.setattr(election, "start_timers", start_timers)
    patch.setattr(election, "has_unapplied_change", lambda member: False)
    patch.setattr(changes, "apply_change", lambda member, data: None)
    patch.setattr(changes, "admissible", admissible)


_proper_admissible = changes.admissible


def changes_need_no_commit_in_the_term(patch: Patch) -> None:
    """A new leader appends a change of membership before anything of its term is committed."""
    patch.setattr(changes, "admissible", _proper_admissible)


class SlowApplier(RaftMember):
    """A member that applies nothing while its `raft.slow` is true."""

    def __init__(self, config: RaftConfig) -> None:
        super().__init__(config)
        self.raft = SlowRaft(config)


class SlowRaft(machine.Raft):
    """Raft whose layer above is busy, from each boot on until `slow` is false."""

    slow = True

    def committed(self) -> list[Entry]:
        return [] if self.slow else super().committed()


def campaigns_ignore_unapplied_changes(patch: Patch) -> None:
    """A member campaigns although it has yet to apply a change of membership."""
    patch.setattr(election, "has_unapplied_change", lambda member: False)


def several_changes_go_at_once(patch: Patch) -> None:
    """Several changes of membership come into force together, without a joint configuration."""
    proper = changes.apply_change

    def apply_change(member: State, data: object) -> None:
        if isinstance(data, JointChange):
            changes.adopt(member, member.members.joined(data.changes).left())
        else:
            proper(member, data)

    patch.setattr(changes, "apply_change", apply_change)


# --------------------------------------------------------------------------------------------- reads


def _replace_on_request(patch: Patch, on_request: Any) -> None:
    patch.setattr(reads, "on_request", on_request)
    patch.setitem(machine.BY_LEADERS, ReadRequest, on_request)
    patch.setitem(machine.BY_FOLLOWERS, ReadRequest, on_request)


def leaders_answer_reads_at_once(patch: Patch) -> None:
    """A leader answers reads without asking anybody whether it still leads."""
    proper = reads.on_request

    def on_request(member: State, asker: str, request: ReadRequest) -> None:
        if member.role == "leader":
            reads._answer(member, asker, request.ref, member.log.commit)
        else:
            proper(member, asker, request)

    _replace_on_request(patch, on_request)


def _ask_quorum(member: State, asker: str, request: ReadRequest, ticket: int) -> None:
    acks = member.reads.pending[ticket][3] if ticket in member.reads.pending else {member.name: True}
    member.reads.pending[ticket] = (asker, request.ref, member.log.commit, acks)
    for name in member.progress:
        if name != member.name:
            member.send(name, Heartbeat(member.term, 0, ticket))


def new_leaders_answer_reads_early(patch: Patch) -> None:
    """A leader takes its commit index for the latest before it has committed anything in its term."""
    proper = reads.on_request

    def on_request(member: State, asker: str, request: ReadRequest) -> None:
        if member.role == "leader":
            _ask_quorum(member, asker, request, reads.next_ticket(member))
        else:
            proper(member, asker, request)

    _replace_on_request(patch, on_request)


def retried_reads_keep_their_ticket(patch: Patch) -> None:
    """A client's next try is confirmed by answers to its last one (`reader#2` by those to `reader#1`)."""
    proper = reads.on_request

    def on_request(member: State, asker: str, request: ReadRequest) -> None:
        client = request.ref.partition("#")[0]
        for ticket, waiting in member.reads.pending.items():
            if waiting[1].partition("#")[0] == client:
                _ask_quorum(member, asker, request, ticket)
                return
        proper(member, asker, request)

    _replace_on_request(patch, on_request)


def leases_forget_the_drift(patch: Patch) -> None:
    """A lease lasts as long as the election timeout, however far clocks may drift apart."""
    patch.setattr(reads, "lease", lambda member: member.config.timing.election_timeout)


# --------------------------------------------------------------------------------------- liveness


def nobody_is_in_lease(patch: Patch) -> None:
    """Votes are not withheld while a leader is alive."""
    patch.setattr(State, "in_lease", lambda self: False)


def leaders_do_not_check_their_quorum(patch: Patch) -> None:
    """A leader that reaches no majority leads on."""
    patch.setattr(election, "check_quorum", lambda member: True)


def campaigns_begin_without_a_pre_vote(patch: Patch) -> None:
    """A member that times out begins a new term at once."""
    proper = election.campaign
    patch.setattr(election, "campaign", lambda member, kind: proper(member, "real" if kind == "pre" else kind))


def little_of_the_log_is_kept(patch: Patch) -> None:
    """Fewer entries stay in the log behind a snapshot than are written while one is sent."""
    patch.setattr(timed.Compacting, "keep", 20)


def a_sync_takes_longer_than_the_election_timeout(patch: Patch) -> None:
    """No bug but a fault: the leader's disk stalls for 3 s, where half a second does no harm."""
    patch.setattr(timed_stories, "STALL", 3.0)
