"""A part comes or goes: pods of a service that was not there before, or of one that is not needed any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hasim.machine import Announce, CancelTimer, Effect, SetTimer
from hasim.protocols.rollout.messages import Left
from hasim.protocols.rollout.rollout import OneWayRollout, Rollout


class DeployRollout(Rollout):
    """Starts so many pods; it is rolled out when all of them have been available at once. A rollback removes them."""

    def __init__(
        self, old: str, new: str, initial: Sequence[str], replicas: int, min_ready: float = 0.0, deadline: float = 600.0
    ) -> None:
        """Nothing is there, but for what may be there already."""
        super().__init__(old, new, initial, min_ready)
        self.replicas, self.deadline = replicas, deadline
        self._awaited: list[str] = []

    def begun(self, now: float) -> list[Effect]:
        effects = self.begin(self.replicas, self.new)
        self._awaited = self.staying(self.new)
        late = SetTimer("deadline", self.deadline, self.deadline)
        return [*effects, late] if self._awaited else self.over()

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if isinstance(message, Left):
            return self.over() if self.target == self.old and not self.staying(self.new) and not self._left() else []
        return self.once_available(self._awaited, now, self._there) if pod in self._awaited else []

    def _left(self) -> list[str]:
        return [name for name, pod in self.pods.items() if pod.version == self.new]

    def _there(self) -> list[Effect]:
        self._awaited = []
        return [CancelTimer("deadline"), *self.over()]

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "deadline":
            return [Announce("progress deadline exceeded", {"waits for": f"{len(self._awaited)} pods"})]
        return self.once_available(self._awaited, now, self._there) if self._awaited else []

    def rolled_back(self, now: float) -> list[Effect]:
        self._awaited = []
        leaving = self.leave(self.staying(self.new))
        return [CancelTimer("deadline"), CancelTimer("available"), *(leaving if self._left() else self.over())]


class RemoveRollout(OneWayRollout):
    """Asks all pods to leave; it is rolled out when none is left, and there is no way back."""

    def begun(self, now: float) -> list[Effect]:
        return self.leave(list(self.pods)) or self.over()

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        return self.over() if isinstance(message, Left) and not self.pods else []
