"""Changes of membership: one at a time, in force from when they are applied (etcd), or jointly (thesis 4.3)."""

from __future__ import annotations

from hasim.protocols.raft.membership import Change, JointChange, Membership, is_change
from hasim.protocols.raft.progress import Progress
from hasim.protocols.raft.replication import broadcast_append, maybe_commit, send_append
from hasim.protocols.raft.state import State


def admissible(member: State, data: object) -> bool:
    """Whether a leader may append this change now: not while another one may be on its way."""
    if not is_change(data):
        return True
    if member.change_index > member.log.applied:
        return False
    leaving = isinstance(data, JointChange) and not data.changes
    return member.members.joint == leaving


def note_proposed(member: State, data: object, index: int) -> None:
    """Remember the change at `index`, so that no other is proposed before it is applied."""
    if is_change(data):
        member.change_index = index


def apply_change(member: State, data: object) -> None:
    """Put a committed change into force."""
    before = member.members
    if isinstance(data, Change):
        after = before.after(data)
    else:
        assert isinstance(data, JointChange)
        after = before.joined(data.changes, data.auto_leave) if data.changes else before.left()
    adopt(member, after)


def adopt(member: State, members: Membership) -> None:
    """Work with another membership from now on."""
    was_promotable = member.promotable()
    member.members = members
    member.announce("members", voters=members.voters, leaving=members.leaving, learners=members.learners)
    fresh = {}
    for name in members.everybody:
        progress = member.progress.get(name)
        if progress is None:
            # It counts as heard from, or a check of the quorum right after its addition would fail.
            progress = Progress(0, member.log.last + 1, name in members.learners, active=True)
        progress.learner = name in members.learners
        fresh[name] = progress
    member.progress = fresh
    member.beats = ((0, 0, 0), [])
    if not was_promotable and member.promotable() and member.role != "leader":
        member.restart_timer()
    if member.role != "leader" or member.name not in members.all_voters:
        return  # a leader that is removed leads on until it hears of another, but moves nothing any more
    if member.transferee is not None and member.transferee not in members.all_voters:
        member.transferee = None
    if maybe_commit(member):  # a smaller quorum may have what a larger one had not
        broadcast_append(member)
    else:
        for name, progress in member.progress.items():
            if name != member.name:
                send_append(member, name, progress, even_empty=False)


def wants_to_leave(member: State) -> bool:
    """Whether this leader should end the joint configuration now."""
    return (
        member.role == "leader"
        and member.members.joint
        and member.members.auto_leave
        and member.change_index <= member.log.applied
    )
