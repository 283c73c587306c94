"""A link without a connection (udp): each message for itself, so they overtake one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpy import Event

from hasim.engines.des.world.leap import LeapingEnvironment
from hasim.engines.des.world.line import Line
from hasim.engines.des.world.wire import Wire
from hasim.machine import Received

if TYPE_CHECKING:
    from hasim.engines.des.world.network import Network
    from hasim.engines.des.world.node import Node


class Packet(Event):
    """A message that overtakes others."""

    _ok = True
    _value = None

    def __init__(self, dst: Node, received: Received) -> None:
        self._dst = dst
        self._received = received
        self.callbacks = [self._arrive]

    def _arrive(self, _: Event) -> None:
        self._dst.take(self._received)


class Datagrams:
    """The way from one node to another for single messages."""

    def __init__(
        self,
        env: LeapingEnvironment,
        network: Network,
        src: Node,
        dst: Node,
        latency: Callable[[], float],
        line: Line | None,
    ) -> None:
        self._env = env
        self._network = network
        self._src, self._dst = src, dst
        self._latency = latency
        self._line = line
        self._wire = Wire(env, src.name, dst)
        self._last = 0.0  # when the last message on the wire arrives

    def send(self, message: Any, size: int = 0) -> None:
        """Each copy of a message has its own delay."""
        copies, extra = 1, 0.0
        if self._network.rules:
            copies, extra = self._network.fate(self._src.name, self._dst.name)
        env = self._env
        for _ in range(copies):
            at = env._now + extra + self._latency()
            if self._line is not None:
                at += self._line.queue(size, env._now)
            if at < self._last:  # it overtakes
                env.schedule_at(Packet(self._dst, Received(self._src.name, message)), at)
            else:
                self._last = at
                self._wire.messages.append(message)
                env.push((at, 1, env.number(), self._wire))

    def shift(self, by: float) -> None:
        """The world has leapt over so many seconds, with what is on its way."""
        self._last += by
