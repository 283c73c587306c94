"""What all rollouts have in common: pods by name, and one way to hear of them.

Rules
  A rollout replaces the pods of one version by those of another. It asks for pods to begin and to leave, hears when
  they are ready, unready and gone, and may ask for requests to be sent elsewhere. How long anything takes, and whether
  requests are lost meanwhile, is the business of whoever drives it.

  A pod that was asked to leave still has its name until it is gone; what is heard of a name that no pod has is late
  news, and nobody's. A pod that crashes is Unready, and comes back under its name: whoever runs it starts it again. A
  pod is available once it has been ready for `min_ready` seconds. Nothing is rolled back by itself: that is a command.

  Facts: rollout begun, rolled out, rollback begun, rolled back, progress deadline exceeded, and what a strategy adds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Proposed, Received, Send, SetTimer, Started
from hasim.protocols.rollout.messages import Begin, Leave, Left, Ready, RollBack, Unready, Warn

TICK_S: Final = 1e-6
"""Timers for an instant that is computed are set so much later, that rounding may not put them before it."""


@dataclass(slots=True)
class Pod:
    """A pod as its rollout knows it: its version, since when it is ready (None: it is not), whether it leaves."""

    version: str
    ready_at: float | None = None
    leaving: bool = False


class Rollout(ABC):
    """A rollout of version `new` over pods of version `old`; strategies say what is done in which order.

    `initial` are the names of the pods that are there at first, all of them ready and of the old version.
    """

    def __init__(self, old: str, new: str, initial: Sequence[str], min_ready: float = 0.0) -> None:
        """All pods have run for long."""
        self.old, self.new = old, new
        self.initial = tuple(initial)
        self.min_ready = min_ready
        self.target = old
        self.pods: dict[str, Pod] = {name: Pod(old, -float("inf")) for name in initial}
        self._numbers: dict[str, int] = {}

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event at `now`, in seconds, and ask for what follows."""
        if isinstance(event, Started):
            self.target = self.new
            return [Announce("rollout begun", self._said()), *self.begun(now)]
        if isinstance(event, Received):
            return self._hear(event.sender, event.message, now)
        if isinstance(event, Fired):
            return self.fired(event.timer, now)
        if isinstance(event, Proposed):
            return self.commanded(event.command, now)
        return []

    # What a strategy says.

    @abstractmethod
    def begun(self, now: float) -> list[Effect]:
        """The rollout begins."""

    @abstractmethod
    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        """A pod is Ready, Unready or Left; the pods know it already."""

    @abstractmethod
    def fired(self, timer: str, now: float) -> list[Effect]:
        """A timer of the strategy has run out."""

    @abstractmethod
    def rolled_back(self, now: float) -> list[Effect]:
        """Bring back the old version; the target is that already."""

    def commanded(self, command: Any, now: float) -> list[Effect]:
        """Somebody wants something; strategies that know more commands add to this."""
        if isinstance(command, RollBack) and self.target == self.new:
            self.target = self.old
            return [Announce("rollback begun", self._said()), *self.rolled_back(now)]
        return []

    # What strategies need.

    def begin(self, count: int, version: str) -> list[Effect]:
        """Start so many more pods of a version, under names that are new."""
        effects: list[Effect] = []
        for _ in range(count):
            effects += self.begin_as(self._new_name(version), version)
        return effects

    def _new_name(self, version: str) -> str:
        while True:
            number = self._numbers[version] = self._numbers.get(version, 0) + 1
            name = f"{version}/{number}"
            if name not in self.pods:  # one that an earlier rollout began may still have it
                return name

    def begin_as(self, name: str, version: str) -> list[Effect]:
        """Start a pod under this name."""
        self.pods[name] = Pod(version)
        return [Send(name, Begin(version))]

    def leave(self, names: Iterable[str]) -> list[Effect]:
        """Ask these pods to leave, but those that were asked before."""
        effects: list[Effect] = []
        for name in names:
            pod = self.pods[name]
            if not pod.leaving:
                pod.leaving = True
                effects.append(Send(name, Leave()))
        return effects

    def warn(self, names: Iterable[str], on: bool) -> list[Effect]:
        """Let checks of these pods fail, or no longer."""
        return [Send(name, Warn(on)) for name in names]

    def staying(self, version: str) -> list[str]:
        """The pods of a version that were not asked to leave, in order of their beginning."""
        return [name for name, pod in self.pods.items() if pod.version == version and not pod.leaving]

    def available(self, name: str, now: float) -> bool:
        """Whether a pod has been ready for long enough."""
        pod = self.pods.get(name)
        return pod is not None and not pod.leaving and pod.ready_at is not None and now >= pod.ready_at + self.min_ready

    def once_available(self, names: Sequence[str], now: float, then: Callable[[], list[Effect]]) -> list[Effect]:
        """Go on if all of these are available; if they only have to stay ready for that, look again then."""
        if all(self.available(name, now) for name in names):
            return [CancelTimer("available"), *then()]
        since = [pod.ready_at for pod in map(self.pods.get, names) if pod is not None and not pod.leaving]
        if len(since) < len(names) or None in since:
            return []
        wait = max(at for at in since if at is not None) + self.min_ready - now + TICK_S
        return [SetTimer("available", wait, wait)]

    def _hear(self, name: str, message: Any, now: float) -> list[Effect]:
        pod = self.pods.get(name)
        if pod is None:
            return []
        if isinstance(message, Left) and not pod.leaving:  # it ended by itself, and is started again
            message = Unready()
        if isinstance(message, Ready):
            pod.ready_at = now if pod.ready_at is None else pod.ready_at
        elif isinstance(message, Unready):
            pod.ready_at = None
        elif isinstance(message, Left):
            del self.pods[name]
        return self.changed(name, message, now)

    def _said(self) -> dict[str, str]:
        return {"from": self.old if self.target == self.new else self.new, "to": self.target}

    def over(self) -> list[Effect]:
        """Say that all pods have the version that they should have."""
        return [Announce("rolled out" if self.target == self.new else "rolled back", self._said())]


class OneWayRollout(Rollout):
    """A step that nobody can take back, pause or hurry: it hears no commands and waits for no timer."""

    def fired(self, timer: str, now: float) -> list[Effect]:
        return []

    def rolled_back(self, now: float) -> list[Effect]:
        return []

    def commanded(self, command: Any, now: float) -> list[Effect]:
        return []
