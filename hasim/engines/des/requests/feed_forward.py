"""Loads whose requests do not feed back: their paths as arrays, with the same luck as event by event.

Where arrivals, work and choice of server are settled before anybody waits, the path of every request follows from
recursions over arrays (`hasim.waiting`), ten to forty times as fast as events. Streams are drawn in the same order as
the event loop would draw them, so both give the same log, request by request, up to rounding.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hasim.balancing import Random, RoundRobin
from hasim.declared import Declared
from hasim.engines.des.draws import draw_blocks
from hasim.model.demand import Load
from hasim.model.demand.route import Route, route_of
from hasim.model.laws import Law
from hasim.model.parts import Balancer, Part, Pool
from hasim.model.structure import variables
from hasim.model.system import System
from hasim.results.outcomes import GATEWAY_TIMEOUT, OK, TIMEOUT, UNANSWERED
from hasim.results.request_log import RequestLog
from hasim.streams import Streams
from hasim.units import human
from hasim.waiting import Replicas, random_of, round_robin

# Fields that the arrays take into account, or that act only when something fails. What is not named here, because it
# feeds back or because nobody has thought about it, is left to the event loop wherever it is used.
CLIENTS_TAKEN: Final = frozenset({"count", "timeout", "deadline", "connections", "dead_after"})
SERVING_TAKEN: Final = frozenset(
    {
        *("takes", "slots", "discipline", "start_up", "warm_up", "shutdown_delay", "pre_stop", "grace", "restart"),
        *("retry_after", "reads_from_cache", "needs_timeout", "checks_needs", "shedding_takes", "goaway_chance"),
    }
)
BALANCER_TAKEN: Final = frozenset(
    {
        *Part.model_fields,
        *("kind", "replicas", "to", "failover", "vrrp", "policy", "weights", "check", "panic", "retries", "redispatch"),
        *("connect_timeout", "server_timeout", "queue_timeout", "slow_start", "view_delay", "closes_on_down"),
    }
)

CHUNK = 1 << 20
"""Requests worked out at once: memory beside the log itself is some tens of megabytes."""


@contextmanager
def interrupts_deferred() -> Iterator[Event]:
    """Ctrl-C only sets the event that this gives, so that nothing is torn; it is for whoever looks at it to stop.

    Outside the main thread, where Python delivers no interrupts, nothing changes.
    """
    asked = Event()
    if current_thread() is not main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class Supply:
    """Durations of a law from a stream, as many as asked for each time, in the same order as one at a time."""

    def __init__(self, law: Law, streams: Streams, name: str) -> None:
        self._blocks = draw_blocks(law, streams, name)
        self._left = np.empty(0)

    def take(self, count: int) -> NDArray[np.float64]:
        """The next so many."""
        kept, size = [self._left], len(self._left)
        while size < count:
            kept.append(next(self._blocks))
            size += len(kept[-1])
        drawn = np.concatenate(kept)
        self._left = drawn[count:].copy()
        return drawn[:count]


def feeds_back(load: Load, loads: tuple[Load, ...], system: System, arranged: str | None) -> str | None:
    """Why a load is to be played event by event; None if its requests do not feed back on anything.

    `arranged` says what was arranged that has to be, such as faults; None: nothing.
    """
    cluster = system.cluster
    route = route_of(load, cluster.parts)
    if arranged is not None:
        return arranged
    if load.rate is None:
        return "a closed loop waits for answers"
    if any(other is not load and route_of(other, cluster.parts).pool == route.pool for other in loads):
        return "another load goes to the same servers"
    return _clients_feed_back(load) or _servers_feed_back(route, system) or _balancer_looks(route, system)


def _clients_feed_back(load: Load) -> str | None:
    clients = load.clients
    if clients.connections == "sticky" or clients.dns is not None:
        return "clients keep to a server"
    odd = _unusual(clients, CLIENTS_TAKEN)
    return None if odd is None else f"clients have a {odd}"


def _servers_feed_back(route: Route, system: System) -> str | None:
    pool = system.cluster.parts[route.pool]
    if not isinstance(pool, Pool) or pool.serving is None:
        return "a pair fails over"
    if pool.serving.discipline != "fifo" or pool.serving.drop_expired:
        return "the queue is not first come, first served"
    odd = _unusual(pool.serving, SERVING_TAKEN)
    if odd is not None:
        return f"servers have {odd}"
    names = [route.pool] if route.balancer is None else [route.pool, route.balancer]
    if any(variables(system.parts[name]) for name in names):
        return "servers may fail"
    if any(variables(system.standing[member]) for name in names for member in system.cluster.members()[name]):
        return "servers may fail"
    return None


def _balancer_looks(route: Route, system: System) -> str | None:
    if route.balancer is None:
        return None
    balancer, pool = system.cluster.parts[route.balancer], system.cluster.parts[route.pool]
    assert isinstance(balancer, Balancer)
    if balancer.retry_on:
        return "the balancer tries again"
    if balancer.check is not None and balancer.check.initial not in ("up", "fully-up"):
        return "the balancer's checks begin with servers down"
    blind = type(balancer.policy) in (RoundRobin, Random) and len(set(balancer.weights.values()) | {1.0}) == 1
    if _unusual(balancer, BALANCER_TAKEN) is not None or (pool.count > 1 and not blind):
        return "the balancer looks at what its servers do"
    return None


def _unusual(declared: Declared, taken: frozenset[str]) -> str | None:
    """A field that arrays do not take into account and that is not at its default; None if there is none."""
    for name, field in type(declared).model_fields.items():
        if name not in taken and getattr(declared, name) != field.get_default(call_default_factory=True):
            return name
    return None


class FeedForward:
    """The paths of a load, worked out chunk by chunk."""

    def __init__(self, load: Load, system: System, streams: Streams, length: float) -> None:
        """Work out nothing before `log`."""
        cluster = system.cluster
        self._load = load
        self._route = route_of(load, cluster.parts)
        self._streams = streams
        self._length = length
        pool = cluster.parts[self._route.pool]
        assert isinstance(pool, Pool) and pool.serving is not None
        self._serving = pool.serving
        self._servers = cluster.members()[self._route.pool]
        self._balancer = None if self._route.balancer is None else cluster.parts[self._route.balancer]
        self._replicas = Replicas(pool.count, self._serving.slots)
        self._takes = [Supply(self._serving.takes, streams, f"{name}/service") for name in self._servers]
        self._done = 0
        self.stopped_at: float | None = None

    def _arrivals(self) -> Iterator[NDArray[np.float64]]:
        """Arrivals in chunks of some size."""
        load = self._load
        assert load.rate is not None
        kept: list[NDArray[np.float64]] = []
        size = 0
        for block in load.rate.blocks(self._streams[f"{load.name}/arrivals"], load.begins, load.until(self._length)):
            kept.append(block)
            size += len(block)
            if size >= CHUNK:
                yield np.concatenate(kept)
                kept, size = [], 0
        if size:
            yield np.concatenate(kept)

    def interruption(self) -> list[str]:
        """Say how far it came, if somebody stopped it."""
        if self.stopped_at is None:
            return []
        return [f"interrupted: {self._load.name} was worked out up to {human(self.stopped_at)}"]

    def log(self, tell: Callable[[float], object] = lambda at: None) -> RequestLog:
        """The fate of every request; `tell` hears now and then how far it is, in simulated seconds.

        Ctrl-C ends it after the chunk that is being worked out, and the log with the last arrival of it.
        """
        chunks: list[tuple[NDArray[Any], ...]] = []
        with interrupts_deferred() as asked_to_stop:
            for came in self._arrivals():
                chunks.append(self._chunk(came))
                try:
                    tell(float(came[-1]))
                except KeyboardInterrupt:
                    asked_to_stop.set()
                if asked_to_stop.is_set():
                    self.stopped_at = float(came[-1])
                    break
            return self._log_of(chunks or [self._chunk(np.empty(0))])

    def _log_of(self, chunks: list[tuple[NDArray[Any], ...]]) -> RequestLog:
        arrived, ended, server, outcome, user, write = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        end = self._length if self.stopped_at is None else self.stopped_at
        later = ended >= end
        ended[later], outcome[later] = end, UNANSWERED
        if self._balancer is not None:  # nobody has said who it was
            server[(outcome == TIMEOUT) | (outcome == UNANSWERED)] = -1
        return RequestLog(
            loads=(self._load.name,),
            servers=tuple(self._servers),
            load=np.zeros(len(arrived), dtype=np.int16),
            arrived_s=arrived,
            ended_s=ended,
            attempts=np.ones(len(arrived), dtype=np.int32),
            server=server,
            outcome=outcome,
            user=user,
            write=write,
            start_s=0.0,
            end_s=end,
            method="arrays",
        )

    def _chunk(self, arrived: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
        """Arrived, ended, server, outcome, user and write of the next requests."""
        count, load = len(arrived), self._load
        user, write = self._users(count)
        assign = self._assign(count)
        services = np.empty(count)
        for index, supply in enumerate(self._takes):
            mine = assign == index
            services[mine] = supply.take(int(np.count_nonzero(mine)))
        ended = self._replicas.feed(arrived, services, assign).ends
        server, outcome = assign.astype(np.int32), np.full(count, OK, dtype=np.int8)
        patience = [limit for limit in (load.clients.timeout, load.clients.deadline) if limit is not None]
        limits = [(limit, TIMEOUT) for limit in patience]
        if isinstance(self._balancer, Balancer):
            limits.append((self._balancer.server_timeout, GATEWAY_TIMEOUT))
        if limits:
            limit, code = min(limits, key=lambda each: each[0])  # of two at one time the client's comes first
            late = ended > arrived + limit
            ended[late] = arrived[late] + limit
            outcome[late] = code
        self._done += count
        return arrived, ended, server, outcome, user, write

    def _users(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Who calls, and whether it is a write; drawn in turn, as callers do."""
        load = self._load
        draws_each = int(load.clients.count > 1) + int(load.writes > 0)
        luck = self._streams[f"{load.name}/clients"].random((count, draws_each))
        user = np.zeros(count, dtype=np.int32)
        if load.clients.count > 1:
            user = (luck[:, 0] * load.clients.count).astype(np.int32)
        write = luck[:, -1] < load.writes if load.writes else np.zeros(count, dtype=np.bool_)
        return user, write

    def _assign(self, count: int) -> NDArray[np.int64]:
        """The server of each request."""
        servers = len(self._servers)
        if servers == 1:
            return np.zeros(count, dtype=np.int64)
        if isinstance(self._balancer, Balancer) and isinstance(self._balancer.policy, RoundRobin):
            return round_robin(count, servers, first=self._done)
        where = f"{self._load.name}/addresses" if self._route.balancer is None else f"{self._route.balancer}/policy"
        return random_of(count, servers, self._streams[where])
