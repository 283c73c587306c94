"""Linearizable reads as etcd serves them: one at a time asks for a read index, and takes all that wait along.

While a round is under way further reads gather for the next. It is asked for again every half second, and fails
when another leader appears, or after the request timeout. So a read that comes just after it began may wait for two
timeouts (server/etcdserver/read, linearizableReadLoop).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Round:
    """Reads that share a read index: (reference, key) each."""

    number: int
    reads: list[tuple[str, str]]
    lease: bool
    index: int | None = None  # known once the leader has answered


@dataclass
class ReadLoop:
    """The round under way, if any, and what gathers for the next."""

    booted: float = 0.0  # answers to an earlier process of this member are not for this one
    number: int = 0
    attempt: int = 0
    now: Round | None = None
    waiting: list[tuple[str, str]] = field(default_factory=list)
    waiting_lease: bool = True

    def gather(self, ref: str, key: str, lease: bool) -> None:
        """Let a read wait for the next round; one that wants certainty makes the whole round certain."""
        self.waiting_lease = lease if not self.waiting else (self.waiting_lease and lease)
        self.waiting.append((ref, key))

    def begin(self) -> Round | None:
        """Start the next round if none is under way and somebody waits."""
        if self.now is not None or not self.waiting:
            return None
        self.number += 1
        self.now = Round(self.number, self.waiting, self.waiting_lease)
        self.waiting = []
        return self.now

    def next_attempt(self) -> str:
        """A reference for asking again: each attempt is a read index of its own."""
        self.attempt += 1
        return f"{self._round()}{self.attempt}"

    def _round(self) -> str:
        return f"{self.booted!r}/{self.number}."

    def answered(self, ref: str, index: int) -> None:
        """The leader has answered; an answer to an attempt of an earlier round is void."""
        if self.now is not None and self.now.index is None and ref.startswith(self._round()):
            self.now.index = index

    def finish(self) -> list[tuple[str, str]]:
        """End the round; its reads."""
        assert self.now is not None, "no round is under way"
        reads, self.now = self.now.reads, None
        return reads
