"""An alarm: one call at one time, which can be cancelled. For what happens seldom; it allocates freely."""

from __future__ import annotations

from collections.abc import Callable

from simpy import Event

from hasim.engines.des.world.leap import LeapingEnvironment


class Alarm(Event):
    """Call something at a time, in seconds, unless cancelled before."""

    _ok = True
    _value = None

    def __init__(self, env: LeapingEnvironment, at: float, call: Callable[[], None]) -> None:
        self.env = env
        self._call: Callable[[], None] | None = call
        self.callbacks = [self._ring]
        env.schedule_at(self, at)

    def cancel(self) -> None:
        """Do not call; SimPy cannot take an event back, so it passes and does nothing."""
        self._call = None

    @property
    def pending(self) -> bool:
        """Whether the call is still to come."""
        return self._call is not None

    def _ring(self, _: Event) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class Beat(Alarm):
    """An alarm of a rhythm, which a leap over calm moves on with everything else that only goes round."""
