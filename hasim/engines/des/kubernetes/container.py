"""A pod where it runs: it starts, serves, crashes and is started again, and stops."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Literal

from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.reconcile.objects import Pod

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.kubelet import Kubelet, Laws

State = Literal["starting", "running", "waiting", "stopping", "over"]


class Container:
    """What is left of a pod when all the API knows of it is taken away; `serving` is whether it answers anybody.

    Starting again, readiness and the news of it are the kubelet's doing: while there is none, a container that crashes
    stays down, and one that runs, runs on.
    """

    def __init__(self, kubelet: Kubelet, pod: Pod, since: float | None = None) -> None:
        """Start it; with `since`, it has been running for long when the history begins."""
        self.kubelet = kubelet
        self.pod = pod
        self.state: State = "starting"
        self.restarts = pod.restarts
        self.began = kubelet.env._now
        self._laws: Laws = kubelet.laws[pod.template.app]
        self._supervisor = self._laws.restart.counting()
        self._alarm: Alarm | None = None
        if since is None:
            self._after(next(self._laws.start), self._ready)
        else:
            self._run()

    @property
    def serving(self) -> bool:
        """Whether it answers: it runs, on a node that stands and is not frozen."""
        return self.state in ("running", "stopping") and self.kubelet.powered and not self.kubelet.frozen

    def _ready(self) -> None:
        if not self.kubelet.up:
            self._after(1.0, self._ready)  # nobody starts it, or sees that it has started
            return
        self._run()
        self.kubelet.report(self.pod.name, ready_at=self.kubelet.env._now, phase="Running", restarts=self.restarts)

    def _run(self) -> None:
        self._turn("running")
        life = next(self._laws.crash) if self._laws.crash is not None else inf
        if life < inf:
            self._after(life, self._crash)

    def _crash(self) -> None:
        self._turn("waiting")
        kubelet = self.kubelet
        kubelet.world.note("container crashed", self.pod.name, {"node": kubelet.name})
        kubelet.report(self.pod.name, ready_at=None)
        self._after(self._supervisor.delay(self.began, kubelet.env._now), self._start_again)

    def _start_again(self) -> None:
        kubelet = self.kubelet
        if not kubelet.up:
            self._after(1.0, self._start_again)  # as soon as there is a kubelet again
            return
        self.restarts += 1
        self.began = kubelet.env._now
        self.state = "starting"
        self._after(next(self._laws.start), self._ready)

    def stop(self, gone: Callable[[], None]) -> None:
        """Ask it to stop; it is killed at the end of its grace."""
        if self.state in ("stopping", "over"):
            return
        takes = min(next(self._laws.stop), self.pod.template.grace) if self.state == "running" else 0.0
        self._turn("stopping" if self.state == "running" else "over")

        def end() -> None:
            self._turn("over")
            gone()

        self._after(takes, end)

    def die(self) -> None:
        """Its node has lost it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._turn("over")

    def _turn(self, state: State) -> None:
        self.state = state
        self.kubelet.world.turned(self.pod.template.app)

    def _after(self, delay: float, call: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if delay < inf:
            self._alarm = Alarm(self.kubelet.env, self.kubelet.env._now + delay, call)
