"""Exact answers: decision diagrams for independent units, Markov chains for those that act on each other."""

from __future__ import annotations

from hasim.engines.exact.solve import solve

__all__ = ["solve"]
