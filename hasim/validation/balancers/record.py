"""The record of the real HAProxy and nginx: what was done in each trial, and what was seen, from the package's data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LAG_LIMITS: Final = {"haproxy_faults": 0.25, "haproxy_upgrades": 0.4, "nginx": 0.6}
"""Worst stall of the measuring loop, in seconds, up to which a trial is used, by part of the record."""


@dataclass(frozen=True)
class Recorded:
    """One configuration of the record: how it was set up, and one value a trial of each quantity.

    Only trials are used in which the measuring loop never stalled for longer than the limit of their part.
    """

    name: str
    config: Mapping[str, Any]
    columns: Mapping[str, list[Any]]
    limit: float

    @property
    def used(self) -> list[int]:
        """Places of the trials that are calm enough."""
        return [place for place, lag in enumerate(self.columns["lag"]) if lag <= self.limit]

    def values(self, quantity: str) -> list[Any]:
        """What was seen in each used trial; None where it was not seen."""
        column = self.columns[quantity]
        return [column[place] for place in self.used]

    def column(self, quantity: str) -> Floats:
        """The same as numbers, NaN where nothing was seen; all NaN if nothing of that name was written down."""
        if quantity.startswith("kinds."):
            kind = quantity.removeprefix("kinds.")
            return np.array([kinds.get(kind, 0) for kinds in self.values("kinds")], dtype=float)
        if quantity not in self.columns:
            return np.full(len(self.used), np.nan)
        return np.array([np.nan if value is None else value for value in self.values(quantity)], dtype=float)


@cache
def recorded(part: str) -> dict[str, Recorded]:
    """Every configuration of one part of the record ("haproxy_faults", "haproxy_upgrades", "nginx") by its name."""
    entries = _data(part)["configurations"]
    return {
        name: Recorded(name, entry["config"], entry["columns"], LAG_LIMITS[part]) for name, entry in entries.items()
    }


@cache
def steady() -> dict[str, Mapping[str, Any]]:
    """The steady runs without faults: configuration and statistics of all their requests together, in milliseconds."""
    return dict(_data("steady")["configurations"])


def _data(part: str) -> Any:
    return json.loads(files("hasim.validation").joinpath(f"data/balancers_{part}.json").read_text(encoding="utf-8"))
