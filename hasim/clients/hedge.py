"""Hedging: asking a second server when the first is slow, and taking whichever answers first."""

from __future__ import annotations

from pydantic import Field, field_validator

from hasim.clients.rolling import Buckets, RollingCounts, Window
from hasim.declared import Declared
from hasim.units import Count, Seconds, Share, duration_text

ROUNDING = 1e-9
"""What 0.29 × 100 lacks to 29 must not cost a copy."""


class Hedge(Declared):
    """Send a copy of a request that has had no answer for a while, to another replica.

    With independent replicas, whose time T is longer than t with probability F̄(t), a copy after d makes that
    F̄(t) × F̄(t − d), for an extra load of F̄(d): a copy at the 95th percentile costs 5 %. Where all are slow because
    all are busy, replicas are not independent, and copies make it worse; `extra` then bounds the harm.

    Source: Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013. The cap works as in Finagle's
    BackupRequestFilter, but without a reserve: a share of the calls in a rolling window, of 10 s in 10 buckets.
    """

    after: Seconds = Field(
        description="How long an answer may take before a copy is sent, and before each further one."
    )
    most: Count = Field(
        default=1, ge=1, le=100, description="Copies of one request, besides itself. Default: Dean and Barroso, 1."
    )
    extra: Share | None = Field(default=None, description="Copies are at most this share of the calls; none: no cap.")
    window: Window = Field(default=10.0, description="How far back the cap looks. Default: Finagle, 10 s.")
    buckets: Buckets = Field(default=10, description="Into how many the window is cut. Default: Finagle, 10.")

    @field_validator("after")
    @classmethod
    def _waits(cls, after: float) -> float:
        if after <= 0:
            raise ValueError(f"got {duration_text(after)}; a copy is sent some time after the request, above 0s")
        return after

    def start(self) -> HedgeMeter:
        """A meter shared by all calls of a process that has just begun."""
        return HedgeMeter(self)


class HedgeMeter:
    """What one client has asked and copied in the last window. `now` (seconds) never goes back."""

    __slots__ = ("_counts", "_extra", "_most")

    def __init__(self, rule: Hedge) -> None:
        """Begin with nothing asked."""
        self._extra = rule.extra
        self._most = rule.most
        self._counts = RollingCounts(rule.window, rule.buckets)  # calls, copies

    def asked(self, now: float) -> None:
        """A call was sent."""
        if self._extra is not None:
            self._counts.add(1, 0, now)

    def may_copy(self, copies: int, now: float) -> bool:
        """Whether a call with so many copies out may have one more; if so, it is counted."""
        if copies >= self._most:
            return False
        if self._extra is None:
            return True
        counts = self._counts
        counts.roll(now)
        if counts.second + 1 > self._extra * counts.first + ROUNDING:
            return False
        counts.add(0, 1, now)
        return True
