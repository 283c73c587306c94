"""What is on its way from one node to another, in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from simpy import Event

from hasim.engines.des.world.leap import LeapingEnvironment, Recurring
from hasim.machine import Received

if TYPE_CHECKING:
    from hasim.engines.des.world.node import Node

_new = tuple.__new__  # half the cost of a named tuple is its own constructor


class Wire(Recurring):
    """Messages on their way from one node to another, in order of arrival: one event, scheduled for each of them."""

    def __init__(self, env: LeapingEnvironment, src: str, dst: Node) -> None:
        super().__init__(env, self._arrive)
        self.messages: deque[Any] = deque()
        self.heard = env._now  # when something last arrived
        self._src = src
        self._dst = dst

    def _arrive(self, _: Event) -> None:
        if self.messages:  # a broken connection loses what is on its way
            self.heard = self.env._now
            self._dst.take(_new(Received, (self._src, self.messages.popleft())))
