"""The figures of one service: how available, how often down, for how long, and who is to blame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hasim.results.estimate import Estimate, Unit, plain_number

QUANTITIES: Final[dict[str, Unit]] = {
    "availability": "share",
    "unavailability": "share",
    "outages_per_year": "per year",
    "mean_outage_s": "seconds",
    "mean_uptime_s": "seconds",
    "downtime_s_per_year": "seconds",
    "mttf_s": "seconds",
    "degraded": "share",
    "slo_kept": "share",
    "slo_kept_year": "share",
    "no_outage": "share",
    "interval_unavailability": "share",
    "unavailability_at_end": "share",
    "outages_in_horizon": "",
}
"""The quantities a service may have, in the order they are shown, and what each one counts."""


@dataclass(frozen=True)
class Blame:
    """The part a unit (a host, a zone, a process) plays in the downtime of a service.

    `share` is the share of the downtime that it caused, `criticality` the probability that it is down and
    decides given that the service is down, `birnbaum` the change of availability from the unit always down
    to always up. `kind` says what the unit is.
    """

    unit: str
    share: float
    criticality: float | None = None
    birnbaum: float | None = None
    kind: str = ""

    def __post_init__(self) -> None:
        """Turn numpy scalars into floats and refuse what is not a number."""
        for name in ("share", "criticality", "birnbaum"):
            _finite(self, name)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON, without what is unknown."""
        return _known(
            unit=self.unit,
            share=self.share,
            criticality=self.criticality,
            birnbaum=self.birnbaum,
            kind=self.kind or None,
        )


@dataclass(frozen=True)
class Cut:
    """A smallest set of units that together take the service down, and its share of the downtime."""

    units: tuple[str, ...]
    share: float
    rate_per_year: float | None = None

    def __post_init__(self) -> None:
        """Turn numpy scalars into floats and refuse what is not a number."""
        object.__setattr__(self, "units", tuple(self.units))
        for name in ("share", "rate_per_year"):
            _finite(self, name)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON, without what is unknown."""
        return _known(units=list(self.units), share=self.share, rate_per_year=self.rate_per_year)


@dataclass(frozen=True)
class ServiceFigures:
    """All that a result knows about one service; what an engine does not give is None.

    `mean_outage_s` is the mean time from down to up and `mean_uptime_s` from up to down; `mttf_s` is the
    mean time to the first outage from all up. `degraded` is the share of time up while something is missing
    that the service needs to be whole. `slo` is the promise, an availability over a window in seconds;
    `slo_kept` the probability of keeping it in one window and `slo_kept_year` in all windows of a year.
    `no_outage` is the probability of no outage in the horizon, `interval_unavailability` the mean share of
    the horizon spent down and `unavailability_at_end` the probability to be down at its end, both from all up.
    `downtime_quantiles` are quantiles of the downtime in a year, in seconds, by name: p50, p90, p99.
    """

    name: str
    availability: Estimate | None = None
    unavailability: Estimate | None = None
    outages_per_year: Estimate | None = None
    mean_outage_s: Estimate | None = None
    mean_uptime_s: Estimate | None = None
    downtime_s_per_year: Estimate | None = None
    mttf_s: Estimate | None = None
    degraded: Estimate | None = None
    slo: tuple[float, float] | None = None
    slo_kept: Estimate | None = None
    slo_kept_year: Estimate | None = None
    downtime_quantiles: dict[str, Estimate] = field(default_factory=dict)
    no_outage: Estimate | None = None
    interval_unavailability: Estimate | None = None
    unavailability_at_end: Estimate | None = None
    outages_in_horizon: Estimate | None = None
    blame: tuple[Blame, ...] = ()
    cuts: tuple[Cut, ...] = ()

    def __post_init__(self) -> None:
        """Give every estimate its unit, and sort the guilty first."""
        for name, unit in QUANTITIES.items():
            estimate = getattr(self, name)
            if estimate is not None:
                object.__setattr__(self, name, replace(estimate, unit=unit))
        quantiles = {name: replace(e, unit="seconds") for name, e in self.downtime_quantiles.items()}
        object.__setattr__(self, "downtime_quantiles", quantiles)
        guilty = sorted(self.blame, key=lambda blame: (-blame.share, blame.unit))
        object.__setattr__(self, "blame", tuple(guilty))
        cuts = sorted(self.cuts, key=lambda cut: (-cut.share, len(cut.units), cut.units))
        object.__setattr__(self, "cuts", tuple(cuts))

    def quantities(self) -> Iterator[tuple[str, Estimate]]:
        """Yield the name and estimate of every quantity that is known; quantiles as `downtime_s_p99`."""
        for name in QUANTITIES:
            estimate = getattr(self, name)
            if estimate is not None:
                yield name, estimate
        for name, estimate in self.downtime_quantiles.items():
            yield f"downtime_s_{name}", estimate

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON: the known quantities by name, then slo, quantiles, blame and cuts."""
        found: dict[str, Any] = {
            name: getattr(self, name).to_json() for name in QUANTITIES if getattr(self, name) is not None
        }
        if self.slo is not None:
            availability, window_s = self.slo
            found["slo"] = {"availability": plain_number(availability), "window_s": plain_number(window_s)}
        if self.downtime_quantiles:
            found["downtime_quantiles"] = {n: e.to_json() for n, e in self.downtime_quantiles.items()}
        if self.blame:
            found["blame"] = [blame.to_json() for blame in self.blame]
        if self.cuts:
            found["cuts"] = [cut.to_json() for cut in self.cuts]
        return found


def _finite(holder: Blame | Cut, name: str) -> None:
    """Store a field of a frozen dataclass as a plain finite float, or leave it None."""
    value = getattr(holder, name)
    if value is None:
        return
    if not math.isfinite(value):
        raise ValueError(f"{type(holder).__name__}.{name} is finite, got {value}")
    object.__setattr__(holder, name, float(value))


def _known(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
