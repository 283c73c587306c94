"""An event loop that can leap: SimPy's environment, with a tighter loop and a way to skip over calm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from simpy import Environment, Event
from simpy.core import EmptySchedule, StopSimulation
from simpy.events import NORMAL, URGENT, EventPriority


class Recurring(Event):
    """An event that is made once and happens again and again, also several times in the heap at once.

    Its callbacks are a tuple of one function, where those of SimPy's events are a list: that is how the loop knows it.
    """

    _ok = True
    _value = None

    def __init__(self, env: LeapingEnvironment, ring: Callable[[Event], None]) -> None:
        self.env: LeapingEnvironment = env
        self.ring = ring
        self.callbacks = (ring,)  # type: ignore[assignment]


class LeapingEnvironment(Environment):
    """SimPy's environment: the same events in the same order, and `leap` besides.

    The fields of the environment are SimPy's own: `_now`, and the heap `_queue` of (time, priority, number, event).
    The hot paths of the world push on that heap with `push` and number their entries with `number`, since a method
    would cost as much again.
    """

    def __init__(self, initial_time: float = 0.0) -> None:
        super().__init__(initial_time)
        self.push: Callable[[tuple[float, int, int, Event]], None] = partial(heappush, self._queue)
        self.number: Callable[[], int] = self._eid.__next__

    def schedule_at(self, event: Event, time: float) -> None:
        """Schedule an event at a time, in seconds, not before now."""
        heappush(self._queue, (time, NORMAL, next(self._eid), event))

    def run(self, until: float | Event | None = None) -> Any:
        """Go from event to event until a time, or an event, or until nothing is left; as SimPy does."""
        if until is not None:
            if not isinstance(until, Event):
                at = float(until)
                if at <= self._now:
                    raise ValueError(f"until ({at}) must be greater than the current simulation time")
                until = Event(self)
                until._ok, until._value = True, None
                heappush(self._queue, (at, URGENT, next(self._eid), until))
            elif until.processed:
                return until.value
            until.callbacks.append(StopSimulation.callback)
        try:
            self._loop()
        except StopSimulation as stop:
            return stop.args[0]
        except EmptySchedule:
            if until is not None:
                raise RuntimeError(
                    f"no scheduled events left but the one waited for was not triggered: {until}"
                ) from None
        return None

    def _loop(self) -> None:
        # SimPy's `step`, without the call for each event: a third of what an event costs.
        queue, pop = self._queue, heappop
        while queue:
            self._now, _, _, event = pop(queue)
            callbacks: Any = event.callbacks
            if callbacks.__class__ is tuple:
                callbacks[0](event)
            else:
                self._happen(event)
        raise EmptySchedule

    def step(self) -> None:
        """Let the next event happen."""
        if not self._queue:
            raise EmptySchedule
        self._now, _, _, event = heappop(self._queue)
        if isinstance(event, Recurring):
            event.ring(event)
        else:
            self._happen(event)

    def _happen(self, event: Event) -> None:
        callbacks = event.callbacks
        event.callbacks = None  # type: ignore[assignment]  # as SimPy marks an event that has happened
        try:
            for callback in callbacks:
                callback(event)
        except StopSimulation:
            rest = callbacks[callbacks.index(callback) + 1 :]
            if rest:  # they are called when the run goes on, before everything else of this instant
                event.callbacks = rest
                self.schedule(event, EventPriority(-1))
            raise
        if not event._ok and not hasattr(event, "_defused"):
            raise event._value

    def next_other(self, moves: Callable[[Event], bool]) -> float:
        """The time of the earliest pending event that `moves` says no to; infinite if there is none."""
        return min((time for time, _, _, event in self._queue if not moves(event)), default=inf)

    def leap(self, by: float, moves: Callable[[Event], bool]) -> None:
        """Let `by` seconds pass, in which nothing happens: the events that `moves` says yes to come so much later.

        All others stay, and none of them may lie within those seconds. Events at one time keep their order.
        """
        assert by >= 0, by
        assert self.next_other(moves) >= self._now + by, "an event that stays would be leapt over"
        # In place: the loop holds on to the list.
        self._queue[:] = [
            (time + by, priority, number, event) if moves(event) else (time, priority, number, event)
            for time, priority, number, event in self._queue
        ]
        heapify(self._queue)
        self._now += by
