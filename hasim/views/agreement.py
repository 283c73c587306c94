"""Do the engines agree? Each number that two of them give, side by side, with how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from hasim.results import Estimate, Run, Sample, Solution
from hasim.units import YEAR

QUANTITIES_COMPARED: Final = ("unavailability", "outages_per_year", "mean_outage_s")
RUNS_MIN: Final = 100  # fewer runs say too little about the spread between histories
Z_95: Final = 1.959964  # of the normal law


@dataclass(frozen=True)
class Comparison:
    """One number of one service by one engine, against the same by the engine of reference.

    `z` is the difference in standard errors, where these are known; `inside` tells whether the interval holds the
    reference (or, for two sampled numbers, whether the intervals meet).
    """

    service: str
    quantity: str
    engine: str
    value: Estimate
    reference: str
    expected: Estimate
    z: float | None
    inside: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "service": self.service,
            "quantity": self.quantity,
            "engine": self.engine,
            "value": self.value.to_json(),
            "reference": self.reference,
            "expected": self.expected.to_json(),
            "z": None if self.z is None else round(self.z, 3),
            "inside": self.inside,
        }


def compare_engines(results: Sequence[Solution | Sample | Run]) -> list[Comparison]:
    """Compare each result with the first one, which is the reference: the exact one where there is one.

    One history cannot know the outages that are rarer than it is long, and its own interval is too narrow by just
    these. So where many histories are at hand, the spread between them says how far one of its length may be off,
    unless its own interval is wider still.
    """
    if len(results) < 2:
        return []
    reference, *others = results
    sample = next((result for result in results if isinstance(result, Sample)), None)
    found = []
    for service, expected_figures in reference.services.items():
        for quantity in QUANTITIES_COMPARED:
            expected = getattr(expected_figures, quantity)
            for other in others:
                value = getattr(other.services[service], quantity)
                if expected is None or value is None:
                    continue
                if isinstance(other, Run) and sample is not None and sample.runs >= RUNS_MIN:
                    value = _with_spread_of(sample, service, quantity, value, other.horizon_s)
                z, inside = _apart(value, expected)
                found.append(Comparison(service, quantity, other.engine, value, reference.engine, expected, z, inside))
    return found


def _with_spread_of(sample: Sample, service: str, quantity: str, value: Estimate, length_s: float) -> Estimate:
    """The value from one history, with the standard error that the runs of a sample show for such a length.

    Histories of independent years add up: over n runs' worth of time a variance per run shrinks to its n-th part.
    The mean outage is a ratio, downtime by outages, whose error is that of downtime - mean * outages (delta method).
    """
    down, outages = sample.downtime_s[service], sample.outages[service]
    worth = length_s / sample.horizon_s
    if quantity == "unavailability":
        error = float(np.std(down)) / sample.horizon_s / math.sqrt(worth)
    elif quantity == "outages_per_year":
        error = float(np.std(outages)) * YEAR / sample.horizon_s / math.sqrt(worth)
    elif outages.sum() == 0:
        return value
    else:
        mean = float(down.sum() / outages.sum())
        error = float(np.std(down - mean * outages)) / float(outages.mean()) / math.sqrt(worth)
    # A history with one of the rare long outages lies far outside what most show; then its own, wider interval counts.
    low, high = min(value.low, value.value - Z_95 * error), max(value.high, value.value + Z_95 * error)
    low, error = max(0.0, low), max(error, (value.value - value.low) / Z_95)
    method = "spread between the runs of estimate"
    return replace(value, low=low, high=high, level=0.95, standard_error=error, method=method)


def _apart(value: Estimate, expected: Estimate) -> tuple[float | None, bool]:
    inside = value.low <= expected.high and expected.low <= value.high
    errors = [estimate.standard_error for estimate in (value, expected) if not estimate.is_exact]
    if any(error is None or not math.isfinite(error) for error in errors):
        return None, inside
    spread = math.hypot(*[error for error in errors if error is not None])
    return ((value.value - expected.value) / spread if spread > 0 else None), inside
