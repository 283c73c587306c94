"""How fast a link is: a message waits for those before it, and takes as long as it is large."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Line:
    """A link's bandwidth in bytes a second, and until when it is busy."""

    bandwidth: float
    free_at: float = 0.0

    def queue(self, size: int, now: float) -> float:
        """Put so many bytes on the line; return the seconds until the last of them has left."""
        self.free_at = max(self.free_at, now) + size / self.bandwidth
        return self.free_at - now
