"""When a process that died is started again: the kubelet's back-off, and systemd's limit of starts.

Both are declared, and count in a fresh `Restarts` for each process.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.units import Count, Seconds, duration_text


class Restarts(Protocol):
    """The restarts of one process, counted: it is told of each death and says how long to wait."""

    def delay(self, started_at: float, died_at: float) -> float:
        """How long after `died_at` a process that ran since `started_at` is started again, in seconds; inf: never.

        Deaths are told in order, each once.
        """


class CrashLoopBackOff(Declared):
    """The kubelet's restarts: the first at once, the next after 10 s, then twice as long each time, up to 5 minutes.

    A container that ran for more than `reset` is as good as new. There is no jitter. Source: Kubernetes, "Pod
    Lifecycle", and its client-go util/flowcontrol/backoff.go, where the reset is twice the cap.
    """

    kind: Literal["crash_loop"] = "crash_loop"
    first: Seconds = Field(default=10.0, gt=0, description="Wait before the second restart; Kubernetes: 10s.")
    cap: Seconds = Field(default=300.0, gt=0, description="Longest wait; Kubernetes: 300s.")
    reset: Seconds | None = Field(
        default=None, gt=0, description="Running longer than this forgets all; left out: twice the cap, as Kubernetes."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.cap:
            said = f"got first {duration_text(self.first)} with cap {duration_text(self.cap)}; first is at most the cap"
            raise ModelError.of([at(("first",), said)])
        return self

    def counting(self) -> BackOff:
        """Return a fresh count for one container."""
        return BackOff(self)


class BackOff:
    """The restarts of one container under a CrashLoopBackOff."""

    __slots__ = ("_next", "declared")

    def __init__(self, declared: CrashLoopBackOff) -> None:
        """A container that has never died."""
        self.declared = declared
        self._next = 0.0

    def delay(self, started_at: float, died_at: float) -> float:
        """The wait after this death, in seconds; it is the longer wait's turn next time."""
        declared = self.declared
        reset = 2.0 * declared.cap if declared.reset is None else declared.reset
        wait = 0.0 if died_at - started_at > reset else self._next
        self._next = declared.first if wait == 0.0 else min(2.0 * wait, declared.cap)
        return wait


class SystemdRestart(Declared):
    """systemd's restarts with Restart=always: after 100 ms, and never again beyond 5 starts in 10 s.

    Starts are counted in a window that begins with its first start and is followed by another once `window` has gone by
    (systemd src/basic/ratelimit.c). Defaults: systemd-system.conf(5), DefaultRestartSec, DefaultStartLimitBurst,
    DefaultStartLimitIntervalSec. The kubelet's unit has wait 10s and window 0s, and so is never given up.
    """

    kind: Literal["systemd"] = "systemd"
    wait: Seconds = Field(default=0.1, ge=0, description="RestartSec: wait before a restart; systemd: 100ms.")
    burst: Count = Field(default=5, ge=0, description="StartLimitBurst: starts in a window; 0: no limit; systemd: 5.")
    window: Seconds = Field(
        default=10.0, ge=0, description="StartLimitIntervalSec: length of a window; 0s: no limit; systemd: 10s."
    )

    def counting(self) -> StartLimit:
        """Return a fresh count for one unit."""
        return StartLimit(self)


class StartLimit:
    """The restarts of one unit under a SystemdRestart."""

    __slots__ = ("_begin", "_starts", "declared")

    def __init__(self, declared: SystemdRestart) -> None:
        """A unit that has not been started."""
        self.declared = declared
        self._begin = -math.inf
        self._starts = 0

    def delay(self, started_at: float, died_at: float) -> float:
        """The wait after this death, in seconds; inf once the unit has been given up, and ever after."""
        declared = self.declared
        if not declared.burst or not declared.window:
            return declared.wait
        if not self._starts:  # the first start was nobody's restart
            self._admits(started_at)
        return declared.wait if self._admits(died_at + declared.wait) else math.inf

    def _admits(self, start: float) -> bool:
        if start - self._begin > self.declared.window and self._starts <= self.declared.burst:
            self._begin, self._starts = start, 1
        else:
            self._starts += 1
        return self._starts <= self.declared.burst
