"""The network between balancers and replicas: fine, unless a fault says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.replica import OPEN, SILENT, Replica
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.touch import Touch
from hasim.errors import CannotModel
from hasim.faults import DROP, PASS, Delay, Rule

if TYPE_CHECKING:
    import numpy as np

    from hasim.engines.des.world import LeapingEnvironment

Answered = Callable[[Exchange, Replica, float], None]

SYN_FIRST_S = 1.0
SYN_LAST_S = 32.0
"""Linux asks for a connection again after 1 s, and then after twice as long each time, six times (tcp(7))."""

CLEAR = 0.0
LOST = -1.0


class Links:
    """The rules that faults have set on messages between a balancer and its servers, and what they have touched.

    A request that is lost is sent again by nobody: whoever waits for a connection, or for an answer, waits until its
    timeout.
    """

    def __init__(self, env: LeapingEnvironment, chance: np.random.Generator) -> None:
        self.env = env
        self.rules: list[tuple[Rule, Touch]] = []
        self._chance = chance

    def judge(self, src: str, dst: str) -> float:
        """What happens to a message: LOST, or so many seconds of delay."""
        for rule, touch in self.rules:
            verdict = rule(src, dst, self._chance)
            if verdict is PASS:
                continue
            touch.touched = True
            if verdict is DROP:
                return LOST
            if isinstance(verdict, Delay):
                return verdict.seconds
            raise CannotModel(
                "a fault", "duplicates messages on the request path, which runs on streams", "leave it out", "simulate"
            )
        return CLEAR

    def knock(self, exchange: Exchange, src: str | None, replica: Replica, answered: Answered) -> None:
        """Ask for a connection again after 1, 3, 7 … s (Linux's SYN retransmissions), until somebody answers.

        `src` is the balancer that asks; rules are not for clients that reach servers by themselves. Whoever waits for
        it must move the exchange's stamp on when it no longer does.
        """
        stamp = exchange.stamp

        def ask(wait: float) -> None:
            if exchange.stamp != stamp or exchange.over:
                return
            extra = self.judge(src, replica.name) if self.rules and src is not None else CLEAR
            if extra != LOST and replica.contact != SILENT:
                answered(exchange, replica, extra)
            elif wait < SYN_LAST_S:
                Alarm(self.env, self.env._now + 2 * wait, lambda: ask(2 * wait))

        Alarm(self.env, self.env._now + SYN_FIRST_S, lambda: ask(SYN_FIRST_S))

    def later(self, delay: float, exchange: Exchange, replica: Replica) -> None:
        """Let a request arrive after a delay, if it is still wanted and there is still somebody."""
        stamp = exchange.stamp

        def arrive() -> None:
            if exchange.stamp == stamp and replica.contact == OPEN:
                replica.take(exchange)

        Alarm(self.env, self.env._now + delay, arrive)

    def answer_later(self, delay: float, exchange: Exchange, hear: Callable[[], None]) -> None:
        """Let an answer arrive after a delay, if it is still waited for."""
        stamp = exchange.stamp

        def arrive() -> None:
            if exchange.stamp == stamp:
                hear()

        Alarm(self.env, self.env._now + delay, arrive)
