"""Linearizable reads without a write (6.4): the leader notes its commit index and proves that it is still the leader.

A read waits until its member has applied that index. A leader that has committed nothing in its term does not know
yet what is committed, so such reads wait; and each retry is a read of its own, for an old confirmation proves nothing
about a later moment.
"""

from __future__ import annotations

from hasim.protocols.raft.membership import Name
from hasim.protocols.raft.messages import ENTRY_BYTES, Heartbeat, ReadReply, ReadRequest
from hasim.protocols.raft.state import State


def ask(member: State, ref: str) -> bool:
    """Ask for the index of a read; False if there is no leader to ask."""
    if member.role == "leader":
        on_request(member, member.name, ReadRequest(ref))
    elif member.leader is not None:
        member.send(member.leader, ReadRequest(ref))
    else:
        return False
    return True


def on_request(member: State, asker: Name, request: ReadRequest) -> None:
    """A leader takes in a read request, its own or forwarded."""
    ref = request.ref
    if member.role != "leader":
        if member.leader is not None and asker != member.name:
            member.send(member.leader, request)
        return
    log = member.log
    if log.term(log.commit) != member.term:
        member.reads.early.append((asker, ref))
    elif member.members.all_voters == (member.name,) or _trusts_clock(member):
        _answer(member, asker, ref, log.commit)
    else:
        reads = member.reads
        reads.ticket += 1
        reads.pending[reads.ticket] = (asker, ref, log.commit, {member.name: True})
        term = member.term
        for name, progress in member.progress.items():
            if name != member.name:
                commit = min(progress.match, log.commit)
                member.send(name, Heartbeat(term, commit, reads.ticket), ENTRY_BYTES)


def _trusts_clock(member: State) -> bool:
    return member.config.reads == "lease" and member.config.check_quorum


def on_ack(member: State, sender: Name, ticket: int) -> None:
    """A follower has confirmed the leader: with a quorum, this read and all asked for before it may go on."""
    reads = member.reads
    waiting = reads.pending.get(ticket)
    if waiting is None:
        return
    waiting[3][sender] = True
    if not member.members.quorum_of(lambda name: waiting[3].get(name, False)):
        return
    for each in [each for each in reads.pending if each <= ticket]:
        asker, ref, index, _ = reads.pending.pop(each)
        _answer(member, asker, ref, index)


def release_early(member: State) -> None:
    """Take up the reads that waited for the first commit of the term."""
    early, member.reads.early = member.reads.early, []
    for asker, ref in early:
        on_request(member, asker, ReadRequest(ref))


def _answer(member: State, asker: Name, ref: str, index: int) -> None:
    if asker == member.name:
        member.confirmed.append((ref, index))
    else:
        member.send(asker, ReadReply(member.term, ref, index))


def on_reply(member: State, sender: Name, reply: ReadReply) -> None:
    """The leader's answer has come back to the member that asked."""
    member.confirmed.append((reply.ref, reply.index))
