"""The lognormal law: the usual picture of repair times, with a long tail above the median."""

from __future__ import annotations

import math
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hasim.model.laws.law import (
    DERIVED,
    Array,
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

_LARGEST_SIGMA: Final = 5.0  # the mean is then 268 337 medians; no data set of repairs comes near


class Lognormal(Law):
    """Lognormal law: the logarithm is normal with deviation `sigma`. Give two of `mean`, `median`, `sigma`.

    Prefer `mean` and `median`: availability depends on the mean, and a fit of `sigma` to the body of the data
    can miss the mean by a factor of two.
    """

    mean: Seconds = Field(default=DERIVED, gt=0, description="Mean duration, above the median.")
    median: Seconds = Field(default=DERIVED, gt=0, description="Half of the durations are longer.")
    sigma: Positive = Field(default=DERIVED, le=_LARGEST_SIGMA, description="Standard deviation of the logarithm.")

    @model_validator(mode="after")
    def _fill(self) -> Self:
        exactly(2, self.model_fields_set, ("mean", "median", "sigma"), "lognormal")
        if "sigma" not in self.model_fields_set:
            if self.mean <= self.median:
                raise ValueError(
                    f"got mean {brief(self.mean)} and median {brief(self.median)}; "
                    "the mean of a lognormal law is above its median"
                )
            sigma = math.sqrt(2.0 * math.log(self.mean / self.median))
            if sigma > _LARGEST_SIGMA:
                raise ValueError(
                    f"got mean {brief(self.mean)} and median {brief(self.median)}, so sigma {sigma:.3g}; "
                    f"sigma is at most {_LARGEST_SIGMA:g}"
                )
            return self._derive(sigma=sigma)
        lift = math.exp(self.sigma**2 / 2.0)
        if "mean" in self.model_fields_set:
            return self._derive(median=self.mean / lift)
        return self._derive(mean=self.median * lift)

    @property
    def scv(self) -> float:
        return math.expm1(self.sigma**2)

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self._from_normal(rng.standard_normal(size), self.median)

    def _from_normal(self, normal: Array, median: float) -> Array:
        normal *= self.sigma
        np.exp(normal, out=normal)
        normal *= median
        return normal

    def survival(self, t: npt.ArrayLike) -> Array:
        from scipy.special import ndtr

        with np.errstate(divide="ignore"):
            depth = np.log(np.maximum(times(t), 0.0) / self.median) / self.sigma
        return np.asarray(ndtr(-depth), dtype=np.float64)

    def quantile(self, p: npt.ArrayLike) -> Array:
        from scipy.special import ndtri

        return self.median * np.exp(self.sigma * np.asarray(ndtri(probabilities(p)), dtype=np.float64))

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        # x f(x) / mean is lognormal again, with the logarithm moved up by sigma².
        return self._from_normal(rng.standard_normal(size), self.median * math.exp(self.sigma**2))

    def scaled(self, factor: float) -> Lognormal:
        factor_checked(factor)
        given: dict[str, float] = {
            name: s(getattr(self, name) * factor) for name in ("mean", "median") if name in self.model_fields_set
        }
        if "sigma" in self.model_fields_set:
            given["sigma"] = self.sigma
        return Lognormal(**given)

    def text(self) -> str:
        return f"lognormal, mean {brief(self.mean)}, median {brief(self.median)}"

    def to_plain(self) -> dict[str, Any]:
        given: dict[str, Any] = self._given("mean", "median")
        if "sigma" in self.model_fields_set:
            given["sigma"] = self.sigma
        return {"lognormal": given}
