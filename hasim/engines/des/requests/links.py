"""The network between balancers and replicas: fine, unless a fault says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.replica import OPEN, SILENT, Replica
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.touch import Touch
from hasim.engines.des.world.verbs import lasting
from hasim.errors import CannotModel
from hasim.faults import DROP, PASS, Delay, Rule
from hasim.faults.verdict import Cut

if TYPE_CHECKING:
    import numpy as np

    from hasim.engines.des.world import LeapingEnvironment


class Pace(NamedTuple):
    """How a kernel sends again: after `first_s`, then after twice as long each time up to `most_s`, so many times."""

    first_s: float
    most_s: float
    times: int


KNOCKING = Pace(1.0, 64.0, 6)
"""Asking for a connection (tcp(7), tcp_syn_retries): after 1, 3, 7, 15, 31 and 63 s."""

RESENDING = Pace(0.2, 120.0, 15)
"""What was sent over a connection (tcp(7), tcp_retries2); 0.2 s is Linux's shortest wait, right for a local network."""

CLEAR = 0.0
LOST = -1.0


class Links:
    """The rules that faults have set on messages between a balancer and its servers, and what they have touched.

    Requests travel in streams: what is lost is sent again by the kernel, at the pace of Linux, until it gets through or
    whoever waits for it loses patience.
    """

    def __init__(self, env: LeapingEnvironment, chance: np.random.Generator) -> None:
        self.env = env
        self.rules: list[tuple[Rule, Touch]] = []
        self._chance = chance

    @lasting
    def ruled(self, rule: Rule) -> Iterator[Touch]:
        """Ask this rule about every message."""
        touch = Touch()
        entry = (rule, touch)
        self.rules.append(entry)
        yield touch
        self.rules.remove(entry)

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

    def cut(self, src: str, dst: str) -> bool:
        """Whether nothing at all gets from one to the other now."""
        return any(isinstance(rule, Cut) and rule.apart(src, dst) for rule, _ in self.rules)

    def again(
        self,
        exchange: Exchange,
        pace: Pace,
        message: Callable[[], float],
        arrived: Callable[[float], None],
        by_client: bool = False,
    ) -> None:
        """Send what was lost again and again, until `message()` says that it gets through, and with what delay.

        Whoever waits for it moves the exchange's stamp on when it no longer does; what a client sends (`by_client`)
        also ends with its patience.
        """
        stamp = exchange.stamp

        def attempt(wait: float, left: int) -> None:
            if exchange.stamp != stamp or (by_client and exchange.over):
                return
            extra = message()
            if extra != LOST:
                arrived(extra)
            elif left:
                longer = min(2 * wait, pace.most_s)
                Alarm(self.env, self.env._now + longer, lambda: attempt(longer, left - 1))

        Alarm(self.env, self.env._now + pace.first_s, lambda: attempt(pace.first_s, pace.times - 1))

    def later(self, delay: float, exchange: Exchange, replica: Replica) -> None:
        """Let a request arrive after a delay, if it is still wanted and there is still somebody."""
        stamp = exchange.stamp

        def arrive() -> None:
            if exchange.stamp != stamp:
                return
            if replica.contact == OPEN:
                replica.take(exchange)
            elif replica.contact != SILENT:  # the server has gone meanwhile, and its host says so
                exchange.front.broken(exchange)

        Alarm(self.env, self.env._now + delay, arrive)

    def answer_later(self, delay: float, exchange: Exchange, hear: Callable[[], None]) -> None:
        """Let an answer arrive after a delay, if it is still waited for."""
        stamp = exchange.stamp

        def arrive() -> None:
            if exchange.stamp == stamp:
                hear()

        Alarm(self.env, self.env._now + delay, arrive)
