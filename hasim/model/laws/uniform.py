"""The uniform law: anything between two bounds, all alike."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hasim.model.laws.law import Array, Law, Size, brief, factor_checked, probabilities, times
from hasim.units import Seconds, duration_text, s


class Uniform(Law):
    """Uniform law between `low` and `high`."""

    low: Seconds = Field(description="Shortest duration.")
    high: Seconds = Field(description="Longest duration, above `low`.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"got low {brief(self.low)} and high {brief(self.high)}; low is below high")
        return self

    @property
    def mean(self) -> float:
        """The middle, in seconds."""
        return (self.low + self.high) / 2.0

    @property
    def scv(self) -> float:
        return (self.high - self.low) ** 2 / 12.0 / self.mean**2

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = rng.random(size)
        drawn *= self.high - self.low
        drawn += self.low
        return drawn

    def survival(self, t: npt.ArrayLike) -> Array:
        return np.clip((self.high - times(t)) / (self.high - self.low), 0.0, 1.0)

    def quantile(self, p: npt.ArrayLike) -> Array:
        return self.low + (self.high - self.low) * probabilities(p)

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        # The density grows with x, so the squares are uniform.
        drawn = rng.random(size)
        drawn *= self.high**2 - self.low**2
        drawn += self.low**2
        np.sqrt(drawn, out=drawn)
        return drawn

    def scaled(self, factor: float) -> Uniform:
        factor_checked(factor)
        return Uniform(low=s(self.low * factor), high=s(self.high * factor))

    def text(self) -> str:
        return f"uniform, {brief(self.low)} to {brief(self.high)}"

    def to_plain(self) -> dict[str, Any]:
        return {"uniform": {"low": duration_text(self.low), "high": duration_text(self.high)}}
