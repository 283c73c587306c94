"""The total law: one thing after another, such as detection and then repair."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hasim.errors import CannotModel
from hasim.model.laws.fixed import Fixed
from hasim.model.laws.law import AnyLaw, Array, Branch, Law, Size, factor_checked, times
from hasim.model.laws.mixture import MOST_BRANCHES


class Total(Law):
    """Total law: the sum of independent durations, one after another."""

    laws: tuple[AnyLaw, ...] = Field(min_length=1, max_length=100, description="The laws of the durations summed.")

    @property
    def mean(self) -> float:
        """Sum of the means, in seconds."""
        return math.fsum(law.mean for law in self.laws)

    @property
    def scv(self) -> float:
        if self.mean == 0:
            return 0.0
        return math.fsum(law.scv * law.mean**2 for law in self.laws) / self.mean**2

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        drawn = self.laws[0].draw(rng, size)
        for law in self.laws[1:]:
            drawn += law.draw(rng, size)
        return drawn

    @cached_property
    def _edges(self) -> Array:
        return np.cumsum([law.mean / self.mean for law in self.laws])[:-1]

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        # x = x1 + x2 + …, so x f(x) is the sum, over the parts, of the density with that part length-biased.
        if self.mean == 0:
            return np.zeros(size)
        chosen = np.searchsorted(self._edges, rng.random(size), side="right")
        drawn = np.zeros(chosen.shape)
        for index, law in enumerate(self.laws):
            one = law.draw(rng, chosen.shape)
            here = chosen == index
            count = int(np.count_nonzero(here))
            if count:
                one[here] = law.length_biased(rng, count)
            drawn += one
        return drawn

    def survival(self, t: npt.ArrayLike) -> Array:
        shift, law = self._shifted("survival function")
        return law.survival(times(t) - shift)

    def quantile(self, p: npt.ArrayLike) -> Array:
        shift, law = self._shifted("quantile")
        return shift + law.quantile(p)

    def _shifted(self, wanted: str) -> tuple[float, Law]:
        """Return the total as a constant plus one law, which is all that has a closed form."""
        random = [law for law in self.laws if not isinstance(law, Fixed)]
        shift = math.fsum(law.mean for law in self.laws if isinstance(law, Fixed))
        if not random:
            return 0.0, Fixed.model_construct(value=shift)
        if len(random) > 1:
            raise CannotModel(
                f"the {wanted} of {self.text()}", "a sum of several random durations has no closed form here"
            )
        return shift, random[0]

    def scaled(self, factor: float) -> Total:
        factor_checked(factor)
        return Total(laws=tuple(law.scaled(factor) for law in self.laws))

    def phases(self) -> tuple[Branch, ...] | None:
        options: list[tuple[Branch, ...]] = []
        for law in self.laws:
            inner = law.phases()
            if inner is None or math.prod(map(len, options)) * len(inner) > MOST_BRANCHES:
                return None
            options.append(inner)
        return tuple(
            Branch(
                math.prod(branch.weight for branch in path),
                tuple(rate for branch in path for rate in branch.stages),
            )
            for path in product(*options)
        )

    def text(self) -> str:
        return " then ".join(f"({law.text()})" for law in self.laws)

    def to_plain(self) -> dict[str, Any]:
        return {"total": [law.to_plain() for law in self.laws]}
