"""The gamma law; with a whole shape it is Erlang's, a chain of equal exponential stages."""

from __future__ import annotations

from typing import Any, Final, Self

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

_MOST_STAGES: Final = 100


class Gamma(Law):
    """Gamma law: density proportional to t^(shape-1) exp(-t / scale). Give `shape` and `mean` or `scale`."""

    shape: Positive = Field(ge=0.01, le=1e6, description="1 is exponential; whole numbers are Erlang's law.")
    mean: Seconds = Field(default=DERIVED, gt=0, description="Mean duration, shape times scale.")
    scale: Seconds = Field(default=DERIVED, gt=0, description="Mean of one stage.")

    @model_validator(mode="after")
    def _fill(self) -> Self:
        exactly(1, self.model_fields_set, ("mean", "scale"), "gamma")
        if "mean" in self.model_fields_set:
            return self._derive(scale=self.mean / self.shape)
        return self._derive(mean=self.scale * self.shape)

    @property
    def scv(self) -> float:
        return 1.0 / self.shape

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = rng.standard_gamma(self.shape, size)
        drawn *= self.scale
        return drawn

    def survival(self, t: npt.ArrayLike) -> Array:
        from scipy.special import gammaincc

        return np.asarray(gammaincc(self.shape, np.maximum(times(t), 0.0) / self.scale), dtype=np.float64)

    def quantile(self, p: npt.ArrayLike) -> Array:
        from scipy.special import gammaincinv

        return self.scale * np.asarray(gammaincinv(self.shape, probabilities(p)), dtype=np.float64)

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = rng.standard_gamma(self.shape + 1.0, size)
        drawn *= self.scale
        return drawn

    def scaled(self, factor: float) -> Gamma:
        factor_checked(factor)
        if "mean" in self.model_fields_set:
            return Gamma(shape=self.shape, mean=s(self.mean * factor))
        return Gamma(shape=self.shape, scale=s(self.scale * factor))

    def phases(self) -> tuple[Branch, ...] | None:
        if self.shape != int(self.shape) or self.shape > _MOST_STAGES:
            return None
        return (Branch(1.0, (1.0 / self.scale,) * int(self.shape)),)

    def text(self) -> str:
        return f"gamma, shape {self.shape:g}, mean {brief(self.mean)}"

    def to_plain(self) -> dict[str, Any]:
        return {"gamma": {"shape": self.shape, **self._given("mean", "scale")}}
