"""What clients want in the log: appended by the leader, passed on by everybody else."""

from __future__ import annotations

from typing import Any

from hasim.protocols.raft import changes, replication
from hasim.protocols.raft.membership import Name, is_change
from hasim.protocols.raft.messages import AppendReply, Forward
from hasim.protocols.raft.state import State

Item = tuple[Any, int]
"""The data of an entry, and its size in bytes."""


def propose(member: State, items: tuple[Item, ...]) -> bool:
    """Append as leader, or pass on to it; False if there is none, or it is handing over."""
    if member.role == "leader":
        return append(member, items)
    if member.leader is None:
        return False
    member.send(member.leader, Forward(items), sum([size for _, size in items]))
    return True


def append(member: State, items: tuple[Item, ...]) -> bool:
    """Append as leader, and send it to everybody; False while handing over, or if this leader has been removed."""
    if member.transferee is not None or member.name not in member.progress:
        return False
    for data, size in items:
        if not is_change(data):
            member.append(data, size)
            continue
        # A change that is not admissible becomes an empty entry: whoever waits for it sees that it was refused.
        fits = changes.admissible(member, data)
        entry = member.append(data if fits else None, size if fits else 0)
        changes.note_proposed(member, entry.data, entry.index)
    member.promise(member.name, AppendReply(member.term, member.log.last))
    replication.broadcast_append(member)
    return True


def on_forward(member: State, sender: Name, message: Forward) -> None:
    """A follower has passed proposals on; a follower passes them further, and they are lost if there is no leader."""
    if member.role == "leader":
        append(member, message.items)
    elif member.leader is not None and member.leader != sender:
        member.send(member.leader, message, sum(size for _, size in message.items))
