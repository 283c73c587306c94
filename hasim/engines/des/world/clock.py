"""A node's own clock, which may be set wrong and run wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """A clock that shows `offset` seconds at true time zero and passes `rate` seconds a second.

    After a change of rate, `offset` is what it would have shown at zero had it always run at the new rate.
    """

    offset: float = 0.0
    rate: float = 1.0
    timers_follow_jumps: bool = False
    """Whether setting the clock also moves what timers wait for. On Linux it does not: timers count on
    CLOCK_MONOTONIC, which no administrator sets, and so do Go's (and etcd's)."""

    def read(self, now: float) -> float:
        """What it shows, in seconds, at a true time."""
        return self.offset + self.rate * now

    def set_rate(self, rate: float, now: float) -> None:
        """Run at another rate from now on; it shows the same before and after."""
        assert rate > 0, rate
        self.offset += (self.rate - rate) * now
        self.rate = rate

    def jump(self, by: float) -> None:
        """Show so many seconds more (less, if negative) from now on."""
        self.offset += by
