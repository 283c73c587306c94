"""What travels: a call of a client, an exchange (one attempt of it), and a job at a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasim.balancing import Backend
    from hasim.engines.des.requests.caller import Caller, Client
    from hasim.engines.des.requests.direct import Direct
    from hasim.engines.des.requests.front import Front

Rings = tuple[Any]

FIRST, RETRY, COPY = range(3)
"""Why an exchange was sent: because somebody asked, because the one before failed, or because it was slow."""


class Call:
    """What a client wants, with all its attempts; `over` once it has its answer, or has given up."""

    __slots__ = (
        "arrived", "attempts", "client", "copies", "deadline", "delay", "earlier", "failed_as", "latest", "live",
        "over", "retried_after", "server", "user", "waits", "write",
    )  # fmt: skip

    def __init__(self, client: Client, user: int, arrived: float, deadline: float, write: bool) -> None:
        self.client = client
        self.user = user
        self.arrived = arrived
        self.deadline = deadline
        self.write = write
        self.attempts = 0
        self.copies = 0  # of the attempts, those sent because another was slow
        self.failed_as = -1  # how the last attempt that failed did so
        self.live = 0  # exchanges that may still bring an answer
        self.delay = 0.0  # the last wait before a retry
        self.retried_after = ""  # the failure after which the last retry was made
        self.server = -1  # who answered, or failed to, last
        self.latest: Exchange | None = None
        self.earlier: tuple[Exchange, ...] = ()  # others that were out when a copy was sent
        self.waits = False  # for the time of its next attempt
        self.over = False


class Exchange:
    """One attempt: from the client to an answer, or to the end of its patience.

    `over` says that the client no longer listens. `stamp` moves on with each thing that the balancer waits for, so
    that a timer which was set for an earlier one knows that it is void.
    """

    __slots__ = ("avoid", "backend", "call", "caller", "front", "job", "kind", "over", "stamp", "tries", "weighs")

    def __init__(self, caller: Caller, call: Call, kind: int = FIRST) -> None:
        self.caller = caller
        self.call = call
        self.kind = kind
        self.front: Front | Direct = caller.front
        self.backend: Backend | None = None  # while it is at a server
        self.avoid: Backend | None = None
        self.job: Job | None = None
        self.tries = 0
        self.stamp = 0
        self.over = False
        self.weighs = False  # on its server, by itself; over a sticky connection that does


class Job:
    """An exchange at a replica, which the event loop rings when its work is done; see `Replica`.

    It is no event of SimPy's, only something with callbacks: making one of those for each request costs as much again.
    """

    __slots__ = ("callbacks", "code", "dead", "exchange", "finish", "parked")

    def __init__(self, exchange: Exchange | None, rings: Rings) -> None:
        self.callbacks = rings
        self.exchange = exchange  # None once whoever sent it has turned away
        self.finish = 0.0
        self.code = 0
        self.dead = False
        self.parked = False
