"""Writes that wait for their entry to be applied: in order of their deadlines, since all wait equally long."""

from __future__ import annotations

from typing import Any, NamedTuple

from hasim.protocols.etcd.store import Ident


class Wait(NamedTuple):
    """A request that is under way: `data` is None once it has been proposed."""

    ref: str
    since: float
    size: int
    data: Any = None


class Waiting:
    """Requests under way, oldest first."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.by_ident: dict[Ident, Wait] = {}

    def __len__(self) -> int:
        """The number of requests under way."""
        return len(self.by_ident)

    def oldest(self) -> float | None:
        """When the oldest request under way began."""
        return next((wait.since for wait in self.by_ident.values()), None)

    def expired(self, before: float) -> list[Wait]:
        """Take out the requests that began at `before` or earlier."""
        late = []
        for ident, wait in self.by_ident.items():
            if wait.since > before:
                break
            late.append(ident)
        return [self.by_ident.pop(ident) for ident in late]

    def unproposed(self) -> list[tuple[Ident, Wait]]:
        """The requests that wait for a leader."""
        return [(ident, wait) for ident, wait in self.by_ident.items() if wait.data is not None]
