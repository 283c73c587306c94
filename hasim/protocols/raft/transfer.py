"""Handing over leadership on purpose (3.10): catch the other up, then let it campaign at once, bypassing leases."""

from __future__ import annotations

from hasim.protocols.raft.election import campaign, has_unapplied_change
from hasim.protocols.raft.membership import Name
from hasim.protocols.raft.messages import TimeoutNow, TransferRequest
from hasim.protocols.raft.replication import send_append
from hasim.protocols.raft.state import State


def request(member: State, target: Name) -> None:
    """Begin a transfer, or ask the leader to."""
    if member.role != "leader":
        if member.leader is not None:
            member.send(member.leader, TransferRequest(target))
        return
    progress = member.progress.get(target)
    if progress is None or progress.learner or target == member.transferee:
        return
    if target == member.name:
        member.transferee = None  # to stay is to give up a transfer under way
        return
    member.transferee = target
    member.reads.handing_over = True
    member.elapsed = 0  # it must be done within one election timeout
    member.announce("transfer", target=target, term=member.term)
    if progress.match == member.log.last:
        member.send(target, TimeoutNow(member.term))
    else:
        send_append(member, target, progress, even_empty=True)


def on_request(member: State, sender: Name, message: TransferRequest) -> None:
    """A follower asks for a transfer."""
    request(member, message.target)


def on_timeout_now(member: State, sender: Name, message: TimeoutNow) -> None:
    """The leader wants this member to take over: campaign without a pre-vote, and say so to those in lease."""
    if member.role == "follower" and member.promotable() and not has_unapplied_change(member):
        campaign(member, "transfer")
