"""Timeouts of one length, of which many are set and few run out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from simpy import Event

from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.leap import Recurring


class Stamped(Protocol):
    """Something whose `stamp` moves on when what it waited for has come."""

    stamp: int


T = TypeVar("T", bound=Stamped)


class Deadlines(Generic[T]):
    """Call `expire(item)` for each item `after` seconds after it was added, unless its stamp has moved on.

    Since all are of one length they run out in the order they were set: one queue and one event in the heap do for all
    of them, where a timer each would double the cost of a request.
    """

    __slots__ = ("_armed", "_env", "_event", "_expire", "_queue", "after")

    def __init__(self, env: LeapingEnvironment, after: float, expire: Callable[[T], None]) -> None:
        self.after = after
        self._env = env
        self._expire = expire
        self._queue: deque[tuple[float, T, int]] = deque()
        self._event = Recurring(env, self._ring)
        self._armed = False

    def add(self, item: T) -> None:
        """Wait for this item as it stands."""
        queue = self._queue
        while queue:  # what is done is let go here, else it would stay in memory for the whole timeout
            _, first, stamp = queue[0]
            if first.stamp == stamp:
                break
            queue.popleft()
        at = self._env._now + self.after
        queue.append((at, item, item.stamp))
        if not self._armed:
            self._armed = True
            self._env.schedule_at(self._event, at)

    def waiting(self) -> list[T]:
        """All that is still waited for, the longest waiting first."""
        return [item for _, item, stamp in self._queue if item.stamp == stamp]

    def _ring(self, _: Event) -> None:
        queue, now = self._queue, self._env._now
        while queue:
            at, item, stamp = queue[0]
            if item.stamp != stamp:
                queue.popleft()
            elif at <= now:
                queue.popleft()
                self._expire(item)
            else:
                self._env.schedule_at(self._event, at)
                return
        self._armed = False


class Ending(Protocol):
    """Something that is `over` at some time."""

    over: bool


E = TypeVar("E", bound=Ending)


class Patience(Generic[E]):
    """Call `expire(item)` for each item `after` seconds after it was added, unless it is over by then."""

    __slots__ = ("_armed", "_env", "_event", "_expire", "_queue", "after")

    def __init__(self, env: LeapingEnvironment, after: float, expire: Callable[[E], None]) -> None:
        self.after = after
        self._env = env
        self._expire = expire
        self._queue: deque[tuple[float, E]] = deque()
        self._event = Recurring(env, self._ring)
        self._armed = False

    def add(self, item: E) -> None:
        """Wait for this item."""
        queue = self._queue
        while queue and queue[0][1].over:  # as above
            queue.popleft()
        at = self._env._now + self.after
        queue.append((at, item))
        if not self._armed:
            self._armed = True
            self._env.schedule_at(self._event, at)

    def waiting(self) -> list[E]:
        """All that is still waited for, the longest waiting first."""
        return [item for _, item in self._queue if not item.over]

    def _ring(self, _: Event) -> None:
        queue, now = self._queue, self._env._now
        while queue:
            at, item = queue[0]
            if item.over:
                queue.popleft()
            elif at <= now:
                queue.popleft()
                self._expire(item)
            else:
                self._env.schedule_at(self._event, at)
                return
        self._armed = False
