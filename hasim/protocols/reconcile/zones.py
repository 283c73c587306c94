"""How fast a zone may lose its nodes to eviction: its state, its token bucket, and the nodes that wait for a token.

Source: k/k pkg/controller/nodelifecycle/node_lifecycle_controller.go, ComputeZoneState and handleDisruption, and its
scheduler/rate_limited_queue.go.
"""

from __future__ import annotations

import math
from typing import Final, Literal

State = Literal["Initial", "Normal", "PartialDisruption", "FullDisruption"]
"""How much of a zone is not ready; Initial until it has been looked at once."""

ROUNDING_S: Final = 1e-6
"""Two moments as near as this are one: sums of periods may miss each other by rounding."""


def state_of(ready: int, unready: int, threshold: float) -> State:
    """The state of a zone with so many nodes ready and not ready; `threshold` is the share at which it is partial."""
    if unready and not ready:
        return "FullDisruption"
    if unready > 2 and unready / (ready + unready) >= threshold:
        return "PartialDisruption"
    return "Normal"


class TokenBucket:
    """At most one token, and a new one `1 / rate` seconds after it was taken (client-go util/flowcontrol, burst 1).

    A rate of 0 never gives one.
    """

    __slots__ = ("_free_at", "rate")

    def __init__(self, rate: float, now: float, full: bool = True) -> None:
        """A bucket of `rate` tokens a second that has its token at `now` (seconds), or begins to wait for it."""
        self.rate = rate
        self._free_at = now if full else now + self._gap

    @property
    def _gap(self) -> float:
        return 1.0 / self.rate if self.rate > 0 else math.inf

    def take(self, now: float) -> bool:
        """Take the token, if there is one."""
        if not self.rate or self.wait(now) > ROUNDING_S:
            return False
        self._free_at = now + self._gap
        return True

    def wait(self, now: float) -> float:
        """How long until there is a token, in seconds; inf: never."""
        return max(self._free_at - now, 0.0) if self.rate else math.inf


class Zone:
    """A zone: its state, and the names of its nodes that wait to be tainted NoExecute, first come first served."""

    __slots__ = ("bucket", "queue", "state")

    def __init__(self, rate: float, now: float) -> None:
        """A zone that nobody has looked at yet."""
        self.state: State = "Initial"
        self.bucket = TokenBucket(rate, now)
        self.queue: dict[str, None] = {}

    def limit(self, rate: float, now: float) -> None:
        """Go on at another rate; a queue that was waiting waits anew (SwapLimiter)."""
        if rate != self.bucket.rate:
            self.bucket = TokenBucket(rate, now, full=self.bucket.take(now))
