"""A maintenance window: requests are answered with a notice while everything is stopped and started anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hasim.machine import Announce, CancelTimer, Effect, Send, SetTimer
from hasim.protocols.rollout.messages import TRAFFIC, Left, Notice
from hasim.protocols.rollout.rollout import Rollout


class WindowRollout(Rollout):
    """Puts a notice up, stops all servers, works for `work` seconds, starts them, and takes the notice down.

    The window has been announced to last `lasting` seconds: it is not over before, and goes on for as long as the
    servers are not ready. A rollback is another window of its own, or, while one is open, prolongs it by as much.
    Servers keep their names.
    """

    def __init__(
        self, old: str, new: str, servers: Sequence[str], lasting: float, work: float = 0.0, min_ready: float = 0.0
    ) -> None:
        """All serve."""
        super().__init__(old, new, servers, min_ready)
        self.lasting, self.work = lasting, work
        self._open = False
        self._planned = False  # the announced time is not over yet
        self._working = False

    def begun(self, now: float) -> list[Effect]:
        return self._open_window()

    def _open_window(self) -> list[Effect]:
        if not self.initial:
            return self.over()
        notice: list[Effect] = [] if self._open else [Send(TRAFFIC, Notice(True)), Announce("window open")]
        self._open, self._planned, self._working = True, True, False
        effects = [*notice, SetTimer("lasting", self.lasting, self.lasting), *self.leave(list(self.pods))]
        return [*effects, *([] if self.pods else self._work())]

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if isinstance(message, Left):
            return self._work() if self._open and not self.pods and not self._working else []
        return self._close_if_ready(now) if self._open else []

    def _work(self) -> list[Effect]:
        self._working = True
        return [Announce("work begun"), *self._worked()]

    def _worked(self) -> list[Effect]:
        return [SetTimer("work", self.work, self.work)] if self.work else self._start()

    def _start(self) -> list[Effect]:
        return [effect for name in self.initial for effect in self.begin_as(name, self.target)]

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "work":
            return self._start()
        if timer == "lasting":
            self._planned = False
            closing = self._close_if_ready(now)
            return closing if closing and self.all_there(now) else [Announce("window overrun"), *closing]
        return self._close_if_ready(now) if self._open else []

    def all_there(self, now: float) -> bool:
        """Whether all servers are available."""
        return all(self.available(name, now) for name in self.initial)

    def _close_if_ready(self, now: float) -> list[Effect]:
        return [] if self._planned else self.once_available(self.initial, now, self._close)

    def _close(self) -> list[Effect]:
        self._open = False
        return [Send(TRAFFIC, Notice(False)), Announce("window closed"), *self.over()]

    def rolled_back(self, now: float) -> list[Effect]:
        timers = ("work", "lasting", "available")
        return [*(CancelTimer(timer) for timer in timers), *self._open_window()]
