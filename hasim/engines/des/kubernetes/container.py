"""A pod where it runs: it starts, serves, crashes and is started again, and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.health import AnyRestart
from hasim.protocols.reconcile.objects import Pod

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.kubelet import Kubelet

State = Literal["starting", "running", "unready", "waiting", "stopping", "over"]


@dataclass(frozen=True)
class Laws:
    """Durations of a workload's pods, drawn one after another, and who starts its containers again.

    Containers that are `never_ready` run and crash like others, and their readiness probes always fail.
    """

    start: Iterator[float]
    stop: Iterator[float]
    crash: Iterator[float] | None
    restart: AnyRestart
    never_ready: bool = False


class Container:
    """What is left of a pod when all the API knows of it is taken away; `serving` is whether it answers anybody.

    Starting again, readiness and the news of it are the kubelet's doing: while there is none, a container that crashes
    stays down, and one that runs, runs on. While its node is frozen no time passes for it.
    """

    def __init__(self, kubelet: Kubelet, pod: Pod, laws: Laws, since: float | None = None) -> None:
        """Start it; with `since`, in seconds, it has been running from then on when the history begins."""
        self.pod = pod
        self.state: State = "starting"
        self.restarts = pod.restarts
        self.ready_at = None if since is None else since
        self.has_run = since is not None
        self._kubelet = kubelet
        self._began = kubelet.env._now
        self._laws = laws
        self._supervisor = laws.restart.counting()
        self._next: Callable[[], None] | None = None  # what comes next by itself
        self._alarm: Alarm | None = None
        self._alarm_at = inf
        self._left: float | None = None  # how long until then, while the node is frozen
        if since is None:
            self._after(next(laws.start), self._ready)
        else:
            self._run()

    @property
    def serving(self) -> bool:
        """Whether it answers: it runs, on a node that stands and is not frozen."""
        return self.state in ("running", "stopping") and not self._laws.never_ready and self._kubelet.awake

    # Its life.

    def _ready(self) -> None:
        self.has_run = True
        if not self._laws.never_ready:
            self.ready_at = self._kubelet.now
        self._run()
        self._kubelet.report(self)

    def _run(self) -> None:
        self._turn("unready" if self._laws.never_ready else "running")
        life = next(self._laws.crash) if self._laws.crash is not None else inf
        self._after(life, self._crash)

    def _crash(self) -> None:
        kubelet, now = self._kubelet, self._kubelet.env._now
        self.ready_at = None
        self._turn("waiting")
        kubelet.world.note("container crashed", self.pod.name, {"node": kubelet.name})
        kubelet.report(self)
        self._after(self._supervisor.delay(self._began, now), self._start_again)

    def _start_again(self) -> None:
        self.restarts += 1
        self._began = self._kubelet.env._now
        self._turn("starting")
        self._after(next(self._laws.start), self._ready)

    # What others do to it.

    def stop(self) -> None:
        """Ask it to stop; it is killed at the end of its grace."""
        if self.state == "stopping":
            return
        takes = min(next(self._laws.stop), self.pod.template.grace) if self.state in ("running", "unready") else 0.0
        self._turn("stopping")
        self._after(takes, self._end)

    def _end(self) -> None:
        self._turn("over")
        self._kubelet.ended(self)

    def die(self) -> None:
        """Its node has lost it, or kills it."""
        self._turn("over")
        self._after(inf, self._end)

    def freeze(self) -> None:
        """Let no time pass for it."""
        if self._alarm is not None:
            self._left = max(self._alarm_at - self._kubelet.env._now, 0.0)
            self._alarm.cancel()
            self._alarm = None

    def go_on(self) -> None:
        """There is a kubelet again, or the node thaws."""
        left, self._left = self._left, None
        if left is not None and self._next is not None:
            self._after(left, self._next)

    # Time.

    def _turn(self, state: State) -> None:
        self.state = state
        self._kubelet.world.turned(self.pod.template.app)

    def _after(self, delay: float, call: Callable[[], None]) -> None:
        """Do this next, after so many seconds; inf: never."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._next, self._left = None, None, None
        if delay < inf:
            self._next = call
            self._alarm_at = self._kubelet.env._now + delay
            self._alarm = Alarm(self._kubelet.env, self._alarm_at, self._due)

    def _due(self) -> None:
        call, self._alarm = self._next, None
        assert call is not None
        if self.state in ("starting", "waiting") and not self._kubelet.up:
            self._left = 0.0  # nobody starts it, or sees that it has started: as soon as there is a kubelet again
            return
        self._next = None
        call()
