"""A balancer's health checks of one server: the pure machine, and what its pings meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hasim.engines.des.requests.front import Front
from hasim.engines.des.requests.links import CLEAR, Links
from hasim.engines.des.requests.replica import OPEN, REFUSES, Replica
from hasim.engines.des.requests.ticking import Ticking
from hasim.engines.des.world.alarm import Alarm
from hasim.machine import Announce, Received, Started, Unlinked
from hasim.protocols.health import Check, HealthCheck, Ping, Pong
from hasim.streams import Streams, uniforms

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
        self._check = check
        self._machine = HealthCheck(check, replica.name)
        self._chance = uniforms(streams[f"{front.name}/checks/{replica.name}"])
        self._ticking = Ticking(env, self._machine, self._luck, self._ping, self._say)

    def start(self) -> None:
        """Begin at a random moment of the first interval, with a server that has been up, or down, for long.

        A check that begins with servers down (`initial`) begins so here.
        """
        machine, replica = self._machine, self._replica
        if machine.up:
            machine.health = machine.check.full if replica.contact == OPEN and replica.ready else 0
        if not machine.up:
            self._front.mark(replica.index, False, "at the start")
        self._ticking.hear(Started())

    def _luck(self) -> float:
        """A random share of a wait; before a first check in step with others, of what is left until they are made."""
        moment = self._front.check_moment
        if moment is None or self._machine.sent:
            return self._chance()
        return (moment - self._env._now / self._check.interval) % 1.0

    def is_of(self, front: Front, replica: Replica) -> bool:
        """Whether it checks this server for this balancer."""
        return self._front is front and self._replica is replica

    def renew(self, there: bool = True) -> None:
        """Begin afresh, as for a server that is let in after maintenance: as `initial` says, whatever is known.

        If it is not `there` any more, it counts as down until checks of the next one succeed.
        """
        self._ticking.end()
        self._machine = HealthCheck(self._check, self._replica.name, up=there)
        self._ticking = Ticking(self._env, self._machine, self._luck, self._ping, self._say)
        self._front.mark(self._replica.index, self._machine.up, "let in" if there else "not there any more")
        self._ticking.hear(Started())

    def _ping(self, ping: Ping) -> None:
        self._travel(self._front.name, self._replica.name, lambda: self._meet(ping))

    def _meet(self, ping: Ping) -> None:
        replica = self._replica
        if replica.contact == REFUSES:
            self._broken(ping)
        elif replica.contact == OPEN:
            replica.check(lambda lives: self._answer(ping, lives))

    def _answer(self, ping: Ping, lives: bool) -> None:
        replica = self._replica
        if not lives:
            self._broken(ping)
            return
        ready = replica.ready
        pong = Received(replica.name, Pong(ping.n, ready, "" if ready else "not ready"))
        self._travel(replica.name, self._front.name, lambda: self._ticking.hear(pong))

    def _broken(self, ping: Ping) -> None:
        def hear() -> None:
            if ping.n == self._machine.sent:  # a check that was given up says nothing of the next one
                self._ticking.hear(Unlinked(self._replica.name))

        self._travel(self._replica.name, self._front.name, hear)

    def _travel(self, src: str, dst: str, arrive: Callable[[], None]) -> None:
        """Let a message arrive: at once, after what a slow link adds, or never."""
        delay = self._links.judge(src, dst) if self._links.rules else CLEAR
        if delay > CLEAR:
            Alarm(self._env, self._env._now + delay, arrive)
        elif delay == CLEAR:
            arrive()

    def _say(self, said: Announce) -> None:
        detail = said.detail
        why = str(detail.get("why", "")) if isinstance(detail, dict) else ""
        self._front.mark(self._replica.index, said.kind == "server up", why)
