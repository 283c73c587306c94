"""What members of a Raft cluster say to each other, and what stands in their logs.

Names follow the thesis (Ongaro 2014, figure 3.1); hints, contexts and pre-votes are etcd's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hasim.protocols.raft.membership import Membership

Name = str
ENTRY_BYTES = 100  # size of a message or an entry beside what it carries; only bandwidth and limits feel it


class Entry(NamedTuple):
    """One entry of the log; `data` is None in the empty entry that begins a term."""

    term: int
    index: int  # type: ignore[assignment]
    data: Any = None
    size: int = 0


class Snapshot(NamedTuple):
    """The state of the store after `index`, in place of the log up to there."""

    index: int  # type: ignore[assignment]
    term: int
    members: Membership
    data: Any = None
    size: int = 0


class VoteRequest(NamedTuple):
    """RequestVote; `pre` asks without consequences, `transfer` says that the leader itself wants it."""

    term: int
    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False


class VoteReply(NamedTuple):
    """The answer to a VoteRequest."""

    term: int
    granted: bool
    pre: bool = False


class Append(NamedTuple):
    """AppendEntries: the entries after (prev_index, prev_term), and how far the leader has committed."""

    term: int
    prev_index: int
    prev_term: int
    entries: tuple[Entry, ...]
    commit: int


class AppendReply(NamedTuple):
    """Up to where the log agrees; or a refusal of `index`, with the place to try next."""

    term: int
    index: int  # type: ignore[assignment]
    rejected: bool = False
    hint_index: int = 0
    hint_term: int = 0


class Heartbeat(NamedTuple):
    """A sign of life; `commit` never goes past what the follower is known to have."""

    term: int
    commit: int
    context: int = 0


class HeartbeatReply(NamedTuple):
    """The answer to a Heartbeat, with its context."""

    term: int
    context: int = 0


class InstallSnapshot(NamedTuple):
    """A snapshot for a follower too far behind the leader's log."""

    term: int
    snapshot: Snapshot


class TimeoutNow(NamedTuple):
    """The leader hands over: campaign at once."""

    term: int


class Forward(NamedTuple):
    """Proposals that a follower passes on to whom it believes to be the leader."""

    items: tuple[tuple[Any, int], ...]  # (data, size)

    @property
    def term(self) -> int:
        """None: it is about no term."""
        return 0


class ReadRequest(NamedTuple):
    """A follower asks the leader up to where a read must have applied; `lease` is content with the leader's clock."""

    ref: str
    lease: bool = False

    @property
    def term(self) -> int:
        """None: it is about no term."""
        return 0


class ReadReply(NamedTuple):
    """The index that a read must wait for."""

    term: int
    ref: str
    index: int  # type: ignore[assignment]


class TransferRequest(NamedTuple):
    """Somebody asks the leader to hand over to `target`."""

    target: Name

    @property
    def term(self) -> int:
        """None: it is about no term."""
        return 0


Message = (
    VoteRequest
    | VoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | TimeoutNow
    | Forward
    | ReadRequest
    | ReadReply
    | TransferRequest
)
