"""What clients ask of the store, what it answers, and what watchers hear."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

Key = tuple[type, str]
"""What an object is found by: its class and its name."""


class Stored(Protocol):
    """An object of the store: a frozen dataclass with these fields.

    `version` is the store's own number of the last write, 0 before the first. `deleted` is when somebody asked for the
    object to go that cannot go at once, in seconds of the store's clock; None while nobody has.
    """

    @property
    def name(self) -> str:
        """Its name, one of a kind among objects of its class."""

    @property
    def version(self) -> int:
        """The number of its last write."""


def key_of(thing: Stored) -> Key:
    """What an object is found by."""
    return type(thing), thing.name


# Requests.


class Get(NamedTuple):
    """Read one object."""

    kind: type
    name: str


class Create(NamedTuple):
    """Write an object that is not there yet."""

    thing: Any


class Update(NamedTuple):
    """Write an object over the version that it carries; over whatever is there, if it carries 0 (a blind write)."""

    thing: Any


class Delete(NamedTuple):
    """Let an object go.

    One with a `grace` of its own and a place where it runs (a pod on a node) is marked, and goes when the kubelet there
    says so, with `force`. `version` other than 0 is what it must still be.
    """

    kind: type
    name: str
    force: bool = False
    version: int = 0


class Bind(NamedTuple):
    """Put a pod on a node; refused if it is on one already (k/k pkg/registry/core/pod/storage/storage.go)."""

    kind: type
    name: str
    node: str


class Patch(NamedTuple):
    """Set some fields of an object, whatever the others are by then: no version is asked for."""

    kind: type
    name: str
    fields: tuple[tuple[str, Any], ...]


Request = Get | Create | Update | Delete | Bind | Patch

# Replies.

Refusal = Literal["conflict", "exists", "not found", "forbidden"]
"""409 on a version, 409 on a name, 404, 403; what comes of no answer at all is the business of who asked."""


class Done(NamedTuple):
    """It is done, and this is the object as it stands now; as it stood last, after a Delete."""

    thing: Any


class Refused(NamedTuple):
    """It is not done, and nothing has changed."""

    why: Refusal


Reply = Done | Refused


class Change(NamedTuple):
    """What a watcher hears: the object before (None: created) and after (None: gone)."""

    before: Any
    after: Any

    @property
    def key(self) -> Key:
        """What it happened to."""
        return key_of(self.before if self.after is None else self.after)
