"""In place: servers are stopped and started again with the new version where they stand, some at a time.

What a play of Ansible with `serial`, a StatefulSet of processes, or somebody with a list of hosts does; with all of
them at a time it is the upgrade "all at once". A step goes on when all of its servers are ready again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hasim.machine import Announce, CancelTimer, Effect, SetTimer
from hasim.protocols.rollout.messages import Left, Pause, Resume
from hasim.protocols.rollout.rollout import Rollout


class InPlaceRollout(Rollout):
    """Replaces `batch` servers at a time, in their order; each keeps its name.

    First their checks fail for `notice` seconds while they serve, then they are asked to leave, and begin again as
    soon as they are gone. When all of the batch have been ready for `min_ready`, and `pause` seconds have passed, comes
    the next. A batch that is not available `deadline` seconds after its begin is only told of. A rollback goes back
    over what was replaced, the last first, in the same steps.
    """

    def __init__(
        self,
        old: str,
        new: str,
        servers: Sequence[str],
        batch: int = 1,
        notice: float = 0.0,
        pause: float = 0.0,
        min_ready: float = 0.0,
        deadline: float | None = None,
    ) -> None:
        """Nothing has begun."""
        super().__init__(old, new, servers, min_ready)
        assert batch >= 1, f"a batch has at least one server, got {batch}"
        self.batch, self.notice, self.pause, self.deadline = batch, notice, pause, deadline
        self._todo: list[str] = []
        self._now: list[str] = []  # the batch that is being replaced
        self._warned = False
        self._paused = False

    def begun(self, now: float) -> list[Effect]:
        self._todo = list(self.initial)
        return self._next()

    def _next(self) -> list[Effect]:
        if self._paused:
            return []
        self._now, self._todo = self._todo[: self.batch], self._todo[self.batch :]
        if not self._now:
            return self.over()
        late: list[Effect] = [] if self.deadline is None else [SetTimer("deadline", self.deadline, self.deadline)]
        if not self.notice:
            return [*late, *self.leave(self._now)]
        self._warned = True
        return [*late, *self.warn(self._now, True), SetTimer("notice", self.notice, self.notice)]

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if pod not in self._now or self._warned:
            return []
        if isinstance(message, Left):
            return self.begin_as(pod, self.target)
        return self._go_on(now)

    def _go_on(self, now: float) -> list[Effect]:
        """On to the next batch, once all of this one are there with the version that they should have."""
        if any(name not in self.pods or self.pods[name].version != self.target for name in self._now):
            return []
        return self.once_available(self._now, now, self._batch_done)

    def _batch_done(self) -> list[Effect]:
        self._now = []
        done: list[Effect] = [CancelTimer("deadline")]
        if self._todo and self.pause:
            return [*done, SetTimer("pause", self.pause, self.pause)]
        return [*done, *self._next()]

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "notice":
            return self._stop()
        if timer == "pause":
            return self._next() if not self._now else []
        if timer == "available":
            return self._go_on(now)
        return [Announce("progress deadline exceeded", {"waits for": ", ".join(self._now)})]

    def _stop(self) -> list[Effect]:
        self._warned = False
        return [*self.leave(self._now), *self.warn(self._now, False)]

    def rolled_back(self, now: float) -> list[Effect]:
        effects: list[Effect] = [CancelTimer("notice"), CancelTimer("pause"), CancelTimer("available")]
        if self._warned:  # still serving the old version
            self._warned = False
            effects += self.warn(self._now, False)
            self._now = []
        done = [name for name in self.initial if name in self.pods and self.pods[name].version == self.new]
        self._todo = [name for name in reversed(done) if name not in self._now]
        effects += self.leave(name for name in self._now if name in done)
        self._paused = False
        return [*effects, *([] if self._now else self._next())]

    def commanded(self, command: Any, now: float) -> list[Effect]:
        if isinstance(command, Pause):
            self._paused = True
        elif isinstance(command, Resume) and self._paused:
            self._paused = False
            return self._next() if not self._now else []
        return super().commanded(command, now)
