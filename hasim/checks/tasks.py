"""The promise of work that is done exactly once, as a function of facts: no task is lost, none has two effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hasim.checks.invariant import Violation
from hasim.errors import ModelError
from hasim.trace import Fact, Trace


@dataclass(frozen=True, slots=True)
class Effects:
    """How many tasks had no effect, one, and more: lost, once, duplicated; `extra` counts effects beyond the first."""

    lost: int
    once: int
    duplicated: int
    extra: int

    @property
    def tasks(self) -> int:
        """All of them."""
        return self.lost + self.once + self.duplicated


def effects(facts: Iterable[Fact]) -> Effects:
    """Count the effects of every task that was stored: facts "task stored" and "effect", which name the task.

    Raises ModelError for a trace that has not all of its facts.
    """
    _refuse_incomplete(facts)
    counts = Counter(_per_task(facts).values())
    extra = sum((times - 1) * tasks for times, tasks in counts.items() if times > 1)
    return Effects(counts[0], counts[1], sum(tasks for times, tasks in counts.items() if times > 1), extra)


def effect_once(facts: Iterable[Fact]) -> list[Violation]:
    """The promise that every task has one effect by the end of the facts: at-least-once and at-most-once together.

    A task that is still under way at the end counts as lost, so ask when the queue has come to rest. Raises ModelError
    for a trace that has not all of its facts.
    """
    _refuse_incomplete(facts)
    facts = list(facts)
    found: list[Violation] = []
    stored: dict[str, Fact] = {}
    seen: dict[str, Fact] = {}
    for fact in facts:
        task = _task(fact)
        if fact.kind == "task stored":
            stored[task] = fact
        elif fact.kind == "effect" and task in seen:
            what = f"{task} has an effect again, by {fact.subject}"
            found.append(Violation("effect once", fact.at, what, (seen[task], fact)))
        elif fact.kind == "effect":
            seen[task] = fact
    end = facts[-1].at if facts else 0.0
    lost = [task for task in stored if task not in seen]
    return found + [Violation("effect once", end, f"{task} has no effect", (stored[task],)) for task in lost]


def _refuse_incomplete(facts: Iterable[Fact]) -> None:
    if isinstance(facts, Trace) and facts.dropped:
        said = f"got a trace with the first {len(facts):,} facts, and {facts.dropped:,} more are only counted"
        raise ModelError(f"{said}; play less time, or fewer tasks", "facts")


def _per_task(facts: Iterable[Fact]) -> Counter[str]:
    found: Counter[str] = Counter()
    for fact in facts:
        if fact.kind in ("task stored", "effect"):
            found[_task(fact)] += fact.kind == "effect"
    return found


def _task(fact: Fact) -> str:
    return str(fact.detail.get("task", "")) if isinstance(fact.detail, Mapping) else ""
