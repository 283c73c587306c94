"""Adaptive throttling: a client that is turned away much sends less, in proportion, without being told a rate."""

from __future__ import annotations

from pydantic import Field

from hasim.clients.rolling import Buckets, RollingCounts, Window
from hasim.declared import Declared


class AdaptiveThrottling(Declared):
    """A client rejects some of its own requests once it sends more than k times what is accepted.

    A request is rejected locally with probability max(0, (requests − k × accepts) / (requests + 1)), both counted over
    the window before it, rejected ones included. The server then sees about k requests for each that it accepts;
    one that accepts nothing sees ever fewer.

    Source: Google, Site Reliability Engineering, chapter 21 (k = 2, two minutes).
    """

    k: float = Field(
        default=2.0, ge=1, allow_inf_nan=False, description="Requests sent for each accepted. Default: Google SRE, 2."
    )
    window: Window = Field(default=120.0, description="How far back requests count. Default: Google SRE, 2 min.")
    buckets: Buckets = Field(default=120, description="Into how many the window is cut: it rolls on in such steps.")

    def start(self) -> Throttle:
        """A throttle that has seen nothing, and so lets everything through."""
        return Throttle(self)


class Throttle:
    """The requests and the accepts of one client in the last window. `now` (seconds) never goes back."""

    __slots__ = ("_counts", "_k")

    def __init__(self, rule: AdaptiveThrottling) -> None:
        """Begin with nothing seen."""
        self._k = rule.k
        self._counts = RollingCounts(rule.window, rule.buckets)  # requests, accepts

    def rejection(self, now: float) -> float:
        """The probability that a request at `now` is rejected locally."""
        counts = self._counts
        counts.roll(now)
        return max(0.0, (counts.first - self._k * counts.second) / (counts.first + 1))

    def may_send(self, u: float, now: float) -> bool:
        """Whether this request goes out, with `u` uniform in [0, 1); it is counted either way."""
        goes = u >= self.rejection(now)
        self._counts.add(1, 0, now)
        return goes

    def answered(self, accepted: bool, now: float) -> None:
        """A request that went out came back: accepted by the server (even if it then failed), or turned away."""
        if accepted:
            self._counts.add(0, 1, now)
