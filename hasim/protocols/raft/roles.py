"""Becoming follower, pre-candidate and candidate; becoming leader is in `replication`, for it begins by appending."""

from __future__ import annotations

from hasim.protocols.raft.config import Continuous
from hasim.protocols.raft.membership import Name
from hasim.protocols.raft.progress import Progress
from hasim.protocols.raft.state import Reads, State


def reset(member: State, term: int) -> None:
    """Forget everything that belongs to a term and a role."""
    if term != member.term:
        member.term = term
        member.vote = None
    member.leader = None
    member.elapsed = 0
    member.redraw_timeout()
    member.transferee = None
    member.votes = {}
    member.change_index = 0
    booted = member.reads.booted
    member.reads = Reads()
    member.reads.booted = booted
    after = member.log.last + 1
    member.progress = {
        name: Progress(after - 1 if name == member.name else 0, after, name in member.members.learners)
        for name in member.members.everybody
    }


def become_follower(member: State, term: int, leader: Name | None) -> None:
    """Follow, the leader if it is known."""
    news = (member.role, member.term, member.leader) != ("follower", term, leader)
    was_leader, higher = member.role == "leader", term != member.term
    reset(member, term)
    member.role = "follower"
    member.leader = leader
    timing = member.config.timing
    if isinstance(timing, Continuous):
        if was_leader:
            member.cancel("heartbeat")
            member.cancel("check")
        if was_leader or leader is not None or (higher and timing.reset_by_term):
            member.restart_timer()
    if leader is not None:
        member.heard = member.now
    if news:
        member.announce("follower", term=term, leader=leader)


def become_pre_candidate(member: State) -> None:
    """Ask around before disturbing anybody: no new term, no vote, and the timeout stays as it was drawn (9.6)."""
    member.role = "pre-candidate"
    member.votes = {}
    member.leader = None
    member.restart_timer()
    member.announce("pre-candidate", term=member.term)


def become_candidate(member: State) -> None:
    """Begin a new term and vote for oneself."""
    reset(member, member.term + 1)
    member.role = "candidate"
    member.vote = member.name
    member.restart_timer()
    member.announce("candidate", term=member.term)
