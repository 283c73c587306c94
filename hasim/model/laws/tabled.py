"""Laws that are known by their draws: whatever is asked of them comes from a table of sorted durations."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hasim.model.laws.law import Array, Law, Size, probabilities, times


class Tabled(Law):
    """A law whose durations are simulated: it says how to draw one, and keeps a table of them for all the rest."""

    @property
    @abstractmethod
    def table(self) -> Array:
        """Durations in order of their length, in seconds; read-only."""

    @cached_property
    def _biased_edges(self) -> Array:
        edges = np.cumsum(self.table)
        return np.asarray(edges[:-1] / edges[-1])

    @cached_property
    def mean(self) -> float:
        """Average of the durations in the table, in seconds."""
        return float(np.mean(self.table))

    @cached_property
    def scv(self) -> float:
        return float(np.var(self.table / self.mean))

    def survival(self, t: npt.ArrayLike) -> Array:
        table = self.table
        return 1.0 - np.searchsorted(table, times(t), side="right") / table.size

    def quantile(self, p: npt.ArrayLike) -> Array:
        table = self.table
        place = np.ceil(probabilities(p) * table.size).astype(np.int64) - 1
        return np.asarray(table[np.maximum(place, 0)])

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        return np.asarray(self.table[np.searchsorted(self._biased_edges, rng.random(size), side="right")])
