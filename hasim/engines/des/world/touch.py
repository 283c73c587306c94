"""Whether something done to the world made any difference."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Touch:
    """What a verb of the world gives: `touched` turns true once it has made a difference to anything."""

    touched: bool = False
