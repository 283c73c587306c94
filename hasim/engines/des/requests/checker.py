"""A balancer's health checks of one server: the pure machine, and what its pings meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hasim.balancing.draws import uniforms
from hasim.engines.des.requests.front import Front
from hasim.engines.des.requests.links import LOST, Links
from hasim.engines.des.requests.replica import OPEN, REFUSES, Replica
from hasim.engines.des.requests.ticking import Ticking
from hasim.machine import Announce, Received, Started, Unlinked
from hasim.protocols.health import Check, HealthCheck, Ping, Pong
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment


class Checker:
    """Checks one replica for one balancer.

    Checks have a connection of their own and are answered beside the requests, however many of them wait: a slow
    server stays up, and a frozen one answers when it thaws.
    """

    def __init__(
        self, env: LeapingEnvironment, check: Check, front: Front, replica: Replica, links: Links, streams: Streams
    ) -> None:
        self._env = env
        self._front = front
        self._replica = replica
        self._links = links
        self._machine = HealthCheck(check, replica.name)
        chance = uniforms(streams[f"{front.name}/checks/{replica.name}"])
        self._ticking = Ticking(env, self._machine, chance, self._ping, self._say)

    def start(self) -> None:
        """Begin at a random moment of the first interval, with a server that has been up for long."""
        self._machine.health = self._machine.check.full if self._machine.up else 0
        self._ticking.hear(Started())

    def _ping(self, ping: Ping) -> None:
        replica, links = self._replica, self._links
        if links.rules and links.judge(self._front.name, replica.name) == LOST:
            return
        if replica.contact == REFUSES:
            self._ticking.hear(Unlinked(replica.name))
        elif replica.contact == OPEN:
            replica.check(lambda lives: self._answer(ping, lives))

    def _answer(self, ping: Ping, lives: bool) -> None:
        replica = self._replica
        if not lives:
            self._ticking.hear(Unlinked(replica.name))
            return
        if self._links.rules and self._links.judge(replica.name, self._front.name) == LOST:
            return
        ready = replica.ready
        self._ticking.hear(Received(replica.name, Pong(ping.n, ready, "" if ready else "not ready")))

    def _say(self, said: Announce) -> None:
        detail = said.detail
        why = str(detail.get("why", "")) if isinstance(detail, dict) else ""
        self._front.mark(self._replica.index, said.kind == "server up", why)
