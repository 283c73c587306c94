"""What an etcd member is set to, with the defaults of its version."""

from __future__ import annotations

from dataclasses import dataclass

from hasim.protocols.raft.config import RaftConfig

# Sources: etcd-io/etcd server/embed/config.go, server/etcdserver/{server,raft,v3_server}.go, server/storage/quota.go.
REQUEST_PATIENCE = 5.0  # seconds, to which two election timeouts are added
READ_RETRY = 0.5  # seconds after which an unanswered read index is asked for again
QUOTA_BYTES = 2 << 30
REQUEST_BYTES_MAX = 1_572_864
APPLY_GAP_MAX = 5_000
BACKEND_BATCH = 500  # entries between commits of the database; etcd's come by time (100 ms) or 10 000 operations
SNAPSHOT_KEEPS = 5_000  # entries that stay in the log for slow followers
STOP_DELAY = 1.0  # seconds a removed member takes to stop
PEER_POLL, PEER_POLLS = 0.05, 100  # how a fresh member looks for peers before it moves its election timer on


def pre_vote_default(minor: int) -> bool:
    """Whether pre-vote is on by default in etcd 3.`minor`: since 3.5.0."""
    return minor >= 5


def snapshot_count_default(minor: int) -> int:
    """Entries between snapshots by default in etcd 3.`minor`: fewer since 3.6."""
    return 10_000 if minor >= 6 else 100_000


@dataclass(frozen=True)
class EtcdConfig:
    """The settings of one member; `raft` holds those of the protocol underneath."""

    raft: RaftConfig
    version: str = "3.6.11"
    snapshot_count: int = 10_000
    snapshot_keeps: int = SNAPSHOT_KEEPS
    quota_bytes: int = QUOTA_BYTES
    strict_reconfig: bool = True
    learners_max: int = 1
    tick_advance: bool = True

    @property
    def request_timeout(self) -> float:
        """How long a request may take, in seconds: 5 s and two election timeouts."""
        return REQUEST_PATIENCE + 2 * self.raft.timing.election_timeout
