"""The Weibull law: a hazard that falls (shape below 1) or rises (shape above 1) with age."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hasim.model.laws.law import (
    DERIVED,
    Array,
    Branch,
    Law,
    Positive,
    Size,
    brief,
    exactly,
    factor_checked,
    probabilities,
    times,
)
from hasim.units import Seconds, s


class Weibull(Law):
    """Weibull law: P[X > t] = exp(-(t / scale)^shape). Give `shape` and either `mean` or `scale`."""

    shape: Positive = Field(ge=0.1, le=100, description="Below 1 the hazard falls with age, above 1 it rises.")
    mean: Seconds = Field(default=DERIVED, gt=0, description="Mean duration.")
    scale: Seconds = Field(default=DERIVED, gt=0, description="Duration that 36.8 % exceed.")

    @model_validator(mode="after")
    def _fill(self) -> Self:
        exactly(1, self.model_fields_set, ("mean", "scale"), "weibull")
        ratio = math.gamma(1.0 + 1.0 / self.shape)
        if "mean" in self.model_fields_set:
            return self._derive(scale=self.mean / ratio)
        return self._derive(mean=self.scale * ratio)

    @property
    def scv(self) -> float:
        # lgamma keeps the digits that a ratio of two large gammas would lose
        ratio = math.lgamma(1.0 + 2.0 / self.shape) - 2.0 * math.lgamma(1.0 + 1.0 / self.shape)
        return math.expm1(ratio)

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = rng.weibull(self.shape, size)
        drawn *= self.scale
        return drawn

    def survival(self, t: npt.ArrayLike) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(-((np.maximum(times(t), 0.0) / self.scale) ** self.shape))

    def quantile(self, p: npt.ArrayLike) -> Array:
        with np.errstate(divide="ignore"):
            return self.scale * (-np.log1p(-probabilities(p)) + 0.0) ** (1.0 / self.shape)

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        # Under x f(x) / mean, (X / scale)^shape is gamma with shape 1 + 1 / shape.
        drawn = rng.standard_gamma(1.0 + 1.0 / self.shape, size)
        drawn **= 1.0 / self.shape
        drawn *= self.scale
        return drawn

    def scaled(self, factor: float) -> Weibull:
        factor_checked(factor)
        if "mean" in self.model_fields_set:
            return Weibull(shape=self.shape, mean=s(self.mean * factor))
        return Weibull(shape=self.shape, scale=s(self.scale * factor))

    def phases(self) -> tuple[Branch, ...] | None:
        return (Branch(1.0, (1.0 / self.scale,)),) if self.shape == 1.0 else None

    def text(self) -> str:
        return f"weibull, shape {self.shape:g}, mean {brief(self.mean)}"

    def to_plain(self) -> dict[str, Any]:
        return {"weibull": {"shape": self.shape, **self._given("mean", "scale")}}
