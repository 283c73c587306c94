"""The mixture law: one of several laws, chosen by chance each time."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hasim.model.laws.law import AnyLaw, Array, Branch, Law, Size, bisected, factor_checked, probabilities
from hasim.units import Share, share_text

MOST_BRANCHES: Final = 256
"""A mixture or total with more branches than this is handed to no Markov chain."""


class Mixture(Law):
    """Mixture law: one of several laws, each with its weight, such as a quick restart or else a repair."""

    parts: tuple[tuple[Share, AnyLaw], ...] = Field(
        min_length=1, max_length=1000, description="Pairs of weight and law; the weights add up to 100 %."
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = math.fsum(weight for weight, _ in self.parts)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"the weights add up to {total:.12g}; they must add up to 1 (100%)")
        return self

    @property
    def mean(self) -> float:
        """Weighted mean of the means, in seconds."""
        return math.fsum(weight * law.mean for weight, law in self.parts)

    @property
    def scv(self) -> float:
        if self.mean == 0:
            return 0.0
        # Variance is the mean variance plus the variance of the means: no large numbers are subtracted.
        within = math.fsum(weight * law.scv * law.mean**2 for weight, law in self.parts)
        between = math.fsum(weight * (law.mean - self.mean) ** 2 for weight, law in self.parts)
        return (within + between) / self.mean**2

    @cached_property
    def _edges(self) -> Array:
        return np.cumsum([weight for weight, _ in self.parts])[:-1]

    @cached_property
    def _biased_edges(self) -> Array:
        return np.cumsum([weight * law.mean / (self.mean or 1.0) for weight, law in self.parts])[:-1]

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self._drawn(rng, size, self._edges, biased=False)

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        if self.mean == 0:
            return np.zeros(size)
        return self._drawn(rng, size, self._biased_edges, biased=True)

    def _drawn(self, rng: np.random.Generator, size: Size, edges: Array, *, biased: bool) -> Array:
        chosen = np.searchsorted(edges, rng.random(size), side="right")
        drawn = np.empty(chosen.shape)
        for index, (_, law) in enumerate(self.parts):
            here = chosen == index
            count = int(np.count_nonzero(here))
            if count:
                drawn[here] = law.length_biased(rng, count) if biased else law.draw(rng, count)
        return drawn

    def survival(self, t: npt.ArrayLike) -> Array:
        total = np.zeros(np.shape(t))
        for weight, law in self.parts:
            total = total + weight * law.survival(t)
        return total

    def quantile(self, p: npt.ArrayLike) -> Array:
        asked = probabilities(p)
        ends = np.stack([law.quantile(asked) for weight, law in self.parts if weight > 0])
        return bisected(self, asked, ends.min(axis=0), ends.max(axis=0))

    def scaled(self, factor: float) -> Mixture:
        factor_checked(factor)
        return Mixture(parts=tuple((weight, law.scaled(factor)) for weight, law in self.parts))

    def phases(self) -> tuple[Branch, ...] | None:
        branches: list[Branch] = []
        for weight, law in self.parts:
            inner = law.phases()
            if inner is None:
                return None
            branches += [Branch(weight * branch.weight, branch.stages) for branch in inner if weight > 0]
        return tuple(branches) if len(branches) <= MOST_BRANCHES else None

    def text(self) -> str:
        return " or ".join(f"{weight * 100:.4g}% ({law.text()})" for weight, law in self.parts)

    def to_plain(self) -> dict[str, Any]:
        return {"mixture": [{"weight": share_text(weight), "law": law.to_plain()} for weight, law in self.parts]}
