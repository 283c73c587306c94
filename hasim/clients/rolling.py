"""Two counts over the last so many seconds, kept in buckets: what budgets, breakers and throttles look back on."""

from __future__ import annotations


class RollingCounts:
    """How often two things happened lately, in whole buckets of time.

    The window is cut into `buckets` of equal width, which begin at multiples of their width. It holds the bucket that
    `now` is in and those before it, so what it forgets is between (buckets − 1)/buckets of the window and one whole
    window old. `now` never goes back. A step costs O(1) amortised, and nothing is allocated.
    """

    __slots__ = ("_at", "_firsts", "_seconds", "_width", "first", "second")

    def __init__(self, window: float, buckets: int) -> None:
        """Keep `window` seconds in so many buckets; both counts begin at zero."""
        self._width = window / buckets
        self._firsts = [0] * buckets
        self._seconds = [0] * buckets
        self._at = 0  # number of the bucket that was current last
        self.first = 0
        self.second = 0

    def roll(self, now: float) -> None:
        """Forget what has left the window by `now` (seconds)."""
        # A time on the edge of a bucket belongs to the bucket it opens, whatever the division makes of it.
        bucket = int(now / self._width * (1 + 1e-12))
        steps = bucket - self._at
        if steps <= 0:
            return
        size = len(self._firsts)
        for number in range(bucket - min(steps, size) + 1, bucket + 1):
            slot = number % size
            self.first -= self._firsts[slot]
            self.second -= self._seconds[slot]
            self._firsts[slot] = self._seconds[slot] = 0
        self._at = bucket

    def add(self, firsts: int, seconds: int, now: float) -> None:
        """Count so many of the first and of the second thing at `now`."""
        self.roll(now)
        slot = self._at % len(self._firsts)
        self._firsts[slot] += firsts
        self._seconds[slot] += seconds
        self.first += firsts
        self.second += seconds

    def clear(self) -> None:
        """Forget everything."""
        for slot in range(len(self._firsts)):
            self._firsts[slot] = self._seconds[slot] = 0
        self.first = self.second = 0
