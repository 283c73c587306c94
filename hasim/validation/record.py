"""The record of etcd 3.4.23 and the published figures of Raft, read from the package's data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from hasim.validation.etcd_trials import Trial

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """One configuration of the record: what was done, and one value a trial of each quantity."""

    name: str
    entry: Mapping[str, Any]

    def column(self, quantity: str) -> Floats:
        """The values that were seen, without the trials that have none."""
        values = self.entry["columns"][quantity]
        return np.array([value for value in values if value is not None], dtype=float)

    def trial(self, reuse: int = 1) -> Trial:
        """The same configuration for the simulated world."""
        entry = self.entry
        return Trial(
            fault=entry["fault"],
            members=entry["members"],
            heartbeat=entry["heartbeat"],
            election=entry["election_timeout"],
            pre_vote=entry["pre_vote"],
            delay=entry["one_way_delay"],
            disk=entry["disk"],
            load=entry["load"],
            hold=entry["hold"],
            check_quorum=entry["check_quorum"],
            reuse=reuse,
        )


@cache
def recorded() -> dict[str, Recorded]:
    """Every configuration of the record by its name."""
    entries = _data("etcd-3.4.23.json")["configurations"]
    return {name: Recorded(name, entry) for name, entry in entries.items()}


@dataclass(frozen=True)
class Figure:
    """A published number and how near an independent simulation should come to it."""

    id: str
    value: float
    unit: str
    kind: str
    tolerance: Mapping[str, Any]

    def agrees(self, ours: float) -> bool:
        """Whether our value is within the tolerance."""
        width = float(self.tolerance["value"])
        if self.tolerance["type"] == "relative":
            return abs(ours - self.value) <= width * self.value
        if self.tolerance["type"] == "absolute":
            return abs(ours - self.value) <= width
        return bool(self.tolerance["type"] == "factor") and 1 / width <= ours / self.value <= width

    @property
    def allowed(self) -> str:
        """The tolerance in words."""
        width = self.tolerance["value"]
        words = {"relative": "within {:.3g} %", "absolute": "within {:g}", "factor": "within a factor of {:g}"}
        of = self.tolerance["type"]
        return words[of].format(100 * width if of == "relative" else width) if of in words else str(width)


@cache
def published() -> dict[str, Figure]:
    """Every published figure that is one number, by its id."""
    return {
        entry["id"]: Figure(entry["id"], float(entry["value"]), entry["unit"], entry["kind"], entry["tolerance"])
        for entry in _data("raft-published.json")["figures"]
        if isinstance(entry["value"], int | float)
    }


QUANTILES = {"p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}
QUANTILES |= {"p999": 0.999}


def published_curve(prefix: str) -> tuple[Floats, Floats]:
    """The quantiles published for one curve, in seconds, and their levels; with both ends where they are known."""
    points = []
    for name, level in {"min": 0.0, **QUANTILES, "max": 1.0}.items():
        figure = published().get(f"{prefix}/{name}")
        if figure is not None:
            points.append((figure.value * 1e-3, level))
    assert points, f"nothing is published under {prefix}"
    values, levels = zip(*points, strict=True)
    return np.array(values), np.array(levels)


def statistic(values: Floats, name: str) -> float:
    """A statistic by its name in the published figures: mean, min, max or a quantile."""
    if name == "mean":
        return float(np.mean(values))
    if name in ("min", "max"):
        return float(np.min(values) if name == "min" else np.max(values))
    return float(np.quantile(values, QUANTILES[name])) if name in QUANTILES else math.nan


def _data(name: str) -> Any:
    return json.loads((files("hasim.validation") / "data" / name).read_text(encoding="utf-8"))
