"""A simulated client of an etcd quorum: it calls, waits, tries again as etcd's Go client does, and writes it all down.

The rules of trying again (etcd-io/etcd, client/v3: options.go, retry.go, retry_interceptor.go, client.go):

- A request is tried up to 100 times; after every quorum-many tries it waits 25 ms, give or take 10 %.
- A read is repeated after any error that says Unavailable. A write is repeated only if it never left: a second copy
  of a write that got through would be a second write.
- Only endpoints with a connection are asked; while there is none, the request waits. A broken connection is dialled
  again at once, then after 1 s, each time 1.6 times as long and up to 120 s, give or take 20 % (gRPC's connection
  backoff).

What is left out: the round trip of a handshake, and the time until news of a broken connection arrives; a client
looks at its connections only when it has something to send.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Protocol

from simpy import Environment, Event

from hasim.checks.history import Kind, Operation, Outcome
from hasim.engines.des.draws import draws
from hasim.engines.des.etcd.workload import Request, Workload
from hasim.errors import ModelError, nearest
from hasim.machine import Gone
from hasim.protocols.etcd.requests import (
    CONNECTION_LOST,
    CONNECTION_REFUSED,
    DEADLINE,
    UNAVAILABLE,
    Command,
    Done,
    Get,
    Put,
    Refused,
)
from hasim.streams import FEW, Streams, uniforms

ATTEMPTS_MAX = 100
BACKOFF_S, BACKOFF_JITTER = 0.025, 0.10
REDIAL_FIRST_S, REDIAL_FACTOR, REDIAL_LAST_S, REDIAL_JITTER = 1.0, 1.6, 120.0, 0.2
STILL_OPEN = "still open at the end of the run"
_BLOCK = 256


class Server(Protocol):
    """A member as its clients see it."""

    @property
    def process(self) -> object | None:
        """What runs there, paused or not; None while nothing does."""

    def propose(self, command: Any, ref: str, answer: Callable[[str, Any], None], /) -> object:
        """Ask for something; `answer(ref, result)` comes later, or at once.

        The result is `Done` or `Refused`, or `Gone` if the process died with the request.
        """


class Connection:
    """The connection to one endpoint: up, or broken and dialled again now and then."""

    def __init__(self, server: Server, jitter: Callable[[], float]) -> None:
        """It is up when it is first needed, if a process runs there."""
        self.server = server
        self.retry_at = 0.0
        self._jitter = jitter
        self._up = True
        self._wait = REDIAL_FIRST_S

    def ready(self, now: float) -> bool:
        """Whether a request can leave now; dials if it is time to."""
        lives = self.server.process is not None
        if lives and (self._up or now >= self.retry_at):
            self._up, self._wait = True, REDIAL_FIRST_S
        elif not lives and (self._up or now >= self.retry_at):
            self.refuse(now)
        return self._up

    def refuse(self, now: float) -> None:
        """Nobody takes the connection: dial again later."""
        self._up = False
        self.retry_at = now + self._wait * (1 + REDIAL_JITTER * (2 * self._jitter() - 1))
        self._wait = min(REDIAL_LAST_S, self._wait * REDIAL_FACTOR)


class Call:
    """One request of a client, through all its attempts."""

    __slots__ = ("called", "command", "is_write", "latest", "node", "number", "over", "sent", "tried")

    def __init__(self, number: int, command: Command, called: float, latest: int | None) -> None:
        """It was made at `called`, when `latest` was the number of the latest committed write."""
        self.number = number
        self.command = command
        self.is_write = not isinstance(command, Get)
        self.called = called
        self.latest = latest
        self.tried = 0
        self.node = ""
        self.sent = False  # whether any attempt may have reached a server
        self.over = False


class Client:
    """A client at work; `history` has an `Operation` for each request that is over, in order of their ends.

    `latest()` gives the number of the latest write committed anywhere. Call `close` at the end of a run: what is
    still open then is written down as unknown.
    """

    def __init__(
        self,
        env: Environment,
        streams: Streams,
        workload: Workload,
        servers: Mapping[str, Server],
        latest: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Connect to the endpoints, and start when the workload says so."""
        for name in workload.endpoints:
            if name not in servers:
                known = list(servers)
                raise ModelError(f"got {name!r}; no member is called that{nearest(name, known)}", "endpoints")
        own = f"client:{workload.name}"
        self.env = env
        self.workload = workload
        self.history: list[Operation] = []
        self._latest = latest
        self._numbers = count(1)
        self._values = count(1)
        self._open: dict[int, Call] = {}
        self._closed = False
        self._jitter = uniforms(streams[f"{own}/retries"], FEW)
        self._mix = uniforms(streams[f"{own}/mix"], FEW)
        self._latency = draws(workload.latency, streams, f"{own}/latency")
        self._connections = {name: Connection(servers[name], self._jitter) for name in workload.endpoints}
        self._turn = 0
        self._choices = _choices(workload)
        if workload.think is not None:
            self._pauses = draws(workload.think, streams, f"{own}/think")
            self._after(workload.start, self._call)
        else:
            self._pauses = _spacings(workload, streams, f"{own}/arrivals")
            self._after(workload.start + next(self._pauses), self._arrive)

    @property
    def under_way(self) -> list[Operation]:
        """What has had no answer so far, written as `close` would write it now."""
        return [
            self._operation(call, _lost(call) if call.is_write else "unknown", STILL_OPEN, math.inf)
            for call in self._open.values()
        ]

    def close(self) -> None:
        """End the history: what has had no answer yet is unknown, but a write that never left has failed."""
        if self._closed:
            return
        self._closed = True
        for call in list(self._open.values()):
            self._finish(call, _lost(call) if call.is_write else "unknown", STILL_OPEN, returned=math.inf)

    # Requests come into being.

    def _arrive(self) -> None:
        self._after(next(self._pauses), self._arrive)
        self._call()

    def _call(self) -> None:
        call = Call(next(self._numbers), self._command(), self.env.now, self._latest())
        self._open[call.number] = call
        if self.workload.timeout is not None:
            self._after(self.workload.timeout, self._give_up, call)
        self._attempt(call)

    def _command(self) -> Command:
        luck = self._mix()
        key = "k" if self.workload.keys == 1 else f"k{int(self._mix() * self.workload.keys)}"
        request = next(request for request, upto in self._choices if luck < upto)
        if request == "put":
            return Put(key, f"{self.workload.name}:{next(self._values)}")
        return Get(key, request)

    # One attempt.

    def _attempt(self, call: Call) -> None:
        if call.over:
            return
        now = self.env.now
        node = self._choose(now)
        if node is None and self.workload.retries == "etcd":
            wait = min(connection.retry_at for connection in self._eligible().values()) - now
            self._after(max(wait, 0.0), self._attempt, call)
            return
        call.tried += 1
        if node is None:
            self._after(next(self._latency) + next(self._latency), self._fail, call, CONNECTION_REFUSED)
            return
        call.node, call.sent = node, True
        self._after(next(self._latency), self._reach, call, call.tried)

    def _eligible(self) -> dict[str, Connection]:
        if self.workload.balance == "round_robin":
            return self._connections
        name = self.workload.endpoints[0]
        return {name: self._connections[name]}

    def _choose(self, now: float) -> str | None:
        """The next endpoint in turn that can be reached; a plain client does not look whether it can."""
        names = list(self._eligible())
        for _ in names:
            name = names[self._turn % len(names)]
            self._turn += 1
            connection = self._connections[name]
            if self.workload.retries == "none":
                return name if connection.server.process is not None else None
            if connection.ready(now):
                return name
        return None

    def _reach(self, call: Call, attempt: int) -> None:
        """The request arrives at the member, or where the member was."""
        server = self._connections[call.node].server
        if server.process is None:
            self._after(next(self._latency), self._hear, call, attempt, Gone(CONNECTION_LOST))
            return
        server.propose(
            call.command,
            f"{self.workload.name}#{call.number}.{attempt}",
            lambda _, result: self._after(next(self._latency), self._hear, call, attempt, result),
        )

    def _hear(self, call: Call, attempt: int, result: object) -> None:
        """The answer is back, or news that the connection broke."""
        if call.over or attempt != call.tried:
            return
        if isinstance(result, Done):
            self._finish(call, "ok", "", result)
        elif isinstance(result, Refused):
            self._fail(call, result.error, result.unknown)
        else:
            assert isinstance(result, Gone), f"{call.node} answered {result!r}, which is no result"
            self._fail(call, result.error, result.error != CONNECTION_REFUSED)

    def _fail(self, call: Call, error: str, unknown: bool = False) -> None:
        """An attempt has failed: try again if that is safe, else say so."""
        if call.over:
            return
        if error == CONNECTION_REFUSED and not unknown and self.workload.retries == "etcd":
            # A process that does not listen yet; the request never left, so even a write waits for a connection.
            self._connections[call.node].refuse(self.env.now)
            call.sent = False
            self._attempt(call)
            return
        # Whatever else failed had been sent.
        again = not call.is_write and error in UNAVAILABLE
        if not again or self.workload.retries == "none" or call.tried >= ATTEMPTS_MAX:
            self._finish(call, "unknown" if unknown and call.is_write else "failed", error)
            return
        quorum = len(self.workload.endpoints) // 2 + 1
        wait = 0.0
        if call.tried % quorum == 0:
            wait = BACKOFF_S * (1 + BACKOFF_JITTER * (2 * self._jitter() - 1))
        self._after(wait, self._attempt, call)

    def _give_up(self, call: Call) -> None:
        if not call.over:
            self._finish(call, _lost(call), DEADLINE)

    # The end of a request.

    def _finish(
        self, call: Call, outcome: Outcome, error: str, result: Done | None = None, returned: float | None = None
    ) -> None:
        call.over = True
        del self._open[call.number]
        ended = self.env.now if returned is None else returned
        self.history.append(self._operation(call, outcome, error, ended, result))
        if self.workload.think is not None and not self._closed:
            self._after(next(self._pauses), self._call)

    def _operation(
        self, call: Call, outcome: Outcome, error: str, returned: float, result: Done | None = None
    ) -> Operation:
        command = call.command
        kind: Kind = "put" if isinstance(command, Put) else "get"
        return Operation(
            client=self.workload.name,
            kind=kind,
            key=command.key,
            value=command.value if isinstance(command, Put) else result.value if result else None,
            called=call.called,
            returned=returned,
            outcome=outcome,
            node=call.node,
            error=error,
            mode=command.mode if isinstance(command, Get) else "linearizable",
            version=result.version if result else None,
            latest=call.latest,
        )

    def _after(self, delay: float, then: Callable[..., None], *args: Any) -> None:
        """Do something later, unless the client has been closed by then."""
        timeout = self.env.timeout(delay)
        assert timeout.callbacks is not None

        def act(_: Event) -> None:
            if not self._closed:
                then(*args)

        timeout.callbacks.append(act)


def _lost(call: Call) -> Outcome:
    """What a request without an answer comes to: a write that was sent may have taken effect."""
    return "unknown" if call.sent and call.is_write else "failed"


def _choices(workload: Workload) -> list[tuple[Request, float]]:
    """Each kind of request with the share of luck up to which it is chosen."""
    total, upto, choices = sum(workload.requests.values()), 0.0, []
    for request, weight in workload.requests.items():
        if weight > 0:
            upto += weight / total
            choices.append((request, upto))
    choices[-1] = (choices[-1][0], math.inf)  # whatever rounding did
    return choices


def _spacings(workload: Workload, streams: Streams, name: str) -> Iterator[float]:
    """Times between the requests of an open loop."""
    assert workload.rate is not None
    mean = 1 / workload.rate
    rng = streams[name]
    if workload.spacing == "fixed":
        yield mean * float(rng.random())
        while True:
            yield mean
    while True:
        yield from (mean * rng.standard_exponential(_BLOCK)).tolist()
