"""The exponential law: no memory, one parameter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hasim.model.laws.law import Array, Branch, Law, Size, brief, factor_checked, probabilities, times
from hasim.units import Seconds, duration_text, s


class Exponential(Law):
    """Exponential law: the chance to end in the next second never changes; the law of a plain duration."""

    mean: Seconds = Field(gt=0, description="Mean of the exponential law.")

    @property
    def scv(self) -> float:
        return 1.0

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = rng.standard_exponential(size)
        drawn *= self.mean
        return drawn

    def survival(self, t: npt.ArrayLike) -> Array:
        return np.exp(-np.maximum(times(t), 0.0) / self.mean)

    def quantile(self, p: npt.ArrayLike) -> Array:
        with np.errstate(divide="ignore"):
            return -self.mean * np.log1p(-probabilities(p)) + 0.0

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = rng.standard_gamma(2.0, size)
        drawn *= self.mean
        return drawn

    def residual(self, rng: np.random.Generator, size: Size) -> Array:
        return self.draw(rng, size)  # no memory

    def scaled(self, factor: float) -> Exponential:
        return Exponential(mean=s(self.mean * factor_checked(factor)))

    def phases(self) -> tuple[Branch, ...]:
        return (Branch(1.0, (1.0 / self.mean,)),)

    def text(self) -> str:
        return f"exponential, mean {brief(self.mean)}"

    def to_plain(self) -> str:
        return duration_text(self.mean)
