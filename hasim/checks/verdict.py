"""The verdict on a history: whether an order of its operations explains it, and if not, who is to blame."""

from __future__ import annotations

from dataclasses import dataclass

from hasim.checks.history import Operation


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a search for an explaining order has found; `ok` is None where it gave up before it knew.

    `longest` is the longest part of the history that could be put in order, in that order: all of it, key after
    key, when `ok`. `offender` is the operation that does not fit after that part, with the write it missed where
    one can be named; `why` says it in words. `steps` counts the placements tried.
    """

    ok: bool | None
    key: str | None = None
    longest: tuple[Operation, ...] = ()
    offender: tuple[Operation, ...] = ()
    steps: int = 0
    why: str = ""

    def __bool__(self) -> bool:
        """Tell whether the history is known to be fine; ask `ok is None` to part unknown from wrong."""
        return self.ok is True

    def __str__(self) -> str:
        """Say it in one line, with the operation to blame."""
        if self.ok:
            return f"linearizable: {len(self.longest)} operations in order after {self.steps} steps"
        if self.ok is None:
            placed = f"at most {len(self.longest)} operations in order after {self.steps} steps"
            return f"unknown whether linearizable: key {self.key!r} has {placed}"
        return f"not linearizable: {self.why}"
