"""Linearizable reads without a write (6.4): the leader notes its commit index and proves that it is still the leader.

A read waits until its member has applied that index. A leader that has committed nothing in its term does not know
yet what is committed, so such reads wait; and each retry is a read of its own, for an old confirmation proves nothing
about a later moment.
"""

from __future__ import annotations

from hasim.protocols.raft.membership import Name
from hasim.protocols.raft.messages import ENTRY_BYTES, Heartbeat, ReadReply, ReadRequest
from hasim.protocols.raft.state import State


def ask(member: State, request: ReadRequest) -> bool:
    """Ask for the index of a read; False if there is no leader to ask."""
    if member.role == "leader":
        on_request(member, member.name, request)
    elif member.leader is not None:
        member.send(member.leader, request)
    else:
        return False
    return True


def on_request(member: State, asker: Name, request: ReadRequest) -> None:
    """A leader takes in a read request, its own or forwarded."""
    if member.role != "leader":
        if member.leader is not None and asker != member.name:
            member.send(member.leader, request)
        return
    log = member.log
    if log.term(log.commit) != member.term:
        member.reads.early.append((asker, request))
    elif member.members.all_voters == (member.name,) or _trusts_lease(member, request):
        _answer(member, asker, request.ref, log.commit)
    else:
        ticket = next_ticket(member)
        member.reads.pending[ticket] = (asker, request.ref, log.commit, {member.name: True})
        for name, progress in member.progress.items():
            if name != member.name:
                commit = min(progress.match, log.commit)
                member.send(name, Heartbeat(member.term, commit, ticket), ENTRY_BYTES)


def _trusts_lease(member: State, request: ReadRequest) -> bool:
    reads = member.reads
    return request.lease and not reads.handing_over and member.now < reads.lease_until


def next_ticket(member: State) -> int:
    """A number for a heartbeat round of its own, whose answers prove nothing about earlier or later moments."""
    member.reads.ticket += 1
    return member.reads.ticket


def ticket_of_beat(member: State) -> int:
    """What the next heartbeat confirms: the reads that wait, and the lease where leases are allowed."""
    reads = member.reads
    if member.config.clock_drift_max is not None and not reads.pending:
        reads.pending[next_ticket(member)] = (member.name, "", 0, {member.name: True})
        reads.beats[reads.ticket] = member.now
    return reads.ticket if reads.pending else 0


def on_ack(member: State, sender: Name, ticket: int) -> None:
    """A follower has confirmed the leader: with a quorum, this read and all asked for before it may go on."""
    reads = member.reads
    waiting = reads.pending.get(ticket)
    if waiting is None:
        return
    waiting[3][sender] = True
    if not member.members.quorum_of(lambda name: waiting[3].get(name, False)):
        return
    if ticket in reads.beats:
        reads.lease_until = max(reads.lease_until, reads.beats[ticket] + lease(member))
    for each in [each for each in reads.pending if each <= ticket]:
        asker, ref, index, _ = reads.pending.pop(each)
        reads.beats.pop(each, None)
        if ref:
            _answer(member, asker, ref, index)


def lease(member: State) -> float:
    """For how long after a confirmed heartbeat nobody else can have been elected, on a clock that drifts at most so.

    No member of that quorum votes for another, nor campaigns, before its least election timeout has passed, not even
    one that crashes and boots meanwhile (see `fresh`); with whole ticks the timeout may be short by one.
    """
    drift, ticks = member.config.clock_drift_max, member.ticks
    assert drift is not None
    least = member.config.timing.election_timeout if ticks is None else ticks.heartbeat * (ticks.election - 1)
    return least / drift


def release_early(member: State) -> None:
    """Take up the reads that waited for the first commit of the term."""
    early, member.reads.early = member.reads.early, []
    for asker, request in early:
        on_request(member, asker, request)


def _answer(member: State, asker: Name, ref: str, index: int) -> None:
    if asker == member.name:
        member.confirmed.append((ref, index))
    else:
        member.send(asker, ReadReply(member.term, ref, index))


def on_reply(member: State, sender: Name, reply: ReadReply) -> None:
    """The leader's answer has come back to the member that asked."""
    member.confirmed.append((reply.ref, reply.index))
