"""The process that was measured: hasim's candidate and its duty, with two habits of the measured client."""

from __future__ import annotations

import math

from hasim.machine import CancelTimer, Effect, Event, Received, Send, SetTimer
from hasim.protocols.lease.messages import Acquire, Granted, Renew
from hasim.protocols.lease.office import WRITE, Office


class MeasuredClient:
    """An office as a pure machine that hears and asks for the same, but for two things.

    - It sends a renewal a whole period after it sent the last, where hasim's candidate waits a period from the answer.
    - A write that is under way when it stops leading is not called back: it works and renews side by side.

    `renewed_at` is when it sent the last request that gave it the lease or more time, in seconds.
    """

    def __init__(self, office: Office) -> None:
        """A process that has not been started."""
        self.office = office
        self.renewed_at = math.nan
        self._sent_at = math.nan

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received) and isinstance(event.message, Granted):
            self.renewed_at = self._sent_at
        effects = self.office.step(event, now)
        return [self._paced(effect, now) for effect in effects if effect != CancelTimer(WRITE)]

    def _paced(self, effect: Effect, now: float) -> Effect:
        if isinstance(effect, Send) and isinstance(effect.message, Acquire | Renew):
            self._sent_at = now
        if isinstance(effect, SetTimer) and effect.timer == "renew":
            left = max(0.0, effect.low - (now - self.renewed_at))
            return SetTimer("renew", left, left)
        return effect
