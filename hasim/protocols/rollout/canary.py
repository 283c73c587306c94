"""Canary: a few pods of the new version first, watched for a while, then more, then all.

Canaries come on top of the pods that are there. Either they get a share of the requests that is set (`weighted`), or
what falls to them as some pods among others. Whoever watches them rolls back in time, or the rollout goes on when their
bake time is over; at last the others are replaced by a rolling update, and the canaries go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Proposed, Received, Send, SetTimer, Started
from hasim.protocols.rollout.deployment import DeploymentRollout
from hasim.protocols.rollout.messages import TRAFFIC, Left, Pause, Resume, RollBack, Scale, Shift
from hasim.protocols.rollout.rollout import Rollout

CANARY: Final = "canary/"
"""How the names of canaries begin."""


def canaries(share: float, replicas: int) -> int:
    """How many pods a share of the replicas is: rounded up, and one at least."""
    return max(math.ceil(share * replicas - 1e-9), 1)


class CanaryRollout(Rollout):
    """Goes through `steps` of (share, bake time in seconds), then updates all pods a few at a time.

    Bake time begins when all canaries of a step are available. `surge`, `unavailable`, `min_ready` and `deadline` are
    those of the rolling update at the end, which looks after all pods that are no canaries. While somebody has paused
    the rollout no step follows, and the deadline does not count; a rollback ends a pause.
    """

    def __init__(
        self,
        old: str,
        new: str,
        initial: Sequence[str],
        steps: Sequence[tuple[float, float]],
        weighted: bool = True,
        surge: str | int = "25%",
        unavailable: str | int = "25%",
        min_ready: float = 0.0,
        deadline: float = 600.0,
    ) -> None:
        """No canary is there yet."""
        super().__init__(old, new, initial, min_ready)
        self.pods = {}  # canaries; the update at the end has the others
        self.steps, self.weighted, self.deadline = tuple(steps), weighted, deadline
        self._step = -1
        self._awaited: list[str] = []
        self._paused = self._baked = False
        self._update = DeploymentRollout(old, new, initial, surge, unavailable, min_ready, deadline)
        self._updating = False  # whether it has begun
        self._at_rest = True  # whether it has nothing to do

    def step(self, event: Event, now: float) -> list[Effect]:
        if isinstance(event, Received) and not event.sender.startswith(CANARY):
            return self._led(event, now)
        return super().step(event, now)

    def begun(self, now: float) -> list[Effect]:
        return self._next(now) if self.initial else self._promote(now)

    def _next(self, now: float) -> list[Effect]:
        """On to the next share, or to all."""
        self._baked = self._paused
        if self._paused:
            return []
        self._step += 1
        if self._step == len(self.steps):
            return self._promote(now)
        share, _ = self.steps[self._step]
        effects: list[Effect] = []
        for _ in range(len(self.staying(self.new)), canaries(share, len(self.initial))):
            number = self._numbers[self.new] = self._numbers.get(self.new, 0) + 1
            effects += self.begin_as(f"{CANARY}{number}", self.new)
        self._awaited = self.staying(self.new)
        return [*effects, self._count_down(), *self.once_available(self._awaited, now, self._bake)]

    def _count_down(self) -> Effect:
        return SetTimer("canaries late", self.deadline, self.deadline)

    def _bake(self) -> list[Effect]:
        self._awaited = []
        share, bake = self.steps[self._step]
        effects: list[Effect] = [CancelTimer("canaries late")]
        if self.weighted:
            effects.append(Send(TRAFFIC, Shift(((self.old, 1 - share), (self.new, share)))))
        return [*effects, Announce("bake begun", {"share": share}), SetTimer("bake", bake, bake)]

    def _promote(self, now: float) -> list[Effect]:
        self._updating, self._at_rest = True, False
        shift: list[Effect] = [Send(TRAFFIC, Shift(None))] if self.weighted else []
        return [*shift, Announce("promotion begun"), *self._led(Started(), now)]

    def _led(self, event: Event, now: float) -> list[Effect]:
        """Let the update hear of it; when it is through, the canaries go."""
        effects: list[Effect] = []
        for effect in self._update.step(event, now):
            if not isinstance(effect, Announce) or effect.kind == "progress deadline exceeded":
                effects.append(effect)
            elif effect.kind in ("rolled out", "rolled back"):
                self._at_rest = True
                effects += self.leave(list(self.pods))
                effects += self._ended()
        return effects

    def _ended(self) -> list[Effect]:
        """Say so if nothing is left to do."""
        if self.pods or not self._at_rest or (self.target == self.new and not self._updating):
            return []
        shift: list[Effect] = [Send(TRAFFIC, Shift(None))] if self.weighted and not self._updating else []
        return [*shift, *self.over()]

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if isinstance(message, Left):
            return self._ended()
        return self.once_available(self._awaited, now, self._bake) if pod in self._awaited else []

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "bake":
            return self._next(now)
        if timer == "available":
            return self.once_available(self._awaited, now, self._bake) if self._awaited else []
        if timer == "canaries late":
            return [Announce("progress deadline exceeded", {"waits for": f"{len(self._awaited)} canaries"})]
        return self._led(Fired(timer), now)

    def rolled_back(self, now: float) -> list[Effect]:
        effects: list[Effect] = [CancelTimer(timer) for timer in ("bake", "available", "canaries late")]
        self._awaited, self._paused = [], False
        effects += self.leave(list(self.pods))
        if self._updating:
            self._at_rest = False
            return [*effects, *self._led(Proposed(RollBack()), now)]
        if self.weighted:
            effects.insert(0, Send(TRAFFIC, Shift(((self.old, 1.0),))))
        return [*effects, *self._ended()]

    def commanded(self, command: Any, now: float) -> list[Effect]:
        if isinstance(command, Pause):
            self._paused = True
        elif isinstance(command, Resume):
            self._paused = False
        if isinstance(command, Pause | Resume | Scale):
            effects = self._led(Proposed(command), now)
            if self._awaited and not isinstance(command, Scale):
                effects.append(CancelTimer("canaries late") if self._paused else self._count_down())
            go_on = isinstance(command, Resume) and self._baked and self.target == self.new
            return [*effects, *(self._next(now) if go_on else [])]
        return super().commanded(command, now)
