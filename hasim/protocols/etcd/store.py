"""What an etcd cluster stores: keys with their revisions, who has started, who is removed, and the alarm for space.

Every member applies the same operations in the same order, and so comes to the same store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hasim.protocols.etcd.requests import COMPACTED, FUTURE, NO_SPACE, Cas, Delete, Done, Put, Refused, Result

_new = tuple.__new__  # half the cost of a named tuple is its own constructor

REVISION_BYTES = 100  # what a revision costs beside key and value


class Ident(NamedTuple):
    """Whose request an entry is: the member that took it in, when that member booted, and a count."""

    member: str
    boot: float
    number: int


class Request(NamedTuple):
    """The data of an entry: an operation and whose request it is."""

    ident: Ident
    operation: Any


class Publish(NamedTuple):
    """A member has started and tells the others."""

    member: str


class RaiseAlarm(NamedTuple):
    """A member has run out of quota: nobody may write any more."""

    member: str


class Disarm(NamedTuple):
    """Lift the alarm, once there is room again."""


class Compact(NamedTuple):
    """Forget what was overwritten up to a revision."""

    revision: int


class Value(NamedTuple):
    """The value of a key and the revision that wrote it."""

    value: str
    revision: int


@dataclass
class Store:
    """The state that a cluster agrees on."""

    revision: int = 1
    keys: dict[str, Value] = field(default_factory=dict)
    started: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    compacted: int = 0  # the revision up to which what was overwritten is forgotten
    in_use: int = 0  # bytes of all revisions that are kept
    garbage: list[tuple[int, int]] = field(default_factory=list)  # (revision that replaced it, bytes)

    def copy(self) -> Store:
        """A snapshot of the store."""
        return Store(
            self.revision,
            dict(self.keys),
            self.started,
            self.removed,
            self.alarms,
            self.compacted,
            self.in_use,
            list(self.garbage),
        )

    def apply(self, operation: Any) -> Result:
        """Carry out one operation; its kind decides."""
        kind = type(operation)
        if kind is Put:
            return self._write(operation.key, operation.value)
        if kind is Delete:
            return self._delete(operation.key)
        if kind is Cas:
            held = self.keys.get(operation.key)
            if (held.value if held else None) != operation.expected:
                return Done(False, self.revision)
            result = self._write(operation.key, operation.value)
            return Done(True, result.version) if isinstance(result, Done) else result
        return self._administer(operation)

    def _administer(self, operation: Any) -> Result:
        match operation:
            case Publish(member):
                if member not in self.started:
                    self.started = tuple(sorted({*self.started, member}))
            case RaiseAlarm(member):
                self.alarms = tuple(sorted({*self.alarms, member}))
            case Disarm():
                self.alarms = ()
            case Compact(revision) if revision > self.revision:
                return Refused(FUTURE)
            case Compact(revision) if revision <= self.compacted:
                return Refused(COMPACTED)
            case Compact(revision):
                self.compacted = revision
                self.in_use -= sum(size for at, size in self.garbage if at <= revision)
                self.garbage = [(at, size) for at, size in self.garbage if at > revision]
            case _:
                raise TypeError(f"got {operation!r}; a store does not know how to apply that")
        return Done(None, self.revision)

    def _write(self, key: str, value: str) -> Result:
        if self.alarms:
            return Refused(NO_SPACE)
        revision = self.revision = self.revision + 1
        self._replace(key)
        self.keys[key] = _new(Value, (value, revision))
        self.in_use += size_of(key, value)
        return _new(Done, (None, revision))

    def _delete(self, key: str) -> Result:
        held = self.keys.get(key)
        if held is None:
            return Done(0, self.revision)
        self.revision += 1
        self._replace(key)
        del self.keys[key]
        return Done(1, self.revision)

    def _replace(self, key: str) -> None:
        held = self.keys.get(key)
        if held is not None:
            self.garbage.append((self.revision, size_of(key, held.value)))

    def read(self, key: str) -> Done:
        """The value of a key, and the revision of the store it was read at."""
        held = self.keys.get(key)
        return Done(held.value if held else None, self.revision)


def size_of(key: str, value: str) -> int:
    """What a write costs in the database, in bytes."""
    return len(key) + len(value) + REVISION_BYTES
