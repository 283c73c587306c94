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
    the next. A batch that is not available `deadline` seconds after its begin is only told of.

    While somebody has paused the rollout no batch follows and the deadline does not count; it begins anew when he goes
    on. A rollback ends a pause and goes back over what was replaced, the last first, in the same steps; servers that
    are not ready need no notice.
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
        self._warned: list[str] = []  # those whose checks fail, until they begin again
        self._pausing = False  # between two batches
        self._paused = False  # by somebody
        self._over = False

    def begun(self, now: float) -> list[Effect]:
        self._todo = list(self.initial)
        return self._next()

    def _next(self) -> list[Effect]:
        """On to the next batch, or to the end."""
        self._pausing = False
        if not self._todo:
            self._over = True
            return self.over()
        if self._paused:
            return []
        self._now, self._todo = self._todo[: self.batch], self._todo[self.batch :]
        return [*self._count_down(), *self._take_out(self._now)]

    def _take_out(self, names: Sequence[str]) -> list[Effect]:
        if not (self.notice and names):
            return self.leave(names)
        self._warned += names
        return [*self.warn(names, True), SetTimer("notice", self.notice, self.notice)]

    def _count_down(self) -> list[Effect]:
        return [] if self.deadline is None else [SetTimer("deadline", self.deadline, self.deadline)]

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        if pod not in self._now:
            return []
        return self._begin_again(pod) if isinstance(message, Left) else self._go_on(now)

    def _begin_again(self, name: str) -> list[Effect]:
        """What was done to the checks of a server outlasts its process, and ends only now."""
        effects = self.begin_as(name, self.target)
        if name in self._warned:
            self._warned.remove(name)
            effects += self.warn([name], False)
        return effects

    def _go_on(self, now: float) -> list[Effect]:
        """On to the next batch, once all of this one are there with the version that they should have."""
        there = all(name in self.pods and self.pods[name].version == self.target for name in self._now)
        if not self._now or not there:
            return []
        return self.once_available(self._now, now, self._batch_done)

    def _batch_done(self) -> list[Effect]:
        self._now = []
        done: list[Effect] = [CancelTimer("deadline")]
        if self._todo and self.pause:
            self._pausing = True
            return [*done, SetTimer("pause", self.pause, self.pause)]
        return [*done, *self._next()]

    def fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "notice":
            return self.leave(self._warned)
        if timer == "pause":
            return self._next()
        if timer == "available":
            return self._go_on(now)
        return [Announce("progress deadline exceeded", {"waits for": ", ".join(self._now)})]

    def rolled_back(self, now: float) -> list[Effect]:
        timers = ("notice", "pause", "available", "deadline")
        effects: list[Effect] = [CancelTimer(timer) for timer in timers]
        self._pausing = self._paused = self._over = False
        serving = [name for name in self._warned if not self.pods[name].leaving]  # still of the old version
        effects += self.warn(serving, False)
        self._warned = [name for name in self._warned if name not in serving]
        self._now = [name for name in self._now if name not in serving]
        replaced = [name for name in self.initial if name in self.pods and self.pods[name].version == self.new]
        self._todo = [name for name in reversed(replaced) if name not in self._now]
        if not self._now:
            return [*effects, *self._next()]
        back = [name for name in self._now if name in replaced]
        ready = [name for name in back if self.pods[name].ready_at is not None]
        effects += self._count_down()
        return [*effects, *self.leave(name for name in back if name not in ready), *self._take_out(ready)]

    def commanded(self, command: Any, now: float) -> list[Effect]:
        if isinstance(command, Pause):
            self._paused = True
            return [CancelTimer("deadline")] if self._now else []
        if isinstance(command, Resume) and self._paused:
            self._paused = False
            if self._now:
                return self._count_down()
            return [] if self._pausing or self._over else self._next()
        return super().commanded(command, now)
