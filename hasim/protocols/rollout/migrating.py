"""A step that changes stored data alone, while the pods stay as they are."""

from __future__ import annotations

from typing import Any, Final

from hasim.machine import Effect, Event, Received
from hasim.protocols.rollout.messages import Ready
from hasim.protocols.rollout.rollout import OneWayRollout

STORE: Final = "store"
"""Who says that all that was to be done to the data is done; no pod is called so."""


class MigrateRollout(OneWayRollout):
    """Waits for the store to say that it is Ready. What was converted or removed is not brought back by a rollback."""

    def step(self, event: Event, now: float) -> list[Effect]:
        if isinstance(event, Received) and event.sender == STORE:
            return self.over() if isinstance(event.message, Ready) else []
        return super().step(event, now)

    def begun(self, now: float) -> list[Effect]:
        return []

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        return []
