"""An Estimate is a number together with how sure we are of it; every number in a result is one."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hasim.units import human

Unit = Literal["", "share", "seconds", "per year"]
"""What an estimate counts: decides how it prints, never what it is."""


@dataclass(frozen=True)
class Estimate:
    """A value with an interval that covers the truth at a stated level: `low ≤ value ≤ high`.

    `level` is the nominal coverage (0.95), or 1.0 for a number computed exactly. `method` says in a few
    words how the interval was made, `events` how many outages (or other events) it rests on. Infinity is
    allowed (an upper bound that nothing is known about); NaN never is.
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str = ""
    events: int | None = None
    standard_error: float | None = None
    unit: Unit = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Turn numpy scalars into plain floats and check the order."""
        for name in ("value", "low", "high", "level"):
            object.__setattr__(self, name, float(getattr(self, name)) + 0.0)
        if self.events is not None:
            object.__setattr__(self, "events", int(self.events))
        if self.standard_error is not None:
            object.__setattr__(self, "standard_error", float(self.standard_error))
            if not float(self.standard_error) >= 0:  # also NaN
                raise ValueError(f"a standard error is zero or more, got {self.standard_error}")
        if not self.low <= self.value <= self.high:  # also NaN
            raise ValueError(f"an estimate needs low ≤ value ≤ high, got {self.low}, {self.value}, {self.high}")
        if not 0 < self.level <= 1:
            raise ValueError(f"the level of an interval is above 0 and at most 1, got {self.level}")

    @classmethod
    def exact(cls, value: float, unit: Unit = "") -> Estimate:
        """Return a number that was computed, not sampled: its interval is the number itself."""
        return cls(value, value, value, level=1.0, method="exact", standard_error=0.0, unit=unit)

    @property
    def is_exact(self) -> bool:
        """Tell whether the number was computed rather than sampled."""
        return self.level == 1.0

    def covers(self, x: float) -> bool:
        """Tell whether `x` lies in the interval, ends included."""
        return self.low <= x <= self.high

    def complement(self) -> Estimate:
        """Return the estimate of 1 - x: unavailability from availability and back."""
        return replace(self, value=1.0 - self.value, low=1.0 - self.high, high=1.0 - self.low)

    def scaled(self, factor: float, unit: Unit = "") -> Estimate:
        """Return the estimate of x times a known positive factor: downtime a year from unavailability."""
        if not 0 < factor < math.inf:
            raise ValueError(f"an estimate is scaled by a positive number, got {factor}")
        error = None if self.standard_error is None else self.standard_error * factor
        low, value, high = self.low * factor, self.value * factor, self.high * factor
        return replace(self, value=value, low=low, high=high, standard_error=error, unit=unit)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON: value, low, high, level and method; infinity becomes None."""
        numbers = {name: plain_number(getattr(self, name)) for name in ("value", "low", "high", "level")}
        return {**numbers, "method": self.method} if self.method else numbers

    def __str__(self) -> str:
        """Print no more digits than the interval supports: `99.98712 % (99.981 … 99.992)`.

        A value at the edge of what is possible (no outage seen) prints as the bound it is: `≥ 99.97 %`.
        """
        show, after = _printer(self)
        at_level = "" if self.level in (0.95, 1.0) else f" at {100 * self.level:g} %"
        if self.is_exact and self.low == self.high:
            return f"{show(self.value, 0)}{after} (exact)"
        if self.value == self.low == 0:
            return f"≤ {show(self.high, 0)}{after}{at_level}"
        if self.unit == "share" and self.value == self.high == 1:
            return f"≥ {show(self.low, 0)}{after}{at_level}"
        extra = 2 if self.unit == "share" else 0
        return f"{show(self.value, extra)}{after} ({show(self.low, 0)} … {show(self.high, 0)}{at_level})"


def plain_number(value: float) -> float | None:
    """Return the number as JSON can hold it: infinity becomes None."""
    return float(value) if math.isfinite(value) else None


def html_cell(estimate: Estimate | None) -> str:
    """Return a cell of an HTML table: a number, and on a smaller line below it the interval or the word exact."""
    if estimate is None:
        return "<td>–</td>"
    value, bracket, interval = str(estimate).replace(" a year", "").partition(" (")
    small = f"<br><small>{html.escape(interval.removesuffix(')'))}</small>" if bracket else ""
    return f"<td>{html.escape(value)}{small}</td>"


def _printer(estimate: Estimate) -> tuple[Callable[[float, int], str], str]:
    """Return how to show one number, given some extra decimals, and the words that follow it."""
    if estimate.unit == "seconds":
        return lambda x, _extra: human(x), ""
    scale = 100.0 if estimate.unit == "share" else 1.0
    width = scale * (estimate.high - estimate.low)
    on_edge = estimate.value == estimate.low == 0 or (estimate.value == estimate.high == 1)
    sampled = 0 < width < math.inf and not on_edge

    def show(x: float, extra: int) -> str:
        if math.isinf(x):
            return "∞" if x > 0 else "-∞"
        # What is left to perfection is what matters of a share: 99.99995 % must not round to 100 %.
        rest = scale * (min(x, 1 - x) if estimate.unit == "share" and x < 1 else abs(x))
        if rest == 0:
            return f"{scale * x:g}"
        needed = _decimals(rest, 1 if sampled else 2 if on_edge else 4)
        decimals = max(needed, _decimals(width, 2) + extra) if sampled else needed
        if estimate.unit != "share" and not 1e-3 <= abs(x) < 1e6:
            return f"{x:.{2 + extra if sampled else 4}g}"
        return f"{scale * x:.{min(decimals, 15)}f}"

    return show, {"share": " %", "per year": " a year"}.get(estimate.unit, "")


def _decimals(number: float, significant: int) -> int:
    """Return how many decimals show that many significant digits of a positive number."""
    return max(0, significant - 1 - math.floor(math.log10(number)))
