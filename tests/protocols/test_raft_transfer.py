"""Who is told to take over minds what it has not applied yet."""

from __future__ import annotations

from hasim.machine import Drawn, Received, Started
from hasim.protocols.raft import Change, Entry, Raft, RaftConfig, genesis
from hasim.protocols.raft.messages import Append, TimeoutNow


def test_a_member_with_an_unapplied_change_of_membership_does_not_take_over() -> None:
    """It would count votes by a membership that is none any more; etcd's `hup` has the same guard for transfers."""
    raft = Raft(RaftConfig("n1", genesis(("n1", "n2", "n3"))))
    raft.hear(Started(), 0.0)
    raft.hear(Drawn("election", 10), 0.0)
    raft.hear(Received("n2", Append(1, 0, 0, (Entry(1, 1, Change("remove", "n3")),), 1)), 0.0)
    (change,) = raft.committed()
    raft.hear(Received("n2", TimeoutNow(1)), 0.0)
    roles = [raft.state.role]
    raft.applied(change)
    raft.hear(Received("n2", TimeoutNow(1)), 0.0)
    assert [*roles, raft.state.role] == ["follower", "candidate"]
