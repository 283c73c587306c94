"""How a leader comes about: election timer, campaigns, votes (5.2, 5.4.1), pre-votes (9.6), and the lease rule (4.2.3).

The lease rule is etcd's: with `check_quorum`, a member that has heard from a leader within the least election timeout
ignores (pre-)votes altogether, without an answer. What such a candidate has spent, its term and its vote, is gone.
"""

from __future__ import annotations

from typing import Literal

from hasim.machine import SetTimer
from hasim.protocols.raft.membership import Name, is_change
from hasim.protocols.raft.messages import VoteReply, VoteRequest
from hasim.protocols.raft.reads import ticket_of_beat
from hasim.protocols.raft.replication import become_leader, broadcast_heartbeat
from hasim.protocols.raft.roles import become_candidate, become_follower, become_pre_candidate
from hasim.protocols.raft.state import State

Campaign = Literal["pre", "real", "transfer"]


def on_tick(member: State) -> None:
    """Count a tick: towards a campaign, or as a leader towards heartbeats and the check of the quorum."""
    ticks = member.ticks
    assert ticks is not None
    member.elapsed += 1
    # etcd writes a new commit index with whatever it does next, and waits for none: by the tick is soon enough.
    log = member.log
    if log.commit != log.commit_saved:
        log.commit_due = True
    if member.role != "leader":
        if member.elapsed >= member.timeout and member.promotable():
            member.elapsed = 0
            time_out(member)
        return
    if member.elapsed >= ticks.election:
        member.elapsed = 0
        if not check_quorum(member):
            return
    beat(member)


def beat(member: State) -> None:
    """Send heartbeats, which also confirm the reads that wait."""
    broadcast_heartbeat(member, ticket_of_beat(member))


def check_quorum(member: State) -> bool:
    """Step down unless a majority was heard from since the last check (6.2); whether this member still leads.

    A transfer that has taken until now is given up.
    """
    if member.config.check_quorum:
        progress = member.progress

        def heard(name: Name) -> bool:
            return name == member.name or (name in progress and progress[name].active)

        if not member.members.quorum_of(heard):
            member.announce("lost quorum", term=member.term)
            become_follower(member, member.term, None)
            return False
        for name, each in progress.items():
            each.active = name == member.name
    member.transferee = None
    return True


def time_out(member: State) -> None:
    """The election timer has run out: campaign, unless a change of membership is still to be applied.

    With memberships that hold from when they are applied, a member that has not caught up might count the votes of
    the wrong configuration.
    """
    if member.role == "leader" or not member.promotable():
        return
    if member.fresh():
        member.restart_timer()
        return
    if has_unapplied_change(member):
        member.restart_timer()
        return
    campaign(member, "pre" if member.config.pre_vote else "real")


def has_unapplied_change(member: State) -> bool:
    """Whether a change of membership is committed but not applied."""
    log = member.log
    start = max(log.applied + 1, log.first)
    return any(is_change(entry.data) for entry in log.entries[start - log.first : log.commit + 1 - log.first])


def campaign(member: State, kind: Campaign) -> None:
    """Ask for votes, or ask whether it would be worth it."""
    if kind == "pre":
        become_pre_candidate(member)
        term = member.term + 1
    else:
        become_candidate(member)
        term = member.term
    pre = kind == "pre"
    request = VoteRequest(term, member.log.last, member.log.last_term, pre, kind == "transfer")
    for name in member.members.all_voters:
        if name == member.name:
            member.promise(name, VoteReply(term, True, pre))
        else:
            member.send(name, request)


def on_vote_request(member: State, sender: Name, request: VoteRequest) -> None:
    """Grant the vote once a term, first come, first served, to whom knows at least as much (5.2, 5.4.1)."""
    free = (
        member.vote == sender
        or (member.vote is None and member.leader is None)
        or (request.pre and request.term > member.term)
    )
    if free and knows_enough(member, request):
        member.promise(sender, VoteReply(request.term, True, request.pre))
        if not request.pre:
            member.vote = sender
            member.restart_timer()
            member.announce("voted", term=member.term, candidate=sender)
    else:
        member.promise(sender, VoteReply(member.term, False, request.pre))
        member.announce("refused", term=member.term, candidate=sender, pre=request.pre)


def knows_enough(member: State, request: VoteRequest) -> bool:
    """Whether the candidate's log is at least as up to date as one's own (5.4.1)."""
    return member.log.up_to_date(request.last_index, request.last_term)


def on_vote_reply(member: State, sender: Name, reply: VoteReply) -> None:
    """Count a vote; a majority decides either way."""
    if member.role != ("pre-candidate" if reply.pre else "candidate"):
        return
    if reply.granted and reply.term != (member.term + 1 if reply.pre else member.term):
        return  # of an earlier campaign
    member.votes.setdefault(sender, reply.granted)
    verdict = member.members.tally(member.votes)
    if verdict == "won":
        if reply.pre:
            campaign(member, "real")
        else:
            become_leader(member)
    elif verdict == "lost":
        become_follower(member, member.term, None)


def start_timers(member: State) -> None:
    """What a boot begins with."""
    if member.ticks is not None:
        heartbeat = member.ticks.heartbeat
        member.asks.append(SetTimer("tick", 0.0, heartbeat))  # each member ticks at a phase of its own
        member.redraw_timeout()
    else:
        member.restart_timer()
