"""A broken invariant: which rule, when, and the facts that show it."""

from __future__ import annotations

from dataclasses import dataclass

from hasim.trace import Fact


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that must always hold and did not: its name, when it was seen (seconds), in words, and the facts."""

    invariant: str
    at: float
    what: str
    facts: tuple[Fact, ...] = ()

    def __str__(self) -> str:
        """Say it in a line, with a line for each fact that shows it."""
        shown = "".join(f"\n  {fact}" for fact in self.facts)
        return f"{self.invariant} is broken at {self.at:.6g} s: {self.what}{shown}"


class InvariantBroken(AssertionError):
    """The system under judgement has broken an invariant; `violation` says which and how."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation
