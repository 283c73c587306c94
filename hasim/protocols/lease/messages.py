"""What candidates, stores and the protected resource say to one another."""

from __future__ import annotations

from typing import Any, NamedTuple

from hasim.protocols.api import Reply, Request

# Candidates and the API server.


class Call(NamedTuple):
    """A request to the API server, by its number; a process with two things to ask for has a `line` for each."""

    n: int
    request: Request
    line: str = ""


class Hangup(NamedTuple):
    """Whoever made this call waits no longer; the server drops it, unless it is done."""

    n: int
    line: str = ""


class Answered(NamedTuple):
    """What became of a call."""

    n: int
    reply: Reply
    line: str = ""


class Watch(NamedTuple):
    """Tell me of my LeaseCandidate, as it is now and whenever it changes; while this connection lasts."""

    name: str


class Watched(NamedTuple):
    """To whoever watches the LeaseCandidate of this name: so it is now; None if there is none."""

    name: str
    thing: Any


# Candidates and a store that ends leases by itself.


class Acquire(NamedTuple):
    """Take the lease if nobody has it (SET NX PX; a lease grant and a transaction on the key)."""

    n: int
    owner: str
    ttl: float


class Renew(NamedTuple):
    """Let the lease live for another `ttl`, if it is still this owner's."""

    n: int
    owner: str
    ttl: float


class Release(NamedTuple):
    """Give the lease back, if it is still this owner's."""

    n: int
    owner: str


class Granted(NamedTuple):
    """It is yours; `token` grows with every owner."""

    n: int
    token: int


class Denied(NamedTuple):
    """It is not yours."""

    n: int


class Vacant(NamedTuple):
    """To whoever watches: the lease is gone."""


# Leaders and the resource that they write to.


class Write(NamedTuple):
    """Item number `item` is done, says the holder of this token; the next is asked for with `item` 0."""

    n: int
    token: int
    item: int


class Wrote(NamedTuple):
    """What became of a write or a question, and how many items are done now; `why` is empty if it was accepted."""

    n: int
    done: int
    why: str = ""


Message = Any
