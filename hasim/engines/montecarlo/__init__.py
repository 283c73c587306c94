"""Monte Carlo: many histories at once, as arrays; `estimate` is the way in."""

from __future__ import annotations

from hasim.engines.montecarlo.estimate import estimate

__all__ = ["estimate"]
