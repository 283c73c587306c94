"""A load balancer at work: it chooses a server, connects, waits, tries again, and keeps a view of who is up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from hasim.balancing import Backend
from hasim.engines.des.requests.deadlines import Deadlines
from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.links import CLEAR, KNOCKING, LOST, RESENDING, Links
from hasim.engines.des.requests.replica import OPEN, SILENT, Replica
from hasim.engines.des.requests.view import View
from hasim.model.parts import Balancer
from hasim.results.outcomes import BLAMED, FAILURES, GATEWAY_TIMEOUT, NOTICE, OK, RESET, UNAVAILABLE
from hasim.streams import Streams, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.requests.caller import Client
    from hasim.engines.des.world import LeapingEnvironment

TURN_AROUND = 1.0
"""Seconds before a retry on the same server, if the connect timeout is not shorter (HAProxy, `retries`)."""

Note = Callable[[str, str, dict[str, Any]], None]


class Front:
    """A balancer in front of the replicas of a pool; `forward` takes an exchange, and its caller hears of the end.

    A server is used while its checks, its ejection, its operator and its connections all allow it.
    """

    speaks = True  # it answers for a server that broke off

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
        names = [replica.name for replica in replicas]
        self.view = View(env, name, part, names, streams, self._say, self._pump)
        self.backends = self.view.backends
        self._connected = self.view.connected
        self._chance = uniforms(streams[f"{name}/goaway"])
        self._pumping = False
        self._queue: deque[Exchange] = deque()
        self._connecting: Deadlines[Exchange] = Deadlines(env, part.connect_timeout, self._not_answered)
        self._serving: Deadlines[Exchange] = Deadlines(env, part.server_timeout, self._not_served)
        waits = part.connect_timeout if part.queue_timeout is None else part.queue_timeout
        self._queueing: Deadlines[Exchange] = Deadlines(env, waits, self._queued_too_long)
        self._turn_around = Deadlines(env, min(part.connect_timeout, TURN_AROUND), self._connect)
        together = part.check is not None and part.check.in_step
        # When in an interval servers are checked, as a share of it, if all of them are checked at once.
        self.check_moment = float(streams[f"{name}/checks"].random()) if together else None
        self.retried = 0  # attempts after the first on the same server, as HAProxy counts them (wretr)
        self.redispatched = 0  # and elsewhere (wredis)
        self.tally: list[list[int]] | None = None  # answers of each server, good and bad, where somebody counts them
        self.notice = False  # whether requests are answered with a notice, for as long as a maintenance window is open

    # The way of an exchange.

    def forward(self, exchange: Exchange) -> None:
        """Take an exchange from a client; while nobody holds the address, its kernel asks again and again."""
        if not self.alive:
            self._links.again(exchange, KNOCKING, self._silent, lambda _: self.forward(exchange), by_client=True)
            return
        if self.notice:
            exchange.caller.heard(exchange, NOTICE)
            return
        exchange.tries = 0
        self._dispatch(exchange)

    def _silent(self) -> float:
        return CLEAR if self.alive else LOST

    def _dispatch(self, exchange: Exchange) -> None:
        view = self.view
        if not view.usable:
            if view.waits_for_room():
                self._queue.append(exchange)
                self._queueing.add(exchange)
            else:
                self._end(exchange, UNAVAILABLE)
            return
        exchange.backend = backend = view.choose(exchange.call.client.number, exchange.avoid)
        exchange.weighs = True
        backend.active += 1
        if backend.active >= view.cap:
            view.refresh()
        if view.detector is not None:
            view.chosen(backend.index)
        self._connect(exchange)

    def _connect(self, exchange: Exchange) -> None:
        backend = exchange.backend
        assert backend is not None
        replica = self.replicas[backend.index]
        extra = self._delay_to(replica)
        if extra == LOST:
            self._connecting.add(exchange)

            def connected(extra: float) -> None:
                exchange.stamp += 1
                self._reach(exchange, replica, extra)

            self._links.again(exchange, KNOCKING, lambda: self._delay_to(replica), connected)
        else:
            self._reach(exchange, replica, extra)

    def _delay_to(self, replica: Replica) -> float:
        """What a message to a server meets now: LOST, or a delay."""
        if replica.contact == SILENT:
            return LOST
        if not self._links.rules:
            return CLEAR
        # Where nothing comes back there is no connection, whatever gets there.
        return LOST if self._links.cut(replica.name, self.name) else self._links.judge(self.name, replica.name)

    def _reach(self, exchange: Exchange, replica: Replica, extra: float) -> None:
        """A server's host has heard of an exchange."""
        if replica.contact != OPEN:
            self._not_connected(exchange, "refused")
            return
        if exchange.caller.sticky:
            self._keep(exchange)
        self._serving.add(exchange)
        if extra > CLEAR:
            self._links.later(extra, exchange, replica)
        else:
            replica.take(exchange)

    def _not_answered(self, exchange: Exchange) -> None:
        """The connect timeout has passed."""
        self._not_connected(exchange, "timeout")

    def _not_connected(self, exchange: Exchange, why: str) -> None:
        backend = exchange.backend
        assert backend is not None
        exchange.stamp += 1
        self.view.blame(backend.index, why)
        if exchange.tries >= self.part.retries or exchange.over:
            self._let_go(exchange)
            self._end(exchange, UNAVAILABLE)
            return
        exchange.tries += 1
        # With only one server in use HAProxy stays with it (src/backend.c, back_handle_st_cer).
        if self.part.redispatch and any(other is not backend for other in self.view.usable):
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
        """The exchange no longer weighs on its server, which has room for another."""
        backend = exchange.backend
        assert backend is not None
        exchange.backend = None
        exchange.stamp += 1
        if exchange.weighs:
            self._lighten(backend)

    def _lighten(self, backend: Backend) -> None:
        backend.active -= 1
        if backend.active == self.view.cap - 1:
            self.view.refresh()
            self._pump()

    def answered(self, exchange: Exchange, code: int) -> None:
        """A server has answered."""
        backend = exchange.backend
        if backend is None:
            return
        exchange.job = None
        if self._links.rules:
            server = backend.name

            def arrives(extra: float) -> None:
                if extra > CLEAR:
                    self._links.answer_later(extra, exchange, lambda: self._has_answer(exchange, code))
                else:
                    self._has_answer(exchange, code)

            extra = self._links.judge(server, self.name)
            if extra == LOST:
                self._links.again(exchange, RESENDING, lambda: self._links.judge(server, self.name), arrives)
            else:
                arrives(extra)
            return
        self._has_answer(exchange, code)

    def _has_answer(self, exchange: Exchange, code: int) -> None:
        backend, call = exchange.backend, exchange.call
        assert backend is not None
        call.server = backend.index
        if self.tally is not None:
            self.tally[backend.index][code != OK] += 1
        if call.client.connection is backend:
            self._heard_on(call.client, backend)
        if self.view.detector is not None:
            self.view.blame(backend.index, BLAMED[code])
        if code != OK and FAILURES[code] == "5xx" and self._again("5xx", exchange):
            self._try_again(exchange)
            return
        self._let_go(exchange)
        exchange.caller.heard(exchange, code)

    def _heard_on(self, client: Client, backend: Backend) -> None:
        """A sticky connection lives; now and then the server asks for it to go elsewhere (GOAWAY)."""
        client.unheard = inf
        chance = self.replicas[backend.index].serving.goaway_chance
        if chance and self._chance() < chance:
            self.disconnect(client)

    def broken(self, exchange: Exchange) -> None:
        """The connection to the server broke under the request, which is heard if anything is heard from there."""
        backend = exchange.backend
        if backend is not None and self._links.rules and self._links.cut(backend.name, self.name):
            exchange.job = None
            return
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
        self.view.blame(backend.index, why)
        exchange.call.server = backend.index
        if self.tally is not None:
            self.tally[backend.index][True] += 1
        if self._again(why, exchange):
            self._try_again(exchange)
        else:
            self._let_go(exchange)
            self._end(exchange, code)

    def _again(self, why: str, exchange: Exchange) -> bool:
        """Whether an exchange that may have had its effect is tried again: a write never is."""
        if why not in self.part.retry_on or exchange.tries >= self.part.retries or exchange.over:
            return False
        if exchange.call.write:
            return False
        exchange.tries += 1
        return True

    def _try_again(self, exchange: Exchange) -> None:
        """Send it to another server, if that is allowed and there is one, else to the same."""
        if self.part.redispatch and any(other is not exchange.backend for other in self.view.usable):
            self._elsewhere(exchange)
        else:
            exchange.stamp += 1
            self.retried += 1
            self._connect(exchange)

    def _end(self, exchange: Exchange, code: int) -> None:
        exchange.stamp += 1
        exchange.caller.heard(exchange, code)

    def _queued_too_long(self, exchange: Exchange) -> None:
        exchange.stamp += 1
        self._queue.remove(exchange)
        self._end(exchange, UNAVAILABLE)

    def _pump(self) -> None:
        """Send on what waits; what that sets free while it goes on is sent on in the same loop."""
        if self._pumping:
            return
        self._pumping = True
        while self._queue and self.view.usable:
            exchange = self._queue.popleft()
            exchange.stamp += 1
            if not exchange.over:
                self._dispatch(exchange)
        self._pumping = False

    # Sticky connections.

    def forward_sticky(self, exchange: Exchange) -> None:
        """Take an exchange over its client's one connection, which leads to one server until it breaks."""
        if not self.alive:
            self._links.again(exchange, KNOCKING, self._silent, lambda _: self.forward_sticky(exchange), by_client=True)
            return
        if self.notice:
            exchange.caller.heard(exchange, NOTICE)
            return
        client, now = exchange.call.client, self.env._now
        if client.connection is not None and now - client.unheard > exchange.caller.load.clients.dead_after:
            if self._reaches(client.connection):  # it is only slow
                client.unheard = now
            else:
                self.disconnect(client)
        if client.connection is None:  # whoever asks opens one, at the price of any connection
            exchange.tries = 0
            self._dispatch(exchange)
            return
        backend = client.connection
        if client.unheard == inf:
            client.unheard = now
        exchange.backend, exchange.weighs = backend, False  # its connection weighs already
        self._serving.add(exchange)
        replica = self.replicas[backend.index]
        extra = self._delay_to(replica)
        if extra == LOST:
            message = partial(self._delay_to, replica)
            self._links.again(exchange, RESENDING, message, lambda extra: self._links.later(extra, exchange, replica))
        elif extra > CLEAR:
            self._links.later(extra, exchange, replica)
        elif replica.contact == OPEN:
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

    def _keep(self, exchange: Exchange) -> None:
        """The client keeps the connection that was opened for an exchange; it weighs on the server while it lasts."""
        client, backend = exchange.call.client, exchange.backend
        assert backend is not None
        if client.connection is None:
            client.connection, client.unheard = backend, self.env._now
            self._connected[backend.index][client] = None
            if exchange.weighs:
                exchange.weighs = False  # the connection does from now on
            else:  # it came over an earlier connection, which has gone
                backend.active += 1

    def _connect_elsewhere(self, client: Client) -> bool:
        """Open a connection for a client whose server leaves, to one that accepts it."""
        avoid = None
        for _ in range(self.part.retries + 1):
            if not self.view.usable:
                return False
            backend = self.view.choose(client.number, avoid)
            if self.replicas[backend.index].contact == OPEN and self._clear(backend):
                backend.active += 1
                client.connection, client.unheard = backend, inf
                self._connected[backend.index][client] = None
                if backend.active >= self.view.cap:
                    self.view.refresh()
                return True
            avoid = backend
        return False

    def disconnect(self, client: Client) -> None:
        """A client's connection is gone."""
        backend = client.connection
        assert backend is not None
        del self._connected[backend.index][client]
        client.connection, client.unheard = None, inf
        self._lighten(backend)

    def connections(self) -> list[int]:
        """How many sticky connections each server has."""
        return [len(clients) for clients in self._connected]

    def server_leaves(self, index: int) -> None:
        """A server's process has gone, or says goodbye: its clients connect elsewhere at once."""
        for client in list(self._connected[index]):
            self.disconnect(client)
            self._connect_elsewhere(client)

    # Who is used.

    def _say(self, what: str, index: int, why: str) -> None:
        self.note(what, self.name, {"server": self.backends[index].name, "why": why})

    def is_used(self, index: int) -> bool:
        """Whether checks, ejection and operator allow a server."""
        return self.view.is_used(index)

    def is_let_in(self, index: int) -> bool:
        """Whether the operator lets a server be used."""
        return self.view.is_let_in(index)

    def mark(self, index: int, up: bool, why: str) -> None:
        """Checks, or news of readiness, say that a server is up or down."""
        if self.view.mark(index, up, why) and not up and self.part.closes_on_down:
            for exchange in self._serving.waiting():
                if exchange.backend is not None and exchange.backend.index == index:
                    self._failed(exchange, "reset", RESET)

    def drain(self, index: int, by: int) -> None:
        """The operator takes a server out of use (1), or lets it in again (-1); what it has is finished."""
        self.view.drain(index, by)

    # The balancer itself.

    def set_alive(self, alive: bool, heard: bool = False) -> None:
        """An instance has taken the address, or the one that held it has fallen, and with it what it was forwarding.

        Its clients hear of its fall if its host lives to tell them.
        """
        if alive == self.alive:
            return
        self.alive = alive
        if not alive:
            lost = [*self._queue]
            while self._queue:
                self._queue.popleft().stamp += 1
            for held in (self._serving, self._connecting, self._turn_around):
                for exchange in held.waiting():
                    lost.append(exchange)
                    self._forget(exchange)
            for clients in self._connected:
                for client in list(clients):
                    self.disconnect(client)
            if heard:
                for exchange in lost:
                    exchange.caller.heard(exchange, RESET)

    def _forget(self, exchange: Exchange) -> None:
        """Nobody is left to pass the answer on."""
        if exchange.job is not None:
            exchange.job.exchange = None
            exchange.job = None
        self._let_go(exchange)
