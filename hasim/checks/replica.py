"""The log of a server as somebody else follows it: terms and data by index, from the first that is still kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Line = tuple[int, Any]
"""The term and the data of an entry."""


class Replica:
    """Entries from index `first` on; `before` is the term of the entry in front of them, None if that is not known."""

    __slots__ = ("before", "first", "lines")

    def __init__(self, first: int, lines: Iterable[Line], before: int | None) -> None:
        self.first = first
        self.lines = list(lines)
        self.before = before

    def clone(self) -> Replica:
        """The same entries, to go on by themselves."""
        return Replica(self.first, self.lines, self.before)

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.first + len(self.lines) - 1

    def line(self, index: int) -> Line | None:
        """The entry at an index, None where there is none."""
        place = index - self.first
        return self.lines[place] if 0 <= place < len(self.lines) else None

    def term(self, index: int) -> int | None:
        """The term of the entry at an index, None where that is not known."""
        line = self.line(index)
        if line is not None:
            return line[0]
        return self.before if index == self.first - 1 else None

    def has(self, index: int, line: Line) -> bool:
        """Whether this entry is here; one that was compacted away was."""
        return index < self.first or self.line(index) == line

    def put(self, first: int, lines: Iterable[Line]) -> None:
        """Write entries from index `first` on; everything after the last of them is void."""
        place = first - self.first
        if place > len(self.lines) or place < 0:
            # A log that begins later than was known: a snapshot stands for what is before.
            self.first, self.before, self.lines = first, None, list(lines)
            return
        self.lines[place:] = lines

    def forget(self, upto: int) -> None:
        """Forget the entries up to this index, but not their last term."""
        count = min(upto - self.first + 1, len(self.lines))
        if count > 0:
            self.before = self.lines[count - 1][0]
            del self.lines[:count]
            self.first += count
