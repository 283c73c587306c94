"""The way of requests from one process to another, and of the answers back, over a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

from hasim.engines.des.world import LeapingEnvironment, Node
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.datagram import Packet
from hasim.machine import Event, Received, Unlinked

if TYPE_CHECKING:
    from hasim.engines.des.world.network import Network

RESEND_FIRST_S: Final = 0.2
RESEND_MOST_S: Final = 120.0
"""Linux sends again what is not confirmed after 0.2 s, then after twice as long each time, up to 2 min (tcp(7))."""


class _Reader:
    """One process of a node: what comes for it once it has ended is lost, whoever has taken its place."""

    def __init__(self, node: Node, process: object) -> None:
        self._node, self._process = node, process

    def take(self, event: Event) -> None:
        if self._node.process is self._process:
            self._node.take(event)


def connect(
    network: Network, node: Node, server: Node, there: Callable[[], float], here: Callable[[], float]
) -> tuple[Connection, Connection]:
    """Link a node with a server that it asks; return the way there and the way back, each with its own latencies."""
    ask = Connection(node.env, network, node, server, there)
    answer = Connection(node.env, network, server, node, here)
    ask.back, answer.forth = answer, ask
    node.links[server.name], server.links[node.name] = ask, answer
    return ask, answer


class Connection:
    """One direction: messages in order; what gets lost is sent again, what nobody takes is refused.

    `back` is the other direction: an answer is for the process that asked, not for one that has taken its place.
    `forth` is the other direction of a `back`.
    """

    def __init__(
        self, env: LeapingEnvironment, network: Network, src: Node, dst: Node, latency: Callable[[], float]
    ) -> None:
        self.env = env
        self.src, self.dst = src, dst
        self.back: Connection | None = None
        self.forth: Connection | None = None
        self.reader: object | None = None  # the process that answers are for
        self._network = network
        self._latency = latency
        self._last = -inf  # when the last message arrives
        self._writer: object | None = None
        self._waiting: deque[tuple[Any, object]] = deque()  # what was lost, and what follows it; who it is for

    def send(self, message: Any, size: int = 0) -> None:
        """Take a message on."""
        writer = self.src.process
        if self.back is not None:
            self.back.reader = writer
        elif self.reader is not self.dst.process:
            return
        if writer is not self._writer:
            self._writer = writer
            self._waiting.clear()
        self._waiting.append((message, self.reader))
        if len(self._waiting) == 1:
            self._attempt(writer, RESEND_FIRST_S)

    def _attempt(self, writer: object, wait: float) -> None:
        """Send what waits, up to the first that is lost; what follows waits until that gets through."""
        while self._waiting and self.src.process is writer:
            extra = self._network.extra(self.src, self.dst)
            if extra is None:
                longer = min(2 * wait, RESEND_MOST_S)
                Alarm(self.env, self.env._now + wait, partial(self._attempt, writer, longer))
                return
            self._carry(*self._waiting.popleft(), extra)
            wait = RESEND_FIRST_S

    def _carry(self, message: Any, reader: object | None, extra: float) -> None:
        now = self.env._now
        if self.dst.process is None and self.back is not None:
            refused = partial(self._refused, self.src.process)
            Alarm(self.env, now + extra + self._latency() + self._latency(), refused)
            return
        self._last = max(self._last, now + extra + self._latency())
        # All that a packet asks of a node is `take`.
        to = self.dst if reader is None else cast(Node, _Reader(self.dst, reader))
        self.env.schedule_at(Packet(to, Received(self.src.name, message)), self._last)

    def _refused(self, sender: object) -> None:
        if self.src.process is sender:
            self.src.take(Unlinked(self.dst.name))

    def broken(self) -> None:
        """The process at the far end has died, and its kernel says so."""
        process = self.src.process
        if process is not None and self._network.extra(self.dst, self.src) is not None:
            at = self.env._now + self._latency()
            other = self.back or self.forth
            if other is not None:  # what its successor sends comes later: that is on a connection of its own
                other._last = max(other._last, at)
            Alarm(self.env, at, lambda: self._refused(process))

    def shift(self, by: float) -> None:
        """The world has leapt over so many seconds."""
        self._last += by
