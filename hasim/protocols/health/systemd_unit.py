"""One service unit of systemd, as a pure machine: starting, watchdog, stopping, restarting, giving up."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from hasim.declared import Declared
from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Proposed,
    SetTimer,
    Started,
    Stopping,
)
from hasim.protocols.health.systemd import RESTARTED, Cause, StartLimit, SystemdRestart
from hasim.units import Seconds


class SystemdService(Declared):
    """What systemd does about a service that is slow, or hangs, or ends.

    Defaults: systemd-system.conf(5), DefaultTimeoutStartSec and DefaultTimeoutStopSec; systemd.service(5), WatchdogSec.
    """

    restart: SystemdRestart = Field(default=SystemdRestart(), description="When it is started again.")
    start_timeout: Seconds = Field(
        default=90.0, ge=0, description="TimeoutStartSec: until it must be ready; 0s: for ever; systemd: 90s."
    )
    stop_timeout: Seconds = Field(
        default=90.0, ge=0, description="TimeoutStopSec: from the signal to SIGKILL; 0s: never; systemd: 90s."
    )
    watchdog: Seconds | None = Field(
        default=None, gt=0, description="WatchdogSec: longest silence of a process that is well; left out: no watchdog."
    )


class ProcessReady(NamedTuple):
    """Propose to a unit: its process is ready (READY=1), or runs, if its type is simple."""


class ProcessAlive(NamedTuple):
    """Propose to a unit: its process says that it is well (WATCHDOG=1); it should do so twice in `watchdog`."""


class ProcessEnded(NamedTuple):
    """Propose to a unit: its process is gone, and how that looks from outside."""

    cause: Literal["clean", "code", "signal"]


State = Literal["starting", "running", "stopping", "waiting", "stopped"]


class SystemdUnit:
    """A service under systemd (src/core/service.c).

    It hears Started (systemctl start), Proposed(ProcessReady()), Proposed(ProcessAlive()), Proposed(ProcessEnded(…)),
    Stopping (systemctl stop) and its timers. It announces, with the unit: "start" (the driver starts a process);
    "signal", with the signal and why: SIGTERM, SIGABRT of the watchdog, SIGKILL when `stop_timeout` has passed; "dead"
    when nothing will be started again, and why: what ended it, or start-limit-hit, after which only a person helps.
    A process that even SIGKILL does not end is waited for.
    """

    __slots__ = ("_cause", "_leaving", "_limit", "declared", "state", "unit")

    def __init__(self, declared: SystemdService, unit: str) -> None:
        """A unit that has never been started."""
        self.declared = declared
        self.unit = unit
        self.state: State = "stopped"
        self._limit: StartLimit = declared.restart.counting()
        self._cause: Cause | None = None  # why it is being stopped; None: nobody asked, or a person did
        self._leaving = False

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; `now` in seconds counts for the limit of starts."""
        if isinstance(event, Proposed):
            return self._told(event.command)
        if isinstance(event, Fired):
            return self._fired(event.timer, now)
        if isinstance(event, Started):
            return self._start(now) if self.state == "stopped" else []
        if isinstance(event, Stopping):
            return self._leave()
        return []

    def _told(self, command: object) -> list[Effect]:
        if isinstance(command, ProcessReady):
            if self.state != "starting":
                return []
            self.state = "running"
            return [CancelTimer("start"), *self._watch()]
        if isinstance(command, ProcessAlive):
            return self._watch() if self.state == "running" else []
        if isinstance(command, ProcessEnded):
            return self._ended(command.cause) if self.state in ("starting", "running", "stopping") else []
        raise TypeError(f"got {command!r}; a unit takes ProcessReady, ProcessAlive and ProcessEnded")

    def _fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "restart" and self.state == "waiting":
            return self._start(now)
        if timer == "start" and self.state == "starting":
            return self._stop("SIGTERM", "start timeout", "timeout")
        if timer == "watchdog" and self.state == "running":
            return self._stop("SIGABRT", "watchdog", "watchdog")
        if timer == "stop" and self.state == "stopping":
            self._cause = self._cause or "timeout"
            return [self._signal("SIGKILL", "stop timeout")]
        return []

    def _start(self, now: float) -> list[Effect]:
        if not self._limit.admits(now):
            return self._dead("start-limit-hit")
        self.state, self._cause = "starting", None
        return [Announce("start", {"unit": self.unit}), *_timer("start", self.declared.start_timeout)]

    def _watch(self) -> list[Effect]:
        return _timer("watchdog", self.declared.watchdog or 0.0)

    def _stop(self, signal: str, why: str, cause: Cause | None) -> list[Effect]:
        self.state, self._cause = "stopping", cause
        timers = [CancelTimer("start"), CancelTimer("watchdog")]
        return [*timers, self._signal(signal, why), *_timer("stop", self.declared.stop_timeout)]

    def _signal(self, signal: str, why: str) -> Announce:
        return Announce("signal", {"unit": self.unit, "signal": signal, "why": why})

    def _ended(self, seen: Cause) -> list[Effect]:
        cause = self._cause or seen  # the first thing that went wrong is the result
        timers: list[Effect] = [CancelTimer(name) for name in ("start", "watchdog", "stop")]
        if self._leaving or cause not in RESTARTED[self.declared.restart.restart]:
            return [*timers, *self._dead("asked to stop" if self._leaving else cause)]
        self.state = "waiting"
        wait = self.declared.restart.wait
        return [*timers, SetTimer("restart", wait, wait)]

    def _leave(self) -> list[Effect]:
        self._leaving = True
        if self.state in ("starting", "running"):
            return self._stop("SIGTERM", "asked to stop", None)
        if self.state == "stopping":
            return []
        return [CancelTimer("restart"), *self._dead("asked to stop")]

    def _dead(self, why: str) -> list[Effect]:
        self.state = "stopped"
        dead: list[Effect] = [Announce("dead", {"unit": self.unit, "why": why})]
        return [*dead, Exit(why)] if self._leaving else dead


def _timer(name: str, time: float) -> list[Effect]:
    """A timer, where there is one: no time at all stands for none."""
    return [SetTimer(name, time, time)] if time else []
