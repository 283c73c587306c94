"""What a client may rely on within its own session: reads that are not stale, never go back, and see its writes.

The guarantees of Terry et al. (1994), checked on the versions that operations carry. A version is a number of
the whole store, so that they compare across keys; operations without one are passed over, and so are those that
are not ok.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from hasim.checks.history import Kind, Operation, checked


@dataclass(frozen=True, slots=True)
class Lapse:
    """A read that was `behind` by so many versions: of the operation it should have known, or of the store."""

    read: Operation
    behind: int
    known: Operation | None = None

    def __str__(self) -> str:
        """Say it in one line, with the operation that should have been known."""
        versions = "1 version" if self.behind == 1 else f"{self.behind} versions"
        return f"{self.read} was {versions} behind {'the store' if self.known is None else str(self.known)}"


def stale_reads(history: Iterable[Operation]) -> list[Lapse]:
    """The serializable gets that missed writes committed before their call, and how many versions they missed."""
    return [
        Lapse(get, get.latest - get.version)
        for get in checked(history)
        if get.kind == "get" and get.outcome == "ok" and get.mode == "serializable"
        if get.version is not None and get.latest is not None and get.version < get.latest
    ]


def monotonic_reads(history: Iterable[Operation]) -> list[Lapse]:
    """The gets that saw an older version than an earlier get of the same client had seen."""
    return _behind(history, "get")


def read_your_writes(history: Iterable[Operation]) -> list[Lapse]:
    """The gets that saw an older version than an earlier write of the same client had made."""
    return _behind(history, "put", "delete", "cas")


def _behind(history: Iterable[Operation], *kinds: Kind) -> list[Lapse]:
    """The gets that are behind an operation of these kinds, of the same client, that had returned at their call.

    The one named is the newest of them. What returned at the very moment of the call counts, for a client that
    works without pause knows its own order.
    """
    clients: dict[str, list[Operation]] = {}
    for operation in checked(history):
        if operation.outcome == "ok" and operation.version is not None:
            clients.setdefault(operation.client, []).append(operation)
    lapses: list[Lapse] = []
    for operations in clients.values():
        returned: list[tuple[float, int, Operation]] = []
        newest: Operation | None = None
        for index, operation in enumerate(sorted(operations, key=lambda operation: operation.called)):
            while returned and returned[0][0] <= operation.called:
                known = heapq.heappop(returned)[2]
                newest = known if newest is None else max(newest, known, key=_version)
            if operation.kind == "get" and newest is not None and _version(operation) < _version(newest):
                lapses.append(Lapse(operation, _version(newest) - _version(operation), newest))
            if operation.kind in kinds:
                heapq.heappush(returned, (operation.returned, index, operation))
    return lapses


def _version(operation: Operation) -> int:
    assert operation.version is not None
    return operation.version
