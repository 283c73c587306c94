"""All that can be said about what clients saw and what members did: one report from several judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hasim.checks.history import Operation
from hasim.checks.invariant import Violation
from hasim.checks.linearizable import linearizable
from hasim.checks.raft import INVARIANTS
from hasim.checks.sessions import Lapse, monotonic_reads, read_your_writes, stale_reads
from hasim.checks.verdict import Verdict


@dataclass(frozen=True)
class Report:
    """The verdicts on a run; print it.

    `linearizable` has a verdict for each key. The session guarantees (`stale`, `backwards`, `own_writes_missed`) count
    serializable reads too, which promise none of them: what they list is no fault of the store, and `ok` does not look
    at it.
    """

    operations: int
    linearizable: dict[str, Verdict]
    stale: tuple[Lapse, ...]
    backwards: tuple[Lapse, ...]
    own_writes_missed: tuple[Lapse, ...]
    violations: tuple[Violation, ...]

    @property
    def ok(self) -> bool:
        """Whether every key is known to be linearizable, and no invariant of Raft was broken."""
        return not self.violations and all(self.linearizable.values())

    def __bool__(self) -> bool:
        """Tell whether all that is promised was kept."""
        return self.ok

    def __str__(self) -> str:
        """Say it in a few lines, with the operations and facts to blame."""
        wrong = {key: verdict for key, verdict in self.linearizable.items() if not verdict}
        keys = f"{len(self.linearizable)} key{'' if len(self.linearizable) == 1 else 's'}"
        lines = [f"linearizable: {'no' if wrong else 'yes'}, {self.operations} operations on {keys}"]
        if wrong and all(verdict.ok is None for verdict in wrong.values()):
            lines = [lines[0].replace(": no", ": unknown")]
        lines += [f"  {verdict}" for verdict in wrong.values()]
        lines += [
            _session("stale serializable reads", self.stale),
            _session("reads that went back in time", self.backwards),
            _session("reads that missed a write of their own client", self.own_writes_missed),
            f"Raft: {len(self.violations)} violations"
            if self.violations
            else f"Raft: all {len(INVARIANTS)} invariants held",
        ]
        return "\n".join([*lines, *(f"  {violation}" for violation in self.violations)])

    __repr__ = __str__


def report(
    history: Iterable[Operation], violations: Iterable[Violation] = (), initial: Mapping[str, object] | None = None
) -> Report:
    """Judge a history, key by key; `initial` has the values that were there before it, None where there was no key."""
    operations = list(history)
    keys: dict[str, list[Operation]] = {}
    for operation in operations:
        keys.setdefault(operation.key, []).append(operation)
    begun = initial or {}
    return Report(
        len(operations),
        {key: linearizable(keys[key], initial=begun.get(key)) for key in sorted(keys)},
        tuple(stale_reads(operations)),
        tuple(monotonic_reads(operations)),
        tuple(read_your_writes(operations)),
        tuple(violations),
    )


def _session(what: str, lapses: tuple[Lapse, ...]) -> str:
    if not lapses:
        return f"{what}: none"
    worst = max(lapses, key=lambda lapse: lapse.behind)
    return f"{what}: {len(lapses)}, the worst: {worst}"
