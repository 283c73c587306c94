"""Drives a small pure machine, like a health check: its timers, its messages, its announcements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hasim.engines.des.world.alarm import Alarm
from hasim.machine import Announce, CancelTimer, Effect, Event, Exit, Fired, Machine, Send, SetTimer

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment


class Ticking:
    """A machine with timers that talks to one other: `send` takes its messages, `announce` what it has to say."""

    def __init__(
        self,
        env: LeapingEnvironment,
        machine: Machine,
        chance: Callable[[], float],
        send: Callable[[Any], None],
        announce: Callable[[Announce], None],
    ) -> None:
        self._env = env
        self._machine = machine
        self._chance = chance
        self._send = send
        self._announce = announce
        self._alarms: dict[str, Alarm] = {}

    def hear(self, event: Event) -> None:
        """Let the machine take an event, and do what it asks for."""
        self._perform(self._machine.step(event, self._env._now))

    def _perform(self, effects: Iterable[Effect]) -> None:
        # What is sent may be answered at once, so it leaves when all timers of this step are set.
        messages = []
        for effect in effects:
            if isinstance(effect, SetTimer):
                self._cancel(effect.timer)
                at = self._env._now + effect.low + (effect.high - effect.low) * self._chance()
                self._alarms[effect.timer] = Alarm(self._env, at, self._rings(effect.timer))
            elif isinstance(effect, CancelTimer):
                self._cancel(effect.timer)
            elif isinstance(effect, Send):
                messages.append(effect.message)
            elif isinstance(effect, Announce):
                self._announce(effect)
            else:
                assert isinstance(effect, Exit), f"{effect} is none of the effects of a small machine"
        for message in messages:
            self._send(message)

    def _rings(self, timer: str) -> Callable[[], None]:
        return lambda: self.hear(Fired(timer))

    def _cancel(self, timer: str) -> None:
        alarm = self._alarms.pop(timer, None)
        if alarm is not None:
            alarm.cancel()

    def end(self) -> None:
        """Let no timer ring any more."""
        for timer in list(self._alarms):
            self._cancel(timer)
