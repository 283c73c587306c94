"""What the computation costs, for the person who watches it."""

from __future__ import annotations

import time


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    return time.process_time()
