"""The log of a member: entries after the last snapshot, what is committed, and what is on its way to the disk."""

from __future__ import annotations

from collections.abc import Iterable

from hasim.protocols.raft.messages import Entry, Snapshot


class Log:
    """Entries from `first` on, with the snapshot that stands for everything before.

    `commit` and `applied` are indexes; `unsaved` is the first index that the disk does not have in this form.
    """

    __slots__ = ("applied", "commit", "commit_due", "commit_saved", "entries", "first", "last", "snapshot", "unsaved")

    def __init__(self, snapshot: Snapshot, entries: Iterable[Entry] = (), commit: int = 0) -> None:
        """Start from what was saved."""
        self.snapshot = snapshot
        self.entries = list(entries)
        self.first = self.entries[0].index if self.entries else snapshot.index + 1
        self.last = self.first + len(self.entries) - 1  # index of the last entry
        self.commit = max(commit, snapshot.index)
        self.commit_saved = commit
        self.commit_due = False  # whether the disk should hear of the commit index, though nothing else is new
        self.applied = snapshot.index
        self.unsaved = self.last + 1

    @property
    def last_term(self) -> int:
        """Term of the last entry."""
        return self.entries[-1].term if self.entries else self.snapshot.term

    def term(self, index: int) -> int | None:
        """Term of the entry at an index; None where the log does not reach, on either side."""
        if self.first <= index <= self.last:
            return self.entries[index - self.first].term
        if index == self.snapshot.index:
            return self.snapshot.term
        return 0 if index == 0 else None

    def slice(self, start: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `start` on, as many as fit in a message, but at least one if there is one."""
        entries = self.entries
        if start > self.last or not entries:
            return ()
        found = entries[start - self.first :] if start > self.first else entries
        if len(found) == 1:
            return (found[0],)
        total = 0
        for count, entry in enumerate(found):
            total += entry.size
            if total > bytes_max and count:
                return tuple(found[:count])
        return tuple(found)

    def up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a candidate with such a last entry knows at least as much as this log (5.4.1)."""
        mine = self.last_term
        return last_term > mine or (last_term == mine and last_index >= self.last)

    def add(self, entry: Entry) -> None:
        """Put one entry at the end: a leader's own."""
        index = entry.index
        assert index == self.last + 1, f"entry {index} after {self.last}"
        self.unsaved = min(self.unsaved, index)
        self.entries.append(entry)
        self.last = index

    def merge(self, entries: tuple[Entry, ...]) -> int | None:
        """Take in what a leader sent, from the first conflict on (5.3); the index of that, None if all was there."""
        if entries and entries[0].index == self.last + 1:  # nearly always: nothing to compare
            first = self.last + 1
            self.unsaved = min(self.unsaved, first)
            self.entries.extend(entries)
            self.last += len(entries)
            return first
        for place, entry in enumerate(entries):
            if self.term(entry.index) == entry.term or entry.index <= self.snapshot.index:
                continue
            assert entry.index > self.commit, f"entry {entry.index} conflicts below the commit index {self.commit}"
            del self.entries[entry.index - self.first :]
            self.entries.extend(entries[place:])
            self.last = entries[-1].index
            self.unsaved = min(self.unsaved, entry.index)
            return entry.index
        return None

    def conflict(self, index: int, term: int) -> tuple[int, int]:
        """The last index up to `index` whose term is at most `term`, with its term: where to look next.

        Skipping whole terms needs one probe a term rather than one an entry (5.3, last part).
        """
        index = min(index, self.last)
        while index > 0:
            mine = self.term(index)
            if mine is None or mine <= term:
                return index, mine or 0
            index -= 1
        return 0, 0

    def restore(self, snapshot: Snapshot) -> None:
        """Throw everything away for a snapshot from the leader."""
        self.snapshot, self.entries, self.first, self.last = snapshot, [], snapshot.index + 1, snapshot.index
        self.commit = self.applied = snapshot.index
        self.unsaved = self.first

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """Let a snapshot of the applied state stand for the log, keeping the last `keep` entries before it."""
        self.snapshot = snapshot
        upto = snapshot.index - keep
        if upto >= self.first:
            del self.entries[: upto - self.first + 1]
            self.first = upto + 1
