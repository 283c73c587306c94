"""Comparisons of designs: one workload, several ways to build it, and how they differ."""

from __future__ import annotations

from hasim.studies.compare import compare
from hasim.studies.effects import compare_effects

__all__ = ["compare", "compare_effects"]
