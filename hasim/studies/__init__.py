"""Comparisons of designs: one workload, several ways to build it, one table."""

from __future__ import annotations

from hasim.studies.effects import compare_effects

__all__ = ["compare_effects"]
