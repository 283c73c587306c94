"""Promises of leader election as functions of what happened: one leader at a time, and each item done once.

They read the facts of `hasim.protocols.lease`: "leading" and "stopped leading" of a process, the end of a process, its
pauses, and the "effect"s on the protected resource. Leases alone promise none of it; a fence at the resource does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf

from hasim.checks.invariant import Violation
from hasim.trace import Fact

ENDS = ("stopped leading", "process crashed", "process exited", "power lost")


@dataclass(frozen=True, slots=True)
class Reign:
    """The time in which one process believed that it leads, in seconds; `end` is infinite if it still does.

    `asleep` has the pauses in it, as (start, end): a process that sleeps believes, and does nothing.
    """

    leader: str
    term: int
    start: float
    end: float
    asleep: tuple[tuple[float, float], ...] = ()

    def awake_within(self, start: float, end: float) -> float:
        """How much of a stretch of time it reigned awake, in seconds."""
        start, end = max(start, self.start), min(end, self.end)
        slept = sum(max(0.0, min(end, until) - max(start, since)) for since, until in self.asleep)
        return max(0.0, end - start - slept)


@dataclass(frozen=True, slots=True)
class Overlap:
    """A stretch of time in which two processes believed that they lead; `awake` is how long both could act."""

    first: Reign
    second: Reign
    start: float
    end: float

    @property
    def lasting(self) -> float:
        """How long, in seconds."""
        return self.end - self.start

    @property
    def awake(self) -> float:
        """How long both were awake, in seconds; exact where only one of them was ever paused."""
        asleep = self.lasting - self.first.awake_within(self.start, self.end)
        also = self.lasting - self.second.awake_within(self.start, self.end)
        return max(0.0, self.lasting - asleep - also)


def reigns(facts: Iterable[Fact]) -> list[Reign]:
    """Who believed to lead and when, in order of the beginnings."""
    open_: dict[str, tuple[int, float]] = {}
    paused: dict[str, float] = {}
    naps: dict[str, list[tuple[float, float]]] = {}
    found: list[Reign] = []

    def close(name: str, end: float) -> None:
        term, start = open_.pop(name)
        slept = [nap for nap in naps.get(name, []) if nap[1] > start]
        if name in paused:
            slept.append((max(start, paused[name]), end))
        found.append(Reign(name, term, start, end, tuple(slept)))

    for fact in facts:
        name = fact.subject
        if fact.kind == "leading":
            assert isinstance(fact.detail, Mapping)
            open_[name] = (fact.detail["term"], fact.at)
        elif fact.kind == "process paused":
            paused[name] = fact.at
        elif fact.kind == "process resumed" and name in paused:
            naps.setdefault(name, []).append((paused.pop(name), fact.at))
        elif fact.kind in ENDS:
            if name in open_:
                close(name, fact.at)
            if fact.kind != "stopped leading":
                paused.pop(name, None)
    for name in list(open_):
        close(name, inf)
    return sorted(found, key=lambda reign: (reign.start, reign.term))


def overlaps(facts: Iterable[Fact], until: float = inf) -> list[Overlap]:
    """Every stretch of time in which two believed to lead, up to `until` (seconds)."""
    found = []
    known = reigns(facts)
    for i, first in enumerate(known):
        for j in range(i + 1, len(known)):
            second = known[j]
            start, end = second.start, min(first.end, second.end, until)
            if start >= first.end:  # and so do all that follow
                break
            if start < end:
                found.append(Overlap(first, second, start, end))
    return found


def one_leader(facts: Iterable[Fact]) -> list[Violation]:
    """The promise that at most one process believes to lead; a lease keeps it while clocks and delays are bounded."""
    return [
        Violation(
            "one leader",
            overlap.start,
            f"{overlap.first.leader} (term {overlap.first.term}) and {overlap.second.leader} (term "
            f"{overlap.second.term}) both believe that they lead, for {overlap.lasting:.6g} s",
        )
        for overlap in overlaps(facts)
    ]


def effects_once(facts: Iterable[Fact]) -> list[Violation]:
    """The promise that no item is done twice: a double effect is money paid twice, a volume attached twice."""
    return list(_doubled(facts))


def _doubled(facts: Iterable[Fact]) -> Iterator[Violation]:
    seen: dict[int, Fact] = {}
    for fact in facts:
        if fact.kind != "effect":
            continue
        assert isinstance(fact.detail, Mapping)
        item = fact.detail["item"]
        if item in seen:
            before = seen[item]
            assert isinstance(before.detail, Mapping)
            what = f"item {item} is done by {fact.detail['by']}, and was by {before.detail['by']}"
            yield Violation("effects once", fact.at, what, (before, fact))
        else:
            seen[item] = fact


def stale_effects(facts: Iterable[Fact]) -> list[Violation]:
    """The promise that nobody writes in a term of office that is over: none is accepted once a later term has begun.

    A token keeps it from the moment the resource has first heard of the later term, which is one way after its leader
    was elected. A write that comes in between is still found here, though nobody has done its item twice.
    """
    latest, found = 0, []
    for fact in facts:
        if fact.kind == "leading":
            assert isinstance(fact.detail, Mapping)
            latest = max(latest, fact.detail["term"])
        elif fact.kind == "effect":
            assert isinstance(fact.detail, Mapping)
            token = fact.detail["token"]
            if token < latest:
                what = f"a write of term {token} by {fact.detail['by']} was accepted in term {latest}"
                found.append(Violation("no stale effects", fact.at, what, (fact,)))
    return found


def refused_writes(facts: Iterable[Fact]) -> Counter[str]:
    """How many writes the resource has refused, by who wrote."""
    return Counter(
        fact.detail["by"] for fact in facts if fact.kind == "write refused" and isinstance(fact.detail, Mapping)
    )
