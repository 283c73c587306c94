"""The fixed law: always the same duration."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hasim.model.laws.law import Array, Branch, Law, Size, brief, factor_checked, probabilities, times
from hasim.units import Seconds, duration_text, s


class Fixed(Law):
    """Fixed law: the duration is always `value`, which may be zero."""

    value: Seconds = Field(description="The duration, always the same.")

    @property
    def mean(self) -> float:
        """The value itself, in seconds."""
        return self.value

    @property
    def scv(self) -> float:
        return 0.0

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return np.full(size, self.value)

    def survival(self, t: npt.ArrayLike) -> Array:
        return np.asarray(times(t) < self.value, dtype=np.float64)

    def quantile(self, p: npt.ArrayLike) -> Array:
        return np.full_like(probabilities(p), self.value)

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        return np.full(size, self.value)

    def scaled(self, factor: float) -> Fixed:
        return Fixed(value=s(self.value * factor_checked(factor)))

    def phases(self) -> tuple[Branch, ...] | None:
        return (Branch(1.0, ()),) if self.value == 0 else None

    def text(self) -> str:
        return f"fixed, {brief(self.value)}"

    def to_plain(self) -> dict[str, Any]:
        return {"fixed": duration_text(self.value)}
