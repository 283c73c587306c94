"""The empirical law: durations that were observed, drawn again with replacement (bootstrap)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, model_validator

from hasim.model.laws.csv_column import read_column
from hasim.model.laws.law import Array, Law, Size, brief, factor_checked, probabilities, times
from hasim.units import duration_text, s, seconds

Unit = Literal["us", "ms", "s", "m", "h", "d", "w", "y"]


def _durations(value: object) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("an empirical law takes a list of durations, like ['10s', '2m']")
    found = []
    for index, item in enumerate(value):
        try:
            found.append(seconds(item))
        except ValueError as error:
            raise ValueError(f"value {index + 1}: {error}") from None
    return tuple(found)


class Empirical(Law):
    """Empirical law: one of the observed durations, each as likely. Give `data`, or a column of a CSV file.

    With `unit` the cells of the column are numbers in that unit; without, each cell carries its own ("2m").
    """

    data: Annotated[tuple[float, ...], BeforeValidator(_durations)] = Field(
        default=(), description="The observed durations."
    )
    source: str | None = Field(default=None, description="Where the observations come from.")
    csv: str | None = Field(default=None, description="A CSV file with a header; relative to the model file.")
    column: str | None = Field(default=None, description="Name of the column with the durations.")
    unit: Unit | None = Field(default=None, description="Unit of the numbers in the column.")

    @classmethod
    def measured(cls, values: npt.ArrayLike, source: str | None = None) -> Empirical:
        """Build the law from an array of observed seconds."""
        return cls(data=tuple(map(s, np.asarray(values, dtype=np.float64).ravel().tolist())), source=source)

    @model_validator(mode="after")
    def _fill(self) -> Self:
        if (self.csv is None) == ("data" not in self.model_fields_set):
            raise ValueError("an empirical law takes either data (a list of durations) or csv (a file)")
        if self.csv is None and not (self.column is None and self.unit is None):
            raise ValueError("column and unit describe a csv file; in data each duration has its unit")
        if self.csv is not None:
            object.__setattr__(self, "data", read_column(self.csv, self.column, self.unit))
        if not self.data:
            raise ValueError("an empirical law needs at least one duration")
        total = math.fsum(self.data)
        if total == 0:
            raise ValueError("all durations are zero; write {fixed: 0s}")
        if not math.isfinite(total):
            raise ValueError("the durations add up to more than a float can hold")
        return self

    @cached_property
    def _sorted(self) -> Array:
        return np.sort(np.asarray(self.data))

    @cached_property
    def _biased_edges(self) -> Array:
        edges = np.cumsum(self._sorted)
        return np.asarray(edges[:-1] / edges[-1])

    @property
    def mean(self) -> float:
        """Average of the observations, in seconds."""
        return math.fsum(self.data) / len(self.data)

    @property
    def scv(self) -> float:
        return float(np.var(self._sorted / self.mean))

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self._sorted[rng.integers(0, len(self._sorted), size)]

    def survival(self, t: npt.ArrayLike) -> Array:
        return 1.0 - np.searchsorted(self._sorted, times(t), side="right") / len(self._sorted)

    def quantile(self, p: npt.ArrayLike) -> Array:
        count = len(self._sorted)
        steps = np.arange(1, count + 1) / count
        return self._sorted[np.minimum(np.searchsorted(steps, probabilities(p), side="left"), count - 1)]

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        return self._sorted[np.searchsorted(self._biased_edges, rng.random(size), side="right")]

    def scaled(self, factor: float) -> Empirical:
        factor_checked(factor)
        return Empirical(data=tuple(s(value * factor) for value in self.data), source=self.source or self.csv)

    def text(self) -> str:
        origin = f", from {self.source or self.csv}" if self.source or self.csv else ""
        return f"empirical, {len(self.data)} values, mean {brief(self.mean)}{origin}"

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = (
            {"data": [duration_text(value) for value in self.data]} if self.csv is None else {"csv": self.csv}
        )
        for name in ("column", "unit", "source"):
            if getattr(self, name) is not None:
                plain[name] = getattr(self, name)
        return {"empirical": plain}
