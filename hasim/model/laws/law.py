"""What a law of a duration is: one interface for every engine.

A law is a declared value: frozen, equal by value, hashable, printable. The Monte Carlo engine calls `draw`,
`length_biased` and `residual`; the Markov engine asks for `phases`; closed forms need `mean` and `scv`. A new
law is one file with one subclass of `Law`, judged by the tests in `tests/model/test_laws.py`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, model_serializer

from hasim.declared import Declared
from hasim.units import duration_text, human

Array = npt.NDArray[np.float64]
Size = int | tuple[int, ...]
DERIVED: Any = None
"""Default of a field that follows from the other ones; it never stays in a law."""
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
"""A plain number above zero; text and booleans are refused."""


@dataclass(frozen=True)
class Branch:
    """One branch of a mixture of Erlang laws: with probability `weight`, pass the stages one after another.

    `stages` holds the rate of each exponential stage, per second; no stages means no time at all.
    """

    weight: float
    stages: tuple[float, ...]


class Law(Declared, ABC):  # noqa: PLW1641 (pydantic gives every frozen class its hash)
    """The probability law of a duration: how long something lasts, in seconds."""

    if TYPE_CHECKING:  # at run time `mean` is a field in some laws, and pydantic minds a field that hides a property

        @property
        def mean(self) -> float:
            """Expected duration, in seconds."""

    @property
    @abstractmethod
    def scv(self) -> float:
        """Squared coefficient of variation, variance / mean²: 1 for exponential, 0 for fixed."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        """Independent draws, in seconds."""

    @abstractmethod
    def survival(self, t: npt.ArrayLike) -> Array:
        """P[duration > t], elementwise."""

    @abstractmethod
    def quantile(self, p: npt.ArrayLike) -> Array:
        """Smallest duration t with P[duration <= t] >= p, elementwise; p is from 0 to 1."""

    @abstractmethod
    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        """Draws from the density x f(x) / mean: the interval that a random instant falls into."""

    def residual(self, rng: np.random.Generator, size: Size) -> Array:
        """Draws of what is left of the interval that a random instant falls into (residual life)."""
        biased = self.length_biased(rng, size)
        biased *= rng.random(size)
        return biased

    @abstractmethod
    def scaled(self, factor: float) -> Law:
        """The same law with time multiplied by `factor` (> 0)."""

    def phases(self) -> tuple[Branch, ...] | None:
        """The law exactly as a mixture of sums of exponential stages; None if it is not one, or too large."""
        return None

    @abstractmethod
    def text(self) -> str:
        """The law in a few words: "exponential, mean 7700h"."""

    @abstractmethod
    def to_plain(self) -> Any:
        """The form in YAML, from which `parse_law` builds an equal law."""

    @model_serializer(mode="plain")
    def _serialized(self) -> Any:
        return self.to_plain()

    def __str__(self) -> str:
        return self.text()

    def __eq__(self, other: object) -> bool:
        """Whether both are the same law with equal parameters; cached arrays do not count."""
        if not isinstance(other, Law) or type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).model_fields)

    def _given(self, *names: str) -> dict[str, str]:
        """Those of the duration fields that the user gave (the others are derived from them), as text."""
        return {name: duration_text(getattr(self, name)) for name in names if name in self.model_fields_set}

    def _derive(self, **values: float) -> Self:
        """Fill the fields that follow from the given ones; they stay out of `model_fields_set`."""
        for name, value in values.items():
            if not math.isfinite(value) or value <= 0:
                raise ValueError(f"the {name} that follows, {value:g} s, is beyond what a float can hold")
            object.__setattr__(self, name, value)
        return self


def as_law(value: object) -> Law:
    """Read a law wherever one is allowed, also inside another law."""
    from hasim.model.laws.reading import parse_law  # the reader knows every law, this file none

    return parse_law(value)


AnyLaw = Annotated[Law, BeforeValidator(as_law)]
"""A law inside a law: an object, or any form that `parse_law` reads."""


def exactly(count: int, given: Iterable[str], allowed: tuple[str, ...], of: str) -> None:
    """Refuse anything but `count` of the `allowed` fields."""
    present = [name for name in allowed if name in set(given)]
    if len(present) != count:
        said = " and ".join(present) if present else "none of them"
        wanted = f"exactly {'one' if count == 1 else 'two'} of {', '.join(allowed)}"
        raise ValueError(f"got {said}; a {of} law takes {wanted}")


def factor_checked(factor: float) -> float:
    """Refuse to scale time by anything but a finite number above zero."""
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"got {factor!r}; time is scaled by a finite number above zero")
    return float(factor)


def probabilities(p: npt.ArrayLike) -> Array:
    """Return `p` as an array, refusing what is no probability."""
    array = np.asarray(p, dtype=np.float64)
    if not bool(np.all((array >= 0) & (array <= 1))):
        raise ValueError("a quantile is asked for at probabilities from 0 to 1")
    return array


def bisected(law: Law, asked: Array, low: Array, high: Array) -> Array:
    """The quantiles of a law at these probabilities, each of which lies from `low` to `high`; infinite ones stay."""
    searched = np.isfinite(high)
    answer = high
    low, high = np.where(searched, low, 0.0), np.where(searched, high, 0.0)
    high = np.where(1.0 - law.survival(low) >= asked, low, high)
    for _ in range(1100):  # bisection of any two floats ends within this
        middle = low + (high - low) / 2.0
        if bool(np.all((middle <= low) | (middle >= high))):
            break
        enough = 1.0 - law.survival(middle) >= asked
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(searched, high, answer)


def times(t: npt.ArrayLike) -> Array:
    """Return `t` as an array of floats."""
    return np.asarray(t, dtype=np.float64)


def brief(value: float) -> str:
    """A duration in few characters: exact where that is short ("7700h"), else rounded ("2m 14s")."""
    exact = duration_text(value)
    one_term = exact[:-1].isdigit() and exact[-1] in "hdy"
    return exact if one_term or len(exact) <= 5 else human(value)
