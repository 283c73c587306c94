"""What a process knows of the objects: a copy that follows the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hasim.protocols.api import Change, ObjectStore

T = TypeVar("T")


class Informer:
    """A copy of the objects of some classes, as late as the news; `told(change)` is called when it has changed."""

    def __init__(self, kinds: tuple[type, ...], told: Callable[[Change], None]) -> None:
        """Nothing is known before the first `resync`."""
        self._told = told
        self._things: dict[type, dict[str, Any]] = {kind: {} for kind in kinds}

    def get(self, kind: type[T], name: str) -> T | None:
        """One object as it was when news of it last came; None if there is none."""
        return self._things[kind].get(name)

    def all(self, kind: type[T]) -> Iterator[T]:
        """All objects of a class, in order of their becoming known."""
        yield from self._things[kind].values()

    def hear(self, change: Change) -> None:
        """Something has changed."""
        kind, name = change.key
        before = self._things[kind].get(name)
        if change.after is None:
            self._things[kind].pop(name, None)
        else:
            self._things[kind][name] = change.after
        if before is not None or change.after is not None:
            self._told(Change(before, change.after))

    def resync(self, store: ObjectStore) -> None:
        """Take in everything as it is now; what is as it was is no news."""
        for kind, known in self._things.items():
            there: dict[str, Any] = {thing.name: thing for thing in _all(store, kind)}
            for name in [name for name in known if name not in there]:
                self.hear(Change(known[name], None))
            for name, thing in there.items():
                if known.get(name) != thing:
                    self.hear(Change(known.get(name), thing))


def _all(store: ObjectStore, kind: type) -> Iterator[Any]:
    yield from store.all(kind)
