"""Blue-green: a second set of pods beside the first, and one switch of all requests.

Green pods begin beside the blue ones, get warm and are tested; then requests are switched, and blue is kept for a
while, so that a rollback is a switch back. While both are there, both are paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from hasim.machine import Announce, CancelTimer, Effect, Send, SetTimer
from hasim.protocols.rollout.messages import TRAFFIC, Left, Shift
from hasim.protocols.rollout.rollout import Rollout

TIMERS: Final = ("warm", "tests", "keep", "available", "deadline")


class BlueGreenRollout(Rollout):
    """Starts as many green pods as there are blue ones, switches, and lets blue go `keep` seconds later.

    Green must have been ready for `min_ready`, then warms up for `warm`, then is tested for `tests` seconds; without
    `waits` for readiness the switch follows at once. Should a green pod not be available when the tests are over, the
    switch waits until all are again (as in Argo Rollouts, rollout/service.go, which switches to none but a saturated
    set). Waiting for longer than `deadline` seconds is told.

    A rollback before the switch lets green go; after it, as long as blue is kept, it switches back at once; later it
    starts blue anew and switches when that is ready. With no pods at all there is nothing to wait for.
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
        self._awaited: list[str] = []  # pods that are to be available
        self._next: Literal["warm", "switch", "end"] = "end"  # what follows then

    def begun(self, now: float) -> list[Effect]:
        self._live = self.old
        if not self.initial:
            return self.over()
        effects = [Send(TRAFFIC, Shift(((self.old, 1.0),))), *self.begin(len(self.initial), self.new)]
        if self.waits:
            return [*effects, *self._await(self.new, "warm", now)]
        return [*effects, *self._await(self.new, "end", now), *self._warm(now)]

    def _await(self, version: str, then: Literal["warm", "switch", "end"], now: float) -> list[Effect]:
        """Go on when all pods of a version are available, which may be so already."""
        self._awaited, self._next = self.staying(version), then
        late: list[Effect] = [] if self.deadline is None else [SetTimer("deadline", self.deadline, self.deadline)]
        return [*late, *self._look(now)]

    def _look(self, now: float) -> list[Effect]:
        if not self._awaited:
            return []
        return self.once_available(self._awaited, now, lambda: self._all_available(now))

    def _all_available(self, now: float) -> list[Effect]:
        self._awaited = []
        done: list[Effect] = [CancelTimer("deadline")]
        if self._next == "warm":
            return [*done, Announce("green ready"), *self._warm(now)]
        return [*done, *(self._switch() if self._next == "switch" else self._end())]

    def _warm(self, now: float) -> list[Effect]:
        return [SetTimer("warm", self.warm, self.warm)] if self.warm else self._test(now)

    def _test(self, now: float) -> list[Effect]:
        if not self.tests:
            return self._tested(now)
        return [Announce("tests begun"), SetTimer("tests", self.tests, self.tests)]

    def _tested(self, now: float) -> list[Effect]:
        tested: list[Effect] = [Announce("tested")]
        ready = not self.waits or all(self.available(name, now) for name in self.staying(self.new))
        return [*tested, *(self._switch() if ready else self._await(self.new, "switch", now))]

    def _switch(self) -> list[Effect]:
        """All requests go to the version that is wanted."""
        self._live = self.target
        effects: list[Effect] = [Send(TRAFFIC, Shift(((self.target, 1.0),))), Announce("switched", {"to": self.target})]
        if self.target == self.new and self.keep:
            return [*effects, SetTimer("keep", self.keep, self.keep)]
        return [*effects, *self._let_go()]

    def _let_go(self) -> list[Effect]:
        """The other version is not needed any more."""
        return [*self.leave(self.staying(self._other)), *self._end()]

    @property
    def _other(self) -> str:
        return self.old if self.target == self.new else self.new

    def _end(self) -> list[Effect]:
        """Say so if all pods are there that should be, and no others."""
        others = any(pod.version == self._other or pod.leaving for pod in self.pods.values())
        return [] if self._live != self.target or self._awaited or others else self.over()

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if isinstance(message, Left):
            return self._end()
        return self._look(now) if pod in self._awaited else []

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "warm":
            return self._test(now)
        if timer == "tests":
            return self._tested(now)
        if timer == "keep":
            return self._let_go()
        if timer == "available":
            return self._look(now)
        return [Announce("progress deadline exceeded", {"waits for": f"{len(self._awaited)} pods"})]

    def rolled_back(self, now: float) -> list[Effect]:
        effects: list[Effect] = [CancelTimer(timer) for timer in TIMERS]
        self._awaited = []
        if self._live == self.old:  # nobody has seen green
            return [*effects, *self._let_go()]
        missing = len(self.initial) - len(self.staying(self.old))
        if missing <= 0:
            return [*effects, *self._switch()]
        return [*effects, *self.begin(missing, self.old), *self._await(self.old, "switch", now)]
