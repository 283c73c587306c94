"""What a Raft member keeps on its disk: term, vote, log, snapshot, and how far it knew the log to be committed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hasim.protocols.raft.messages import Entry, Snapshot


class Record(NamedTuple):
    """One write: the hard state, and the entries that are new or differ; everything after the last of them is void."""

    term: int
    vote: str | None
    commit: int
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None
    keep: int | None = None  # with a snapshot of one's own: how many entries before it stay


@dataclass
class Saved:
    """The disk of a member."""

    term: int = 0
    vote: str | None = None
    commit: int = 0
    snapshot: Snapshot | None = None
    entries: list[Entry] = field(default_factory=list)


def journal(saved: Saved | None, record: Record) -> Saved:
    """Add a record to the disk."""
    saved = saved or Saved()
    saved.term, saved.vote, saved.commit = record.term, record.vote, record.commit
    if record.snapshot is not None:
        saved.snapshot = record.snapshot
        if record.keep is None:  # it came from the leader: nothing of the old log counts
            saved.entries.clear()
        else:
            upto = record.snapshot.index - record.keep
            if saved.entries and saved.entries[0].index <= upto:
                del saved.entries[: upto + 1 - saved.entries[0].index]
    if record.entries:
        first = record.entries[0].index
        while saved.entries and saved.entries[-1].index >= first:
            saved.entries.pop()
        saved.entries.extend(record.entries)
    return saved
