"""Clients that reach the replicas themselves, by name: no balancer between them and the servers."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from hasim.balancing.draws import uniforms
from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.replica import OPEN, REFUSES, Replica
from hasim.engines.des.world.alarm import Alarm
from hasim.results.outcomes import REFUSED
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.requests.caller import Client
    from hasim.engines.des.world import LeapingEnvironment
    from hasim.model.demand import Dns


class Direct:
    """Each exchange goes to the address that its client holds; without `dns`, to any replica at random.

    A lookup gives one of the addresses in the answer, each with the same chance. An answer leaves out servers
    that have been down for longer than its delay, if it is of that kind; an empty one is answered as if it were not.
    """

    def __init__(
        self, env: LeapingEnvironment, name: str, replicas: Sequence[Replica], dns: Dns | None, streams: Streams
    ) -> None:
        self.env = env
        self.name = name
        self.replicas = list(replicas)
        self._dns = dns
        self._chance = uniforms(streams[f"{name}/addresses"])
        self._listed = [True] * len(self.replicas)
        if dns is not None and dns.healthy_only:
            for replica in self.replicas:
                replica.watchers.append(lambda replica=replica: self._news(replica))  # type: ignore[misc]

    speaks = False
    """Nobody stands between the client and a server that breaks off."""

    def forward(self, exchange: Exchange) -> None:
        """Send to the address that the client holds."""
        client = exchange.call.client
        self._send(exchange, self._any() if self._dns is None else self._lookup(client))

    def forward_sticky(self, exchange: Exchange) -> None:
        """Send over the client's one connection, opened anew where it last broke."""
        client = exchange.call.client
        if client.address < 0 or self._dns is not None:
            client.address = self._any() if self._dns is None else self._lookup(client)
        self._send(exchange, client.address)

    def _send(self, exchange: Exchange, index: int) -> None:
        exchange.call.server = index
        replica = self.replicas[index]
        if replica.contact == OPEN:
            replica.take(exchange)
        elif replica.contact == REFUSES:
            self._leave(exchange.call.client)
            exchange.caller.heard(exchange, REFUSED)

    def _any(self) -> int:
        return int(self._chance() * len(self.replicas))

    def _lookup(self, client: Client) -> int:
        """The address the client holds, looked up again if its answer is too old."""
        assert self._dns is not None
        now, ttl = self.env._now, self._dns.ttl
        if now >= client.fresh_until:
            listed = [i for i, there in enumerate(self._listed) if there] or list(range(len(self.replicas)))
            first = client.fresh_until == -inf
            client.address = listed[int(self._chance() * len(listed))]
            # Somebody who asked long ago is anywhere within the life of the answer.
            client.fresh_until = inf if ttl is None else now + ttl * (self._chance() if first else 1.0)
        return client.address

    def _leave(self, client: Client) -> None:
        if self._dns is None:
            client.address = -1

    def _news(self, replica: Replica) -> None:
        assert self._dns is not None
        ready = replica.ready and replica.contact == OPEN

        def show() -> None:
            self._listed[replica.index] = ready

        Alarm(self.env, self.env._now + self._dns.delay, show)

    def answered(self, exchange: Exchange, code: int) -> None:
        """A server has answered."""
        exchange.job = None
        exchange.caller.heard(exchange, code)

    def broken(self, exchange: Exchange) -> None:
        """The connection broke under the request."""
        self._leave(exchange.call.client)
        exchange.caller.heard(exchange, exchange.caller.broken_code)
