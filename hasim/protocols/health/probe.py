"""The kubelet's probes: the settings of one, and the machine that probes one container with up to three of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Proposed,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
)
from hasim.protocols.health.check import SHORTEST_S
from hasim.protocols.health.messages import ContainerDied, ContainerStarted, Ping, Pong
from hasim.units import Count, Seconds, duration_text

Kind = Literal["liveness", "readiness", "startup"]
KINDS: tuple[Kind, ...] = ("startup", "liveness", "readiness")


class Probe(Declared):
    """How often a container is probed, and how many results in a row it takes to believe them.

    Defaults are Kubernetes's (pkg/apis/core/v1/defaults.go). Probes begin on a ticker, whatever the last one took; one
    that outlasts its period is followed at once by the next.
    """

    period: Seconds = Field(default=10.0, description="From one probe's start to the next; Kubernetes: 10s.")
    timeout: Seconds = Field(default=1.0, gt=0, description="Longest wait for an answer; Kubernetes: 1s.")
    failures: Count = Field(default=3, ge=1, description="Failures in a row that count; Kubernetes: 3.")
    successes: Count = Field(
        default=1, ge=1, description="Successes in a row that count; Kubernetes: 1, and only readiness may have more."
    )
    initial_delay: Seconds = Field(default=0.0, ge=0, description="No probe before the container is that old.")

    @field_validator("period")
    @classmethod
    def _no_shorter_than_a_millisecond(cls, period: float) -> float:
        if period < SHORTEST_S:
            raise ValueError(f"got {duration_text(period)}; it is at least {duration_text(SHORTEST_S)}")
        return period


@dataclass(slots=True)
class _Worker:
    """One probe of the container, and how its results run."""

    kind: Kind
    probe: Probe
    passed: bool | None = None  # the result that is believed; None: not known yet
    last: bool | None = None
    run: int = 0  # results in a row like the last
    held: bool = False  # it has said that the container must go, and waits for a new one
    pending: int = 0  # the number of the probe under way, 0: none
    owed: bool = False  # a tick came while a probe was under way; the ticker keeps one

    def forget(self) -> None:
        """A new container: nothing is known of it."""
        self.passed, self.last, self.run = None, None, 0
        self.held, self.pending, self.owed = False, 0, False


class ProbeWorker:
    """The prober of one container, as a pure machine (Kubernetes pkg/kubelet/prober/worker.go).

    A liveness or startup probe that has failed for good announces "unhealthy" and is silent until a new container runs;
    the others wait until the startup probe has passed. A container is ready once its readiness probe has passed, or
    from its start where it has none; readiness is asked for at once then, and on its ticker afterwards.

    It hears Started (a container runs), Proposed(ContainerDied()), Proposed(ContainerStarted()), and
    Received(container, Pong). It sends Ping(n, about=kind), and announces, with the container, the probe and why:
    "probe failed" each time, "probe passed" when the last one did not, "startup passed", "unhealthy", "ready" and
    "unready".
    """

    __slots__ = ("container", "ready", "running", "sent", "since", "workers")

    def __init__(
        self,
        container: str,
        liveness: Probe | None = None,
        readiness: Probe | None = None,
        startup: Probe | None = None,
    ) -> None:
        """A prober that has not been started; only readiness may ask for several successes (ModelError)."""
        given: dict[Kind, Probe | None] = {"startup": startup, "liveness": liveness, "readiness": readiness}
        wrong = [
            at((kind, "successes"), f"got {probe.successes}; Kubernetes allows 1 for {kind}")
            for kind, probe in given.items()
            if probe is not None and kind != "readiness" and probe.successes != 1
        ]
        if wrong:
            raise ModelError.of(wrong)
        self.container = container
        self.workers = {kind: _Worker(kind, probe) for kind, probe in given.items() if probe is not None}
        self.running = False
        self.ready = False
        self.since = 0.0  # when the container started
        self.sent = 0

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; `now` in seconds tells the container's age."""
        if isinstance(event, Fired):
            kind, _, what = event.timer.partition(" ")
            worker = self._worker(kind)
            return self._tick(worker, now) if what == "tick" else self._ended(worker, False, "timeout", now)
        if isinstance(event, Received):
            message = event.message
            if event.sender == self.container and isinstance(message, Pong):
                for worker in self.workers.values():
                    if worker.pending and worker.pending == message.n:
                        ended = self._ended(worker, message.ok, message.why, now)
                        return [CancelTimer(f"{worker.kind} timeout"), *ended]
        elif isinstance(event, Proposed):
            if isinstance(event.command, ContainerDied):
                return self._died()
            if isinstance(event.command, ContainerStarted):
                return [*self._died(), *self._began(now)]
            raise TypeError(f"got {event.command!r}; a prober takes ContainerStarted and ContainerDied")
        elif isinstance(event, Started):
            # Where a container's start falls on the ticker of its pod depends on images and sandboxes: anywhere.
            tickers = [SetTimer(f"{kind} tick", 0.0, worker.probe.period) for kind, worker in self.workers.items()]
            return [*tickers, *self._began(now)]
        elif isinstance(event, Stopping):
            timers = [CancelTimer(f"{kind} {what}") for kind in self.workers for what in ("tick", "timeout")]
            return [*timers, Exit("asked to stop")]
        return []

    def _worker(self, kind: str) -> _Worker:
        found = [worker for worker in self.workers.values() if worker.kind == kind]
        assert found, f"{self.container} has no {kind} probe"
        return found[0]

    # -------------------------------------------------------------------------------- the container

    def _began(self, now: float) -> list[Effect]:
        self.running, self.since = True, now
        for worker in self.workers.values():
            worker.forget()
        return [] if "startup" in self.workers else self._started_up(now)

    def _died(self) -> list[Effect]:
        self.running = False
        effects: list[Effect] = []
        for worker in self.workers.values():
            if worker.pending:
                effects.append(CancelTimer(f"{worker.kind} timeout"))
            worker.forget()
        return effects + self._now_ready(False, "the container is gone")

    def _started_up(self, now: float) -> list[Effect]:
        """The startup probe has passed, or there is none: see at once whether the container is ready."""
        readiness = self.workers.get("readiness")
        return self._now_ready(True, "no readiness probe") if readiness is None else self._probe(readiness, now)

    def _now_ready(self, ready: bool, why: str) -> list[Effect]:
        if ready is self.ready:
            return []
        self.ready = ready
        return [self._said("ready" if ready else "unready", "readiness", why)]

    # ----------------------------------------------------------------------------------- the probes

    def _tick(self, worker: _Worker, now: float) -> list[Effect]:
        period = worker.probe.period
        again = SetTimer(f"{worker.kind} tick", period, period)
        if worker.pending:
            worker.owed = True
            return [again]
        return [again, *self._probe(worker, now)]

    def _probe(self, worker: _Worker, now: float) -> list[Effect]:
        """Begin a probe, unless there is nothing to probe now."""
        startup = self.workers.get("startup")
        gated = startup is not None and not startup.passed
        done = worker is startup and worker.passed
        waits = (gated and worker is not startup) or done or worker.held or worker.pending
        if not self.running or waits or now - self.since < worker.probe.initial_delay:
            return []
        self.sent += 1
        worker.pending = self.sent
        timeout = worker.probe.timeout
        return [
            Send(self.container, Ping(self.sent, worker.kind)),
            SetTimer(f"{worker.kind} timeout", timeout, timeout),
        ]

    def _ended(self, worker: _Worker, ok: bool, why: str, now: float) -> list[Effect]:
        assert worker.pending, f"no {worker.kind} probe is under way"
        worker.pending = 0
        effects: list[Effect] = []
        if not ok or not worker.last:
            effects.append(self._said("probe passed" if ok else "probe failed", worker.kind, why))
        worker.run = worker.run + 1 if ok is worker.last else 1
        worker.last = ok
        enough = worker.probe.successes if ok else worker.probe.failures
        if worker.run >= enough and worker.passed is not ok:
            worker.passed = ok
            effects += self._turned(worker, ok, why, now)
        if worker.owed:
            worker.owed = False
            effects += self._probe(worker, now)
        return effects

    def _turned(self, worker: _Worker, ok: bool, why: str, now: float) -> list[Effect]:
        """The believed result of a probe is another one now."""
        if worker.kind == "readiness":
            return self._now_ready(ok, why)
        if not ok:
            worker.held, worker.run = True, 0
            return [self._said("unhealthy", worker.kind, why)]
        if worker.kind == "startup":
            return [self._said("startup passed", worker.kind, why), *self._started_up(now)]
        return []

    def _said(self, kind: str, probe: Kind, why: str) -> Announce:
        return Announce(kind, {"container": self.container, "probe": probe, "why": why})
