"""What clients ask an etcd member for and what it answers, with etcd's own words for what went wrong.

An error that is definite says that nothing has happened and nothing will; one that leaves it unknown says neither.
Source of the texts: etcd-io/etcd, api/v3rpc/rpctypes/error.go; those of gRPC and Go stand below them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hasim.machine import LOST, REFUSED, Gone


class Put(NamedTuple):
    """Write a value to a key."""

    key: str
    value: str


class Get(NamedTuple):
    """Read a key: `linearizable` (through a quorum), `lease` (from a leader that trusts its lease) or `serializable`
    (whatever this member knows).
    """

    key: str
    mode: str = "linearizable"


class Delete(NamedTuple):
    """Remove a key."""

    key: str


class Cas(NamedTuple):
    """Write a value to a key if it holds the expected one (None: if there is no such key)."""

    key: str
    expected: str | None
    value: str


class MemberAdd(NamedTuple):
    """Add a member, with a vote from the start or as a learner; its process is started afterwards."""

    member: str
    learner: bool = False


class MemberRemove(NamedTuple):
    """Remove a member."""

    member: str


class MemberPromote(NamedTuple):
    """Give a learner its vote; only the leader can judge whether it has caught up."""

    member: str


class MoveLeader(NamedTuple):
    """Hand leadership over to another member; only the leader can."""

    target: str


class Defragment(NamedTuple):
    """Give back the room that compaction has freed in this member's database."""


class Status(NamedTuple):
    """Ask a member how it is."""


class SaveSnapshot(NamedTuple):
    """Ask a member for a copy of its store."""


Command = Put | Get | Delete | Cas


class Done(NamedTuple):
    """The request was carried out.

    `value` is what a get found (None: no such key), and of a compare-and-swap whether it held (True or False);
    `version` is the revision of the store that was made or seen.
    """

    value: object = None
    version: int | None = None


class Refused(NamedTuple):
    """The request failed; `unknown` says that it may have taken effect all the same, or may yet."""

    error: str
    unknown: bool = False


Result = Done | Refused | Gone

# Errors a server may give. All that begin with TIMED_OUT leave a write unknown.

NO_LEADER: Final = "etcdserver: no leader"
NOT_LEADER: Final = "etcdserver: not leader"
LEADER_CHANGED: Final = "etcdserver: leader changed"
NOT_CAPABLE: Final = "etcdserver: not capable"
SERVER_STOPPED: Final = "etcdserver: server stopped"
TIMED_OUT: Final = "etcdserver: request timed out"
TIMED_OUT_LEADER_FAILURE: Final = "etcdserver: request timed out, possibly due to previous leader failure"
TIMED_OUT_CONNECTION_LOST: Final = "etcdserver: request timed out, possibly due to connection lost"
TIMED_OUT_TRANSFER: Final = "etcdserver: request timed out, leader transfer took too long"
UNHEALTHY: Final = "etcdserver: unhealthy cluster"
NOT_FOR_LEARNERS: Final = "etcdserver: rpc not supported for learner"
TOO_MANY_REQUESTS: Final = "etcdserver: too many requests"
TOO_LARGE: Final = "etcdserver: request is too large"
NO_SPACE: Final = "etcdserver: mvcc: database space exceeded"
COMPACTED: Final = "etcdserver: mvcc: required revision has been compacted"
FUTURE: Final = "etcdserver: mvcc: required revision is a future revision"
NO_KEY: Final = "etcdserver: key is not provided"
DROPPED: Final = "raft proposal dropped"
BAD_TRANSFEREE: Final = "etcdserver: bad leader transferee"

# Errors of the client and of what lies between.

DEADLINE: Final = "context deadline exceeded"
CONNECTION_REFUSED: Final = REFUSED
CONNECTION_LOST: Final = LOST

UNAVAILABLE: Final = frozenset(
    {
        *(NO_LEADER, LEADER_CHANGED, NOT_CAPABLE, SERVER_STOPPED, UNHEALTHY, NOT_FOR_LEARNERS),
        *(TIMED_OUT, TIMED_OUT_LEADER_FAILURE, TIMED_OUT_CONNECTION_LOST),
        *(CONNECTION_REFUSED, CONNECTION_LOST),
    }
)
"""Errors with gRPC's code Unavailable: etcd's Go client repeats a read after these, and after no others."""
