"""systemd's restarts: after which ends of a process, how soon, and the limit of starts after which it gives up."""

from __future__ import annotations

import math
from typing import Final, Literal

from pydantic import Field

from hasim.declared import Declared
from hasim.units import Count, Seconds, s

Cause = Literal["clean", "code", "signal", "timeout", "watchdog"]
"""How a process ended.

Cleanly (exit code 0, or SIGHUP, SIGINT, SIGTERM or SIGPIPE), with another exit code, by another signal, or killed since
a start or a stop took too long, or since it did not tell the watchdog that it was well.
"""

Condition = Literal["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"]
"""systemd's `Restart=`."""

RESTARTED: Final[dict[Condition, frozenset[Cause]]] = {
    "no": frozenset(),
    "always": frozenset({"clean", "code", "signal", "timeout", "watchdog"}),
    "on-success": frozenset({"clean"}),
    "on-failure": frozenset({"code", "signal", "timeout", "watchdog"}),
    "on-abnormal": frozenset({"signal", "timeout", "watchdog"}),
    "on-abort": frozenset({"signal"}),
    "on-watchdog": frozenset({"watchdog"}),
}
"""After which ends each setting starts a process again (systemd.service(5), the table of exit causes)."""


class SystemdRestart(Declared):
    """systemd's restarts: after 100 ms, and never again beyond 5 starts in 10 s (start-limit-hit).

    Starts are counted in a window that begins with its first start and is followed by another once `window` has gone by
    (systemd src/basic/ratelimit.c). Defaults: systemd-system.conf(5), DefaultRestartSec, DefaultStartLimitBurst,
    DefaultStartLimitIntervalSec. systemd's own default for `restart` is "no", with which nothing is supervised.
    """

    kind: Literal["systemd"] = "systemd"
    restart: Condition = Field(default="always", description="Restart=: after which ends it is started again.")
    wait: Seconds = Field(default=0.1, ge=0, description="RestartSec: wait before a restart; systemd: 100ms.")
    burst: Count = Field(
        default=5, ge=0, le=10_000, description="StartLimitBurst: starts in a window; 0: no limit; systemd: 5."
    )
    window: Seconds = Field(
        default=10.0, ge=0, description="StartLimitIntervalSec: length of a window; 0s: no limit; systemd: 10s."
    )

    @classmethod
    def kubelet(cls) -> SystemdRestart:
        """The unit of the kubelet in the packages of Kubernetes: always again, after 10 s, and never given up."""
        return cls(wait=s(10), window=s(0))

    @property
    def limited(self) -> bool:
        """Whether there is a number of starts after which it gives up."""
        return self.burst > 0 and self.window > 0

    def counting(self) -> StartLimit:
        """Return a fresh count for one unit."""
        return StartLimit(self)


class StartLimit:
    """The restarts of one unit under a SystemdRestart."""

    __slots__ = ("_begin", "_given_up", "_starts", "declared")

    def __init__(self, declared: SystemdRestart) -> None:
        """A unit that has not been started."""
        self.declared = declared
        self._begin = -math.inf
        self._starts = 0
        self._given_up = False

    def delay(self, started_at: float, died_at: float, cause: Cause = "signal") -> float:
        """The wait after this death, in seconds; inf if it stays down: for its cause, or for good once given up."""
        declared = self.declared
        if not self._starts:  # the first start was nobody's restart
            self.admits(started_at)
        if self._given_up or cause not in RESTARTED[declared.restart]:
            return math.inf
        self._given_up = not self.admits(died_at + declared.wait)
        return math.inf if self._given_up else declared.wait

    def admits(self, start: float) -> bool:
        """Count a start at this time; whether it is within the limit."""
        if not self._starts or start - self._begin > self.declared.window:
            self._begin, self._starts = start, 0
        self._starts += 1
        return not self.declared.limited or self._starts <= self.declared.burst
