"""A Solution is the exact answer: nothing in it was sampled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hasim.results import tables, tasks
from hasim.results.figures import ServiceFigures
from hasim.results.tasks import TaskFigures

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Solution:
    """The figures of each service in closed form, with how they were obtained.

    `states` is the size of the largest Markov chain solved, `nodes` the size of the decision diagram,
    `routes` one sentence for each way a number was obtained. `horizon_s` is None for the steady state.
    `tasks` has the figures of the tasks of each queue that declares `delivery` and `work`.
    """

    cluster: str
    services: dict[str, ServiceFigures]
    states: int = 0
    nodes: int = 0
    routes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    horizon_s: float | None = None
    tasks: dict[str, TaskFigures] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """The name of the verb that made it."""
        return "solve"

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        extra: dict[str, Any] = {"states": int(self.states), "nodes": int(self.nodes), "routes": list(self.routes)}
        if self.tasks:
            extra["tasks"] = {name: figures.to_json() for name, figures in self.tasks.items()}
        return tables.to_json(self, extra)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame: rows service × quantity, columns value, low, high, level, method."""
        return tables.to_frame(self)

    def __str__(self) -> str:
        return tables.to_text(self, tables.how_made(self.seed, self.horizon_s), tasks.lines(self.tasks))

    def _repr_html_(self) -> str:
        return tables.to_html(self, tables.how_made(self.seed, self.horizon_s), tasks.table(self.tasks))
