"""Where calls come from: streams of arrivals, or users who think."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from hasim.engines.des.draws import draws
from hasim.engines.des.requests.caller import Caller
from hasim.engines.des.requests.exchange import Call
from hasim.model.demand import Arrivals, Load
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment


class OpenLoop:
    """Arrivals that wait for nobody; itself the event that the loop rings at each."""

    __slots__ = ("_ask", "_env", "_times", "callbacks")

    def __init__(
        self, env: LeapingEnvironment, caller: Caller, arrivals: Arrivals, streams: Streams, end: float
    ) -> None:
        load = caller.load
        blocks = arrivals.blocks(streams[f"{load.name}/arrivals"], max(load.begins, env._now), load.until(end))
        self._env = env
        self._ask = caller.ask
        self._times: Iterator[float] = chain.from_iterable(block.tolist() for block in blocks)
        self.callbacks = (self._ring,)
        self._next()

    def _ring(self, _: object) -> None:
        self._ask()
        self._next()

    def _next(self) -> None:
        at = next(self._times, None)
        if at is not None:
            self._env.push((at, 1, self._env.number(), self))  # type: ignore[arg-type]


ROUND_TRIP = 0.001
"""Seconds from a request that was refused on the spot to the next of a user who does not think. In the model it took
no time, and they would ask for ever at one instant; in the world it takes a round trip."""


class _Thought:
    """A user who thinks until the loop rings."""

    __slots__ = ("callbacks", "user")

    def __init__(self, user: int, rings: tuple[object]) -> None:
        self.user = user
        self.callbacks = rings


class ClosedLoop:
    """Users who think, ask, wait for the answer, and think again."""

    def __init__(self, env: LeapingEnvironment, caller: Caller, load: Load, streams: Streams, end: float) -> None:
        assert load.users is not None
        self._env = env
        self._caller = caller
        self._end = load.until(end)
        self._thinks = None if load.think is None else draws(load.think, streams, f"{load.name}/think")
        self._rings = (self._ring,)
        caller.then = self._answered
        start = max(load.begins, env._now)
        for user in range(load.users):
            self._think(user, start)

    def _think(self, user: int, now: float, asked: float = -inf) -> None:
        at = now if self._thinks is None else now + next(self._thinks)
        if at <= asked:
            at = asked + ROUND_TRIP
        if at < self._end:
            self._env.push((at, 1, self._env.number(), _Thought(user, self._rings)))  # type: ignore[arg-type]

    def _ring(self, thought: _Thought) -> None:
        self._caller.ask(thought.user)

    def _answered(self, call: Call) -> None:
        self._think(call.user, self._env._now, call.arrived)
