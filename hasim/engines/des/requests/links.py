"""The network between balancers and replicas: fine, unless a fault says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.replica import OPEN, Replica
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.touch import Touch
from hasim.errors import CannotModel
from hasim.faults import DROP, PASS, Delay, Rule

if TYPE_CHECKING:
    import numpy as np

    from hasim.engines.des.world import LeapingEnvironment

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
