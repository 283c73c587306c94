"""How a Raft member behaves: timing, and the protections that etcd switches on."""

from __future__ import annotations

from dataclasses import dataclass, field

from hasim.protocols.raft.membership import Membership
from hasim.protocols.raft.messages import Snapshot

APPENDS_IN_FLIGHT_MAX = 512  # etcd server/etcdserver/raft.go: 4096 / 8
MESSAGE_BYTES_MAX = 1 << 20  # etcd: maxSizePerMsg


@dataclass(frozen=True)
class Ticks:
    """etcd's time: whole ticks of the heartbeat interval, at each member's own phase.

    An election timeout is a whole number of ticks from `election` to 2 × `election` - 1, drawn anew whenever the member
    changes its term or role, not when it hears from the leader (etcd-io/raft raft.go, resetRandomizedElectionTimeout).
    """

    heartbeat: float = 0.1  # seconds
    election: int = 10  # ticks

    @property
    def election_timeout(self) -> float:
        """The least election timeout, in seconds."""
        return self.heartbeat * self.election


@dataclass(frozen=True)
class Continuous:
    """The paper's time: election timeouts drawn evenly from `low` to `high` seconds, anew with every reset.

    `reset_by_term` says whether adopting a higher term restarts the timer. The paper restarts it only when an append
    of the current leader arrives, a vote is granted or a campaign begins (5.2).
    """

    heartbeat: float = 0.075
    low: float = 0.15
    high: float = 0.3
    reset_by_term: bool = False

    @property
    def election_timeout(self) -> float:
        """The least election timeout, in seconds."""
        return self.low


@dataclass(frozen=True)
class RaftConfig:
    """The settings of one member.

    `genesis` is what an empty disk stands for: the first membership, and what every member begins with.
    `clock_drift_max` allows lease reads: a leader that a quorum has answered trusts its clock for a while, shortened by
    this factor; None, as in etcd, forbids them.
    """

    name: str
    genesis: Snapshot
    timing: Ticks | Continuous = field(default_factory=Ticks)
    pre_vote: bool = True
    check_quorum: bool = True
    clock_drift_max: float | None = None
    window: int = APPENDS_IN_FLIGHT_MAX
    message_bytes_max: int = MESSAGE_BYTES_MAX
    log_facts: bool = False  # announce every entry appended and applied, for checks that follow the logs


def genesis(voters: tuple[str, ...], learners: tuple[str, ...] = (), index: int = 0, data: object = None) -> Snapshot:
    """The beginning of a cluster: the same for every member."""
    members = Membership(tuple(sorted(voters)), (), tuple(sorted(learners)))
    return Snapshot(index, 1 if index else 0, members, data)
