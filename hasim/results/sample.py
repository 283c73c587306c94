"""A Sample is what many independent histories of a cluster showed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasim.results import tables, tasks
from hasim.results.figures import ServiceFigures
from hasim.results.tasks import TaskFigures

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Sample:
    """The figures of each service over `runs` histories of `horizon_s` seconds, and the histories' totals.

    The arrays are by service. `downtime_s`, `outages` and `first_outage_s` have shape (runs,): seconds
    down, number of outages, and the time of the first one (infinite if there was none).
    `outage_durations_s` has one entry for each outage of all runs, and `outage_causes`, if kept, the unit
    that began it. `events` counts the failures and repairs of components that were drawn, `cpu_s` what they
    cost. `tasks` has the figures of the tasks of each queue that declares `delivery` and `work`.
    """

    cluster: str
    services: dict[str, ServiceFigures]
    runs: int
    horizon_s: float
    seed: int
    downtime_s: dict[str, NDArray[np.float64]]
    outages: dict[str, NDArray[np.int64]]
    outage_durations_s: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    first_outage_s: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    outage_causes: dict[str, NDArray[Any]] | None = None
    events: int = 0
    cpu_s: float = 0.0
    warnings: tuple[str, ...] = ()
    tasks: dict[str, TaskFigures] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the arrays by run have an entry for each run."""
        for by_service in (self.downtime_s, self.outages, self.first_outage_s):
            for name, array in by_service.items():
                assert array.shape == (self.runs,), f"{name}: shape {array.shape} for {self.runs} runs"

    @property
    def engine(self) -> str:
        """The name of the verb that made it."""
        return "estimate"

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON: the figures, not the arrays."""
        extra: dict[str, Any] = {"runs": int(self.runs), "events": int(self.events)}
        if self.tasks:
            extra["tasks"] = {name: figures.to_json() for name, figures in self.tasks.items()}
        return tables.to_json(self, extra)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame: rows service × quantity, columns value, low, high, level, method."""
        return tables.to_frame(self)

    def __str__(self) -> str:
        return tables.to_text(self, tables.how_made(self.seed, self.horizon_s, self.runs), tasks.lines(self.tasks))

    def _repr_html_(self) -> str:
        return tables.to_html(self, tables.how_made(self.seed, self.horizon_s, self.runs), tasks.table(self.tasks))
