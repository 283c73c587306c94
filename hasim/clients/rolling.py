"""Two counts over the last so many seconds, kept in buckets: what budgets, breakers and throttles look back on."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from hasim.units import Count, Seconds, duration_text

WINDOW_LEAST_S: Final = 0.001
"""The clients whose settings these are have times in whole milliseconds, and none could look back on less."""
BUCKETS_MOST: Final = 10_000


def _long_enough(window: float) -> float:
    if window < WINDOW_LEAST_S:
        raise ValueError(f"got {duration_text(window)}; it is at least {duration_text(WINDOW_LEAST_S)}")
    return window


Window = Annotated[Seconds, AfterValidator(_long_enough)]
"""A field holding how far back counts reach: a duration of at least a millisecond."""

Buckets = Annotated[Count, Field(ge=1, le=BUCKETS_MOST)]
"""A field holding into how many buckets a window is cut."""


class RollingCounts:
    """How often two things happened lately, in whole buckets of time.

    The window is cut into `buckets` of equal width, which begin at multiples of their width. It holds the bucket that
    `now` is in and those before it, so what it forgets is between (buckets − 1)/buckets of the window and one whole
    window old. `now` never goes back. A step costs O(1) amortised. Only buckets in which something happened take
    memory: a load may have a million clients, most of which have asked nothing yet.
    """

    __slots__ = ("_at", "_buckets", "_kept", "_width", "first", "second")

    def __init__(self, window: float, buckets: int) -> None:
        """Keep `window` seconds in so many buckets; both counts begin at zero."""
        self._width = window / buckets
        self._buckets = buckets
        self._kept: deque[list[int]] | None = None  # number of a bucket, and its two counts; the oldest first
        self._at = 0  # number of the bucket that was current last
        self.first = 0
        self.second = 0

    def roll(self, now: float) -> None:
        """Forget what has left the window by `now` (seconds)."""
        # A time on the edge of a bucket belongs to the bucket it opens, whatever the division makes of it.
        bucket = int(now / self._width * (1 + 1e-12))
        if bucket <= self._at:
            return
        self._at = bucket
        kept, gone = self._kept, bucket - self._buckets
        while kept and kept[0][0] <= gone:
            _, firsts, seconds = kept.popleft()
            self.first -= firsts
            self.second -= seconds

    def add(self, firsts: int, seconds: int, now: float) -> None:
        """Count so many of the first and of the second thing at `now`."""
        self.roll(now)
        kept = self._kept
        if kept is None:
            kept = self._kept = deque()
        if kept and kept[-1][0] == self._at:
            current = kept[-1]
            current[1] += firsts
            current[2] += seconds
        else:
            kept.append([self._at, firsts, seconds])
        self.first += firsts
        self.second += seconds

    def clear(self) -> None:
        """Forget everything."""
        self._kept = None
        self.first = self.second = 0
