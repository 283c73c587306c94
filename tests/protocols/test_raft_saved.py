"""What stays of the log on a disk when a snapshot comes to stand for its beginning."""

from __future__ import annotations

import pytest

from hasim.protocols.raft import Entry, Membership, Record, Saved, Snapshot, journal

LAST = 8


@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("index", [3, 5, LAST])
@pytest.mark.parametrize("keep", [0, 1, 2, 5, 100])
def test_a_snapshot_keeps_the_entries_it_was_told_to_keep(first: int, index: int, keep: int) -> None:
    entries = [Entry(1, each) for each in range(first, LAST + 1)]
    snapshot = Snapshot(index, 1, Membership(("a",)))
    saved = journal(Saved(1, None, index, None, entries.copy()), Record(1, None, index, (), snapshot, keep))
    assert saved.snapshot == snapshot
    assert saved.entries == [entry for entry in entries if entry.index > index - keep]


def test_a_snapshot_of_an_empty_log_keeps_it_empty() -> None:
    snapshot = Snapshot(3, 1, Membership(("a",)))
    assert journal(Saved(), Record(1, None, 3, (), snapshot, 0)).entries == []
