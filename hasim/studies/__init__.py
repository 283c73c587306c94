"""Studies of designs: several ways to build it and how they differ, and what releases cost over a year."""

from __future__ import annotations

from hasim.studies.calibrate import calibrate
from hasim.studies.calibration import Calibration
from hasim.studies.compare import compare
from hasim.studies.effects import compare_effects

__all__ = ["Calibration", "calibrate", "compare", "compare_effects"]
