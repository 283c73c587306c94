"""Clients that reach the replicas themselves, by name: no balancer between them and the servers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from hasim.balancing import Backend
from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.links import CLEAR, KNOCKING, LOST, Links
from hasim.engines.des.requests.replica import OPEN, REFUSES, SILENT, Replica
from hasim.engines.des.world.alarm import Alarm
from hasim.results.outcomes import REFUSED
from hasim.streams import Streams, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.requests.caller import Client
    from hasim.engines.des.world import LeapingEnvironment
    from hasim.model.demand import Dns


class Direct:
    """Each exchange goes to the address that its client holds; without `dns`, to any replica at random.

    A lookup gives one of the addresses in the answer, each with the same chance. An answer leaves out servers
    that have been down for longer than its delay, if it is of that kind; an empty one is answered as if it were not.
    A sticky connection stays where it is until it breaks, whatever the name says meanwhile.
    """

    speaks = False  # nobody stands between the client and a server that breaks off

    def __init__(
        self,
        env: LeapingEnvironment,
        name: str,
        replicas: Sequence[Replica],
        dns: Dns | None,
        streams: Streams,
        links: Links,
    ) -> None:
        self.env = env
        self._links = links
        self.name = name
        self.replicas = list(replicas)
        self._backends = [Backend(replica.name, i) for i, replica in enumerate(replicas)]
        self._dns = dns
        self._chance = uniforms(streams[f"{name}/addresses"])
        self._goaway = uniforms(streams[f"{name}/goaway"])
        self._listed = [True] * len(self.replicas)
        self._there = list(range(len(self.replicas)))  # servers that an upgrade has put there
        self._connected: list[dict[Client, None]] = [{} for _ in self.replicas]
        for replica in self.replicas:
            replica.watchers.append(partial(self._leaving, replica))
        if dns is not None and dns.healthy_only:
            for replica in self.replicas:
                replica.watchers.append(partial(self._news, replica))

    def forward(self, exchange: Exchange) -> None:
        """Send to the address that the client holds."""
        client = exchange.call.client
        self._send(exchange, self._any(exchange.avoid) if self._dns is None else self._lookup(client))

    def forward_sticky(self, exchange: Exchange) -> None:
        """Send over the client's one connection, opened anew where it last broke."""
        client, now = exchange.call.client, self.env._now
        if client.peer >= 0 and now - client.unheard > exchange.caller.load.clients.dead_after:
            if self._reaches(client.peer):  # it is only slow
                client.unheard = now
            else:
                self._disconnect(client)
        if client.peer < 0:
            client.peer = self._any() if self._dns is None else self._lookup(client)
            self._connected[client.peer][client] = None
        if client.unheard == inf:
            client.unheard = now
        self._send(exchange, client.peer)

    def gives_up(self, exchange: Exchange) -> bool:
        """Whether the connection of an exchange that was never answered leads nowhere; then it is closed."""
        client, backend = exchange.call.client, exchange.backend
        assert backend is not None
        if self._reaches(backend.index):
            return False
        if client.peer == backend.index:
            self._disconnect(client)
        return True

    def _reaches(self, index: int) -> bool:
        replica = self.replicas[index]
        return replica.contact == OPEN and not replica.frozen

    def _disconnect(self, client: Client) -> None:
        if client.peer >= 0:
            del self._connected[client.peer][client]
        client.peer, client.unheard = -1, inf

    def _leaving(self, replica: Replica) -> None:
        if replica.closing or (not replica.running and replica.powered):
            for client in list(self._connected[replica.index]):
                self._disconnect(client)

    def _send(self, exchange: Exchange, index: int) -> None:
        exchange.backend = self._backends[index]
        exchange.call.server = index
        replica = self.replicas[index]
        if replica.contact == OPEN:
            replica.take(exchange)
        elif replica.contact == REFUSES:
            self._disconnect(exchange.call.client)
            exchange.caller.heard(exchange, REFUSED)
        else:
            silent = partial(self._silent, replica)
            self._links.again(exchange, KNOCKING, silent, lambda _: self._send(exchange, index), by_client=True)

    @staticmethod
    def _silent(replica: Replica) -> float:
        return LOST if replica.contact == SILENT else CLEAR

    def _any(self, avoid: Backend | None = None) -> int:
        there = self._there if avoid is None else [index for index in self._there if index != avoid.index]
        there = there or self._there
        return there[int(self._chance() * len(there))]

    def place(self, index: int, there: bool) -> None:
        """An upgrade has put a server at an address, or has taken it away."""
        servers = {*self._there, index} if there else set(self._there) - {index}
        self._there = sorted(servers) or self._there  # the last address is kept, whoever is there

    def _lookup(self, client: Client) -> int:
        """The address the client holds, looked up again if its answer is too old."""
        assert self._dns is not None
        now, ttl = self.env._now, self._dns.ttl
        if now >= client.fresh_until:
            listed = [i for i in self._there if self._listed[i]] or self._there
            first = client.fresh_until == -inf
            client.address = listed[int(self._chance() * len(listed))]
            # Somebody who asked long ago is anywhere within the life of the answer.
            client.fresh_until = inf if ttl is None else now + ttl * (self._chance() if first else 1.0)
        return client.address

    def _news(self, replica: Replica) -> None:
        assert self._dns is not None
        ready = replica.seen_ready and replica.contact == OPEN

        def show() -> None:
            self._listed[replica.index] = ready

        Alarm(self.env, self.env._now + self._dns.delay, show)

    def answered(self, exchange: Exchange, code: int) -> None:
        """A server has answered."""
        exchange.job = None
        client, index = exchange.call.client, self._index(exchange)
        exchange.call.server = index
        if client.peer == index:
            client.unheard = inf
            chance = self.replicas[index].serving.goaway_chance
            if chance and self._goaway() < chance:
                self._disconnect(client)
        exchange.caller.heard(exchange, code)

    def broken(self, exchange: Exchange) -> None:
        """The connection broke under the request."""
        exchange.call.server = self._index(exchange)
        exchange.caller.heard(exchange, exchange.caller.broken_code)

    def _index(self, exchange: Exchange) -> int:
        assert exchange.backend is not None
        return exchange.backend.index
