"""Blue-green: a second set of pods beside the first, and one switch of all requests.

Green pods begin beside the blue ones, get warm and are tested; then requests are switched, and blue is kept for a
while, so that a rollback is a switch back. While both are there, both are paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hasim.machine import Announce, CancelTimer, Effect, Send, SetTimer
from hasim.protocols.rollout.messages import TRAFFIC, Left, Shift
from hasim.protocols.rollout.rollout import Rollout


class BlueGreenRollout(Rollout):
    """Starts as many green pods as there are blue ones, switches, and lets blue go `keep` seconds later.

    Green must have been ready for `min_ready`, then warms up for `warm`, then is tested for `tests` seconds; without
    `waits` for readiness the switch follows at once. A rollback before the switch lets green go; after it, as long as
    blue is kept, it switches back at once; later it starts blue anew and switches when that is ready.
    """

    def __init__(
        self,
        old: str,
        new: str,
        blue: Sequence[str],
        warm: float = 0.0,
        tests: float = 0.0,
        keep: float = 0.0,
        min_ready: float = 0.0,
        waits: bool = True,
        deadline: float | None = None,
    ) -> None:
        """Blue serves."""
        super().__init__(old, new, blue, min_ready)
        self.warm, self.tests, self.keep, self.waits, self.deadline = warm, tests, keep, waits, deadline
        self._live = old  # where requests go
        self._awaited: list[str] = []

    def begun(self, now: float) -> list[Effect]:
        self._live = self.old
        effects = [Send(TRAFFIC, Shift(((self.old, 1.0),))), *self._await(len(self.staying(self.old)), self.new)]
        return effects if self.waits else [*effects, *self._warm()]

    def _await(self, count: int, version: str) -> list[Effect]:
        effects = self.begin(count, version)
        self._awaited = self.staying(version)
        late: list[Effect] = [] if self.deadline is None else [SetTimer("deadline", self.deadline, self.deadline)]
        return [*effects, *late, *([] if self._awaited else self._ready())]

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if isinstance(message, Left):
            leaving = any(pod.leaving for pod in self.pods.values())
            return self.over() if self._live == self.target and not leaving and not self._awaited else []
        if pod not in self._awaited:
            return []
        return self.once_available(self._awaited, now, self._ready)

    def _ready(self) -> list[Effect]:
        self._awaited = []
        done: list[Effect] = [CancelTimer("deadline")]
        if self.target == self.old:  # blue is back
            return [*done, *self._switch()]
        return [*done, Announce("green ready"), *self._warm()] if self.waits else done

    def _warm(self) -> list[Effect]:
        return [SetTimer("warm", self.warm, self.warm)] if self.warm else self._test()

    def _test(self) -> list[Effect]:
        if not self.tests:
            return [Announce("tested"), *self._switch()]
        return [Announce("tests begun"), SetTimer("tests", self.tests, self.tests)]

    def _switch(self) -> list[Effect]:
        """All requests go to the version that is wanted."""
        self._live = self.target
        effects: list[Effect] = [Send(TRAFFIC, Shift(((self.target, 1.0),))), Announce("switched", {"to": self.target})]
        if self.target == self.old:
            return [*effects, *self._let_go(self.new)]
        return [*effects, SetTimer("keep", self.keep, self.keep)] if self.keep else [*effects, *self._let_go(self.old)]

    def _let_go(self, version: str) -> list[Effect]:
        effects = self.leave(self.staying(version))
        return effects if effects else self.over()

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "warm":
            return self._test()
        if timer == "tests":
            return [Announce("tested"), *self._switch()] if self.target == self.new else []
        if timer == "keep":
            return self._let_go(self.old)
        if timer == "available":
            return self.once_available(self._awaited, now, self._ready)
        return [Announce("progress deadline exceeded", {"waits for": f"{len(self._awaited)} pods"})]

    def rolled_back(self, now: float) -> list[Effect]:
        timers = ("warm", "tests", "keep", "available", "deadline")
        effects: list[Effect] = [CancelTimer(timer) for timer in timers]
        self._awaited = []
        if self._live == self.old:  # nobody has seen green
            return [*effects, *self._let_go(self.new)]
        missing = len(self.initial) - len(self.staying(self.old))
        return [*effects, *(self._await(missing, self.old) if missing > 0 else self._switch())]
