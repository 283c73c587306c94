"""One direction between somebody and the API: messages in order, and what gets lost is sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, Protocol

from hasim.engines.des.requests.links import Links
from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm

RESEND_FIRST_S: Final = 0.2
RESEND_MOST_S: Final = 12.8
"""Linux sends again what is not confirmed after 0.2 s, then after twice as long each time (tcp(7)); that ends with the
connection, which client-go gives up after 45 s of silence: at 0.2, 0.6, 1.4, … 25.4 s, and not again before it ends."""


class Message(Protocol):
    """Something on its way."""

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more: it is not sent again."""

    def arrive(self) -> None:
        """It is there."""

    def held_up(self) -> None:
        """It will take longer than usual, nobody knows how long."""


class Line:
    """Messages from one to another in the order in which they were sent, whatever becomes of each.

    `latency()` is what the next takes, in seconds; a message that gets lost holds up those behind it.
    """

    def __init__(self, env: LeapingEnvironment, links: Links, latency: Callable[[], float], src: str, dst: str) -> None:
        self.env = env
        self.src, self.dst = src, dst
        self._links = links
        self._latency = latency
        self._last = -inf  # when the last message arrives
        self._waiting: deque[Message] = deque()  # what was lost, and what follows it

    def send(self, message: Message) -> None:
        """Take a message on."""
        self._waiting.append(message)
        if len(self._waiting) == 1:
            self._attempt(RESEND_FIRST_S)
        else:
            message.held_up()

    def _attempt(self, wait: float) -> None:
        """Send what waits, up to the first that is lost."""
        links, waiting = self._links, self._waiting
        while waiting:
            message = waiting[0]
            extra = 0.0 if message.over or not links.rules else links.judge(self.src, self.dst)
            if extra < 0:
                message.held_up()
                Alarm(self.env, self.env._now + wait, partial(self._attempt, min(2 * wait, RESEND_MOST_S)))
                return
            waiting.popleft()
            if not message.over:
                self._carry(message, extra)
                wait = RESEND_FIRST_S

    def _carry(self, message: Message, extra: float) -> None:
        if extra:
            message.held_up()
        self._last = max(self._last, self.env._now + extra + self._latency())
        Alarm(self.env, self._last, message.arrive)
