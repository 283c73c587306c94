"""Which service of a result is meant: the one named, or the first."""

from __future__ import annotations

from hasim.errors import ModelError, nearest
from hasim.results import Run, Sample, ServiceFigures, Solution

Result = Solution | Sample | Run


def service_of(result: Result, name: str | None) -> ServiceFigures:
    """Return the figures of a service of the result, the first one if no name is given."""
    if name is None:
        return next(iter(result.services.values()))
    if name not in result.services:
        known = ", ".join(result.services)
        raise ModelError(f"got {name!r}, no service of this result{nearest(name, result.services)}; there is {known}")
    return result.services[name]
