"""Violations of linearizability that are plain to see: two operations and their times prove them, without a search.

A read that saw what nobody wrote, what was only written later, or what had certainly been overwritten. There are
violations of other kinds; these are the ones that a broken store shows most, and that a person understands.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from hasim.checks.history import Operation

Blame = tuple[tuple[Operation, ...], str]
"""The operations to blame, the offending one first, and why, in words."""


def plain_violation(operations: Sequence[Operation], initial: object) -> Blame | None:
    """Find the first read among the operations on one key that is plainly wrong, and the write that proves it."""
    writes = [operation for operation in operations if changes(operation)]
    begun: dict[object, float] = {initial: -math.inf}  # before this, the value was certainly not there
    gone: dict[object, float] = {initial: -math.inf}  # after this, nobody brings it back
    first: dict[object, Operation] = {}
    for write in writes:
        value = _written(write)
        begun[value] = min(begun.get(value, math.inf), write.called)
        gone[value] = max(gone.get(value, -math.inf), _end(write))
        if begun[value] == write.called:
            first[value] = write
    # Since when a write is certainly done: since its return, or since its value, never there before, was seen.
    done = [(write.called, _end(write), write) for write in writes]
    looks = [(operation, _seen(operation)) for operation in operations if _looks(operation)]
    done += [
        (begun[seen], look.returned, first[seen]) for look, seen in looks if begun.get(seen, -math.inf) > -math.inf
    ]
    done.sort(key=lambda entry: entry[0])
    starts = [start for start, _, _ in done]
    soonest = [math.inf] * (len(done) + 1)
    for index in range(len(done) - 1, -1, -1):
        soonest[index] = min(soonest[index + 1], done[index][1])
    for look, seen in looks:
        told = str(look) if look.kind == "get" else f"{look} found {seen!r}"
        if seen not in begun:
            return (look,), f"{told}, which nobody wrote"
        if begun[seen] > look.returned:
            return (look, first[seen]), f"{told}, before {first[seen]} was called"
        after = bisect_right(starts, gone[seen])
        if soonest[after] < look.called:
            missed = max((entry for entry in done[after:] if entry[1] < look.called), key=lambda entry: entry[0])[2]
            return (look, missed), f"{told}, but that was overwritten before by {missed}"
    return None


def changes(operation: Operation) -> bool:
    """Whether the operation has changed the value of its key, or may have."""
    if operation.kind == "cas" and operation.value == operation.expected:
        return False
    return operation.kind != "get" and operation.outcome != "failed"


def _looks(operation: Operation) -> bool:
    """Whether it tells what the value was."""
    return operation.outcome == "ok" and operation.kind in ("get", "cas")


def _written(write: Operation) -> object:
    return None if write.kind == "delete" else write.value


def _seen(operation: Operation) -> object:
    return operation.value if operation.kind == "get" else operation.expected


def _end(write: Operation) -> float:
    """When it had certainly taken effect, in seconds."""
    return write.returned if write.outcome == "ok" else math.inf
