"""A load balancer at work: it chooses a server, connects, waits, tries again, and keeps a view of who is up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from hasim.balancing import Backend
from hasim.balancing.draws import uniforms
from hasim.balancing.ejection import Detector, Turn
from hasim.engines.des.requests.deadlines import Deadlines
from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.links import CLEAR, LOST, Links
from hasim.engines.des.requests.replica import OPEN, REFUSES, Replica
from hasim.engines.des.world.alarm import Alarm
from hasim.model.parts import Balancer
from hasim.results.outcomes import FAILURES, GATEWAY_TIMEOUT, OK, RESET, UNAVAILABLE
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.requests.caller import Client
    from hasim.engines.des.world import LeapingEnvironment

TURN_AROUND = 1.0
"""Seconds before a retry on the same server, if the connect timeout is not shorter (HAProxy, `retries`)."""

SLOW_START_STEPS = 20

Note = Callable[[str, str, dict[str, Any]], None]


class Front:
    """A balancer in front of the replicas of a pool; `forward` takes an exchange, and its caller hears of the end.

    A server is used while its checks, its ejection, its operator and its connections all allow it.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        name: str,
        part: Balancer,
        replicas: Sequence[Replica],
        streams: Streams,
        links: Links,
        note: Note,
    ) -> None:
        """Begin with every server up."""
        self.env = env
        self.name = name
        self.part = part
        self.replicas = list(replicas)
        self.note = note
        self.alive = True  # whether an instance holds the address
        self._links = links
        self.backends = [
            Backend(replica.name, i, part.weights.get(replica.name, 1.0)) for i, replica in enumerate(replicas)
        ]
        self._weights = [backend.weight for backend in self.backends]
        count = len(self.backends)
        self._marked = [True] * count  # by checks, or by what is known of readiness
        self._kept = [True] * count  # not ejected
        self._allowed = [True] * count  # not drained by the operator
        self._cap = inf if part.max_connections is None else part.max_connections
        self._chooser = part.policy.start(streams[f"{name}/policy"])
        self.usable: list[Backend] = list(self.backends)
        self._chooser.usable(self.usable)
        self._choose = self._chooser.choose
        self._chance = uniforms(streams[f"{name}/goaway"])
        self._detector: Detector | None = None
        if part.ejection is not None:
            self._detector = part.ejection.start(count, streams[f"{name}/ejection"])
        self._wake: Alarm | None = None
        self._wake_at = inf
        self._queue: deque[Exchange] = deque()
        self._connecting: Deadlines[Exchange] = Deadlines(env, part.connect_timeout, self._not_answered)
        self._serving: Deadlines[Exchange] = Deadlines(env, part.server_timeout, self._not_served)
        waits = part.connect_timeout if part.queue_timeout is None else part.queue_timeout
        self._queueing: Deadlines[Exchange] = Deadlines(env, waits, self._queued_too_long)
        self._turn_around = Deadlines(env, min(part.connect_timeout, TURN_AROUND), self._connect)
        self._connected: list[dict[Client, None]] = [{} for _ in self.backends]
        self._rises = [0] * count  # numbers the times each server came back, for slow start
        self.retried = 0  # attempts after the first on the same server, as HAProxy counts them (wretr)
        self.redispatched = 0  # and elsewhere (wredis)

    speaks = True
    """A balancer answers for a server that broke off."""

    # The way of an exchange.

    def forward(self, exchange: Exchange) -> None:
        """Take an exchange from a client; while nobody holds the address, nothing answers."""
        if not self.alive:
            return
        exchange.tries = 0
        self._dispatch(exchange)

    def _dispatch(self, exchange: Exchange) -> None:
        if not self.usable:
            if self._cap < inf and self._some_full():
                self._queue.append(exchange)
                self._queueing.add(exchange)
            else:
                self._end(exchange, UNAVAILABLE)
            return
        exchange.backend = backend = self._choose(exchange.call.client.number, exchange.avoid)
        backend.active += 1
        if backend.active >= self._cap:
            self.refresh()
        if self._detector is not None:
            self._turn(self._detector.chosen(backend.index, self.env._now))
        self._connect(exchange)

    def _connect(self, exchange: Exchange) -> None:
        backend = exchange.backend
        assert backend is not None
        replica = self.replicas[backend.index]
        extra = 0.0
        if self._links.rules and (extra := self._links.judge(self.name, replica.name)) == LOST:
            self._connecting.add(exchange)
            return
        contact = replica.contact
        if contact == OPEN:
            self._serving.add(exchange)
            if extra > CLEAR:
                self._links.later(extra, exchange, replica)
            else:
                replica.take(exchange)
        elif contact == REFUSES:
            self._not_connected(exchange, "refused")
        else:
            self._connecting.add(exchange)

    def _not_answered(self, exchange: Exchange) -> None:
        """The connect timeout has passed."""
        self._not_connected(exchange, "timeout")

    def _not_connected(self, exchange: Exchange, why: str) -> None:
        backend = exchange.backend
        assert backend is not None
        exchange.stamp += 1
        if self._detector is not None:
            self._turn(self._detector.answered(backend.index, why, self.env._now))
        if exchange.tries >= self.part.retries or exchange.over:
            self._let_go(exchange)
            self._end(exchange, UNAVAILABLE)
            return
        exchange.tries += 1
        # With only one server in use HAProxy stays with it (src/backend.c, back_handle_st_cer).
        if self.part.redispatch and any(other is not backend for other in self.usable):
            self._elsewhere(exchange)
            return
        self.retried += 1
        if why == "refused":
            self._turn_around.add(exchange)
        else:
            self._connect(exchange)

    def _elsewhere(self, exchange: Exchange) -> None:
        self.redispatched += 1
        exchange.avoid = exchange.backend
        self._let_go(exchange)
        self._dispatch(exchange)

    def _let_go(self, exchange: Exchange) -> None:
        """The exchange no longer weighs on its server."""
        backend = exchange.backend
        assert backend is not None
        backend.active -= 1
        exchange.backend = None
        exchange.stamp += 1
        if backend.active == self._cap - 1:
            self.refresh()
            self._pump()

    def answered(self, exchange: Exchange, code: int) -> None:
        """A server has answered."""
        backend = exchange.backend
        if backend is None:
            return
        exchange.job = None
        if self._links.rules:
            extra = self._links.judge(self.replicas[backend.index].name, self.name)
            if extra == LOST:
                return  # the server timeout will tell
            if extra > CLEAR:
                self._links.answer_later(extra, exchange, lambda: self._has_answer(exchange, code))
                return
        self._has_answer(exchange, code)

    def _has_answer(self, exchange: Exchange, code: int) -> None:
        backend = exchange.backend
        assert backend is not None
        backend.active -= 1
        exchange.backend = None
        exchange.stamp += 1
        if backend.active == self._cap - 1:
            self.refresh()
            self._pump()
        call = exchange.call
        call.server = backend.index
        if call.client.connection is backend:
            self._heard_on(call.client, backend)
        if self._detector is not None:
            self._turn(self._detector.answered(backend.index, FAILURES[code], self.env._now))
        if code != OK and FAILURES[code] == "5xx" and self._again("5xx", exchange):
            self.redispatched += 1
            exchange.avoid = backend
            self._dispatch(exchange)
            return
        exchange.caller.heard(exchange, code)

    def _heard_on(self, client: Client, backend: Backend) -> None:
        """A sticky connection lives; now and then the server asks for it to go elsewhere (GOAWAY)."""
        client.unheard = inf
        chance = self.replicas[backend.index].serving.goaway_chance
        if chance and self._chance() < chance:
            self.disconnect(client)

    def broken(self, exchange: Exchange) -> None:
        """The connection to the server broke under the request."""
        self._failed(exchange, "reset", exchange.caller.broken_code)

    def _not_served(self, exchange: Exchange) -> None:
        """The server timeout has passed; the server may go on with work that nobody wants."""
        self._failed(exchange, "timeout", GATEWAY_TIMEOUT)

    def _failed(self, exchange: Exchange, why: str, code: int) -> None:
        backend = exchange.backend
        if backend is None:
            return
        if exchange.job is not None:
            exchange.job.exchange = None
            exchange.job = None
        if self._detector is not None:
            self._turn(self._detector.answered(backend.index, why, self.env._now))
        exchange.call.server = backend.index
        if self._again(why, exchange):
            self._elsewhere(exchange)
        else:
            self._let_go(exchange)
            self._end(exchange, code)

    def _again(self, why: str, exchange: Exchange) -> bool:
        if why not in self.part.retry_on or exchange.tries >= self.part.retries or exchange.over:
            return False
        exchange.tries += 1
        return True

    def _end(self, exchange: Exchange, code: int) -> None:
        exchange.stamp += 1
        exchange.caller.heard(exchange, code)

    def _queued_too_long(self, exchange: Exchange) -> None:
        exchange.stamp += 1
        self._queue.remove(exchange)
        self._end(exchange, UNAVAILABLE)

    def _pump(self) -> None:
        while self._queue and self.usable:
            exchange = self._queue.popleft()
            exchange.stamp += 1
            if not exchange.over:
                self._dispatch(exchange)

    # Sticky connections.

    def forward_sticky(self, exchange: Exchange) -> None:
        """Take an exchange over its client's one connection, which leads to one server until it breaks."""
        if not self.alive:
            return
        client, now = exchange.call.client, self.env._now
        if client.connection is not None and now - client.unheard > exchange.caller.load.clients.dead_after:
            if self._reaches(client.connection):  # it is only slow
                client.unheard = now
            else:
                self.disconnect(client)
        if client.connection is None and not self.connect(client):
            self._end(exchange, UNAVAILABLE)
            return
        backend = client.connection
        assert backend is not None
        if client.unheard == inf:
            client.unheard = now
        exchange.backend = backend
        backend.active += 1
        self._serving.add(exchange)
        replica = self.replicas[backend.index]
        extra = self._links.judge(self.name, replica.name) if self._links.rules else CLEAR
        if extra > CLEAR:
            self._links.later(extra, exchange, replica)
        elif extra == CLEAR and replica.contact == OPEN:
            replica.take(exchange)

    def gives_up(self, exchange: Exchange) -> bool:
        """Whether the connection of an exchange that was never answered leads nowhere; then it is closed."""
        client, backend = exchange.call.client, exchange.backend
        if backend is not None and self._reaches(backend):
            return False
        if client.connection is not None and client.connection is backend:
            self.disconnect(client)
        return True

    def _reaches(self, backend: Backend) -> bool:
        """Whether a server answers pings on its connections."""
        replica = self.replicas[backend.index]
        return replica.contact == OPEN and not replica.frozen and self._clear(backend)

    def _clear(self, backend: Backend) -> bool:
        """Whether messages reach a server, and come back."""
        links, name = self._links, backend.name
        ways = ((self.name, name), (name, self.name)) if links.rules else ()
        return all(links.judge(src, dst) != LOST for src, dst in ways)

    def connect(self, client: Client) -> bool:
        """Open a client's connection to a server that accepts it; it weighs on the server while it lasts."""
        avoid = None
        for _ in range(self.part.retries + 1):
            if not self.usable:
                return False
            backend = self._choose(client.number, avoid)
            if self.replicas[backend.index].contact == OPEN and self._clear(backend):
                backend.active += 1
                client.connection, client.unheard = backend, inf
                self._connected[backend.index][client] = None
                if self._cap < inf:
                    self.refresh()
                return True
            avoid = backend
        return False

    def disconnect(self, client: Client) -> None:
        """A client's connection is gone."""
        backend = client.connection
        assert backend is not None
        del self._connected[backend.index][client]
        backend.active -= 1
        client.connection, client.unheard = None, inf
        if self._cap < inf:
            self.refresh()

    def connections(self) -> list[int]:
        """How many sticky connections each server has."""
        return [len(clients) for clients in self._connected]

    def server_leaves(self, index: int) -> None:
        """A server's process has gone, or says goodbye: its clients connect elsewhere at once."""
        for client in list(self._connected[index]):
            self.disconnect(client)
            self.connect(client)

    # Who is used.

    def mark(self, index: int, up: bool, why: str) -> None:
        """Checks, or news of readiness, say that a server is up or down."""
        if self._marked[index] == up:
            return
        self._marked[index] = up
        self.note("server up" if up else "server down", self.name, {"server": self.backends[index].name, "why": why})
        if up and self.part.slow_start:
            self._begin_slow_start(index)
        self.refresh()
        if not up and self.part.closes_on_down:
            self._close_all(index)
        self._pump()

    def _close_all(self, index: int) -> None:
        for exchange in self._serving.waiting():
            if exchange.backend is not None and exchange.backend.index == index:
                self._failed(exchange, "reset", RESET)

    def drain(self, index: int, allowed: bool) -> None:
        """The operator takes a server out of use, or lets it in again; what it has is finished."""
        self._allowed[index] = allowed
        self.refresh()
        self._pump()

    def _turn(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._kept[turn.index] = turn.usable
            said = {"server": self.backends[turn.index].name, "why": turn.why}
            self.note("server back" if turn.usable else "server ejected", self.name, said)
        if turns:
            self.refresh()
        self._set_wake()

    def _set_wake(self) -> None:
        assert self._detector is not None
        at = self._detector.wake_at
        if at == inf or (self._wake is not None and self._wake.pending and self._wake_at <= at):
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at = at
        self._wake = Alarm(self.env, max(at, self.env._now), self._woken)

    def _woken(self) -> None:
        assert self._detector is not None
        self._wake = None
        if self._wake_at < self._detector.wake_at:  # failures since then have put it off
            self._set_wake()
            return
        self._turn(self._detector.wake(self.env._now))
        self._pump()

    def is_used(self, index: int) -> bool:
        """Whether checks, ejection and operator allow a server."""
        return self._marked[index] and self._kept[index] and self._allowed[index]

    def refresh(self) -> None:
        """Work out anew which servers may be chosen, and tell the policy."""
        healthy = [backend for backend in self.backends if self.is_used(backend.index)]
        if self.part.panic and len(healthy) < self.part.panic * len(self.backends):
            healthy = [backend for backend in self.backends if self._allowed[backend.index]]
        usable = healthy if self._cap == inf else [backend for backend in healthy if not self._full(backend)]
        self.usable = usable
        if usable:
            self._chooser.usable(usable)

    def _some_full(self) -> bool:
        return any(self.is_used(backend.index) and self._full(backend) for backend in self.backends)

    def _full(self, backend: Backend) -> bool:
        """Whether a server has all the requests it may have, or all the sticky connections."""
        connections = len(self._connected[backend.index])
        return max(connections, backend.active - connections) >= self._cap

    def _begin_slow_start(self, index: int) -> None:
        self._rises[index] += 1
        self._ramp(index, self._rises[index], 1)

    def _ramp(self, index: int, rise: int, step: int) -> None:
        """Raise the weight by one step of twenty, if the server has not fallen again."""
        if rise != self._rises[index] or not self._marked[index]:
            self.backends[index].weight = self._weights[index]
            return
        self.backends[index].weight = self._weights[index] * step / SLOW_START_STEPS
        if step > 1:
            self.refresh()
        if step < SLOW_START_STEPS:
            pause = self.part.slow_start / SLOW_START_STEPS
            Alarm(self.env, self.env._now + pause, lambda: self._ramp(index, rise, step + 1))

    # The balancer itself.

    def set_alive(self, alive: bool) -> None:
        """An instance has taken the address, or the one that held it has fallen, and with it what it was forwarding."""
        if alive == self.alive:
            return
        self.alive = alive
        if not alive:
            while self._queue:
                self._queue.popleft().stamp += 1
            for held in (self._serving, self._connecting, self._turn_around):
                for exchange in held.waiting():
                    self._forget(exchange)
            for clients in self._connected:
                for client in list(clients):
                    self.disconnect(client)

    def _forget(self, exchange: Exchange) -> None:
        """Nobody is left to pass the answer on; the client hears nothing."""
        if exchange.job is not None:
            exchange.job.exchange = None
            exchange.job = None
        self._let_go(exchange)
