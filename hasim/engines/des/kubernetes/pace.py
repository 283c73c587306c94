"""How fast a client asks: so many requests a second, after a first burst."""

from __future__ import annotations

from typing import Final, NamedTuple


class Pace(NamedTuple):
    """Requests a second, and how many may come at once after a rest (client-go rest.Config, QPS and Burst)."""

    qps: float
    burst: int


CONTROLLERS_PACE: Final = Pace(20.0, 30)
"""k/k pkg/controller/apis/config; every controller has a client, and so a bucket, of its own."""
SCHEDULER_PACE: Final = Pace(50.0, 100)
"""The scheduler's clientConnection (component-base config/v1alpha1/defaults.go)."""


class Bucket:
    """The tokens of one client (client-go util/flowcontrol): each request takes one, or waits for the next."""

    def __init__(self, pace: Pace, now: float) -> None:
        """A full bucket; `now` in seconds."""
        self._gap = 1.0 / pace.qps
        self._room = pace.burst * self._gap
        self._used_to = now - self._room  # the time up to which all tokens are spent

    def wait(self, now: float) -> float:
        """Take a token, and return after how many seconds it is there; waits are first come, first served."""
        self._used_to = max(self._used_to, now - self._room) + self._gap
        return max(0.0, self._used_to - now)
