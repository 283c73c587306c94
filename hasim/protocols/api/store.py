"""The store: objects by class and name, each write of which has the next number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from hasim.protocols.api.requests import (
    Bind,
    Change,
    Create,
    Delete,
    Done,
    Get,
    Key,
    Patch,
    Refused,
    Reply,
    Request,
    Update,
    key_of,
)

T = TypeVar("T")


class ObjectStore:
    """All objects, and the rules by which requests change them; pure, the time of day is an argument.

    `version` is the number of the last write to anything, etcd's revision.
    """

    def __init__(self) -> None:
        """Nothing is there."""
        self.version = 0
        self._things: dict[type, dict[str, Any]] = {}

    def copy(self) -> ObjectStore:
        """A store of the same objects that goes its own way."""
        other = ObjectStore()
        other.version = self.version
        other._things = {kind: dict(things) for kind, things in self._things.items()}
        return other

    def get(self, kind: type[T], name: str) -> T | None:
        """One object; None if there is none of that name."""
        return self._things.get(kind, {}).get(name)

    def all(self, kind: type[T]) -> Iterator[T]:
        """All objects of a class, in order of creation."""
        yield from self._things.get(kind, {}).values()

    def apply(self, request: Request, now: float) -> tuple[Reply, Change | None]:
        """Carry a request out at `now` (seconds): what to answer, and what watchers hear, if anything changed."""
        if isinstance(request, Get):
            found: Any = self.get(request.kind, request.name)
            return (Refused("not found"), None) if found is None else (Done(found), None)
        if isinstance(request, Create):
            if self._of(request.thing) is not None:
                return Refused("exists"), None
            return self._write(None, request.thing)
        if isinstance(request, Update):
            return self._update(request.thing)
        if isinstance(request, Delete):
            return self._delete(request, now)
        if isinstance(request, Patch):
            return self._patch(request)
        return self._bind(request)

    def restore(self, change: Change) -> None:
        """Take over a change that another copy of this store has made, version and all."""
        kind, name = change.key
        if change.after is None:
            self._things.get(kind, {}).pop(name, None)
            self.version += 1
        else:
            self._things.setdefault(kind, {})[name] = change.after
            self.version = change.after.version

    def _update(self, thing: Any) -> tuple[Reply, Change | None]:
        before = self._of(thing)
        if before is None:
            return Refused("not found"), None
        if thing.version and thing.version != before.version:
            return Refused("conflict"), None
        return self._write(before, thing)

    def _delete(self, request: Delete, now: float) -> tuple[Reply, Change | None]:
        before = self._things.get(request.kind, {}).get(request.name)
        if before is None:
            return Refused("not found"), None
        if request.version and request.version != before.version:
            return Refused("conflict"), None
        if not request.force and getattr(before, "lingers", False):
            if before.deleted is not None:  # asked before: the first request stands
                return Done(before), None
            return self._write(before, replace(before, deleted=now))
        del self._things[request.kind][request.name]
        self.version += 1
        return Done(before), Change(before, None)

    def _bind(self, request: Bind) -> tuple[Reply, Change | None]:
        before = self._things.get(request.kind, {}).get(request.name)
        if before is None:
            return Refused("not found"), None
        if before.node is not None or before.deleted is not None:
            return Refused("conflict"), None
        return self._write(before, replace(before, node=request.node))

    def _patch(self, request: Patch) -> tuple[Reply, Change | None]:
        before = self._things.get(request.kind, {}).get(request.name)
        if before is None:
            return Refused("not found"), None
        return self._write(before, replace(before, **dict(request.fields)))

    def _of(self, thing: Any) -> Any:
        kind, name = key_of(thing)
        return self._things.get(kind, {}).get(name)

    def _write(self, before: Any, thing: Any) -> tuple[Reply, Change]:
        self.version += 1
        after = replace(thing, version=self.version)
        key: Key = key_of(after)
        self._things.setdefault(key[0], {})[key[1]] = after
        return Done(after), Change(before, after)
