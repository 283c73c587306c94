"""How long something takes that a fault slows down: always the same, or drawn from a law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, WithJsonSchema

from hasim.units import human, seconds


@runtime_checkable
class Delays(Protocol):
    """Durations in seconds, drawn one by one: any law is that. Faults stand below the laws and name none."""

    def draw(self, rng: np.random.Generator, size: int, /) -> npt.NDArray[np.float64]:
        """Independent draws, in seconds."""


@dataclass(frozen=True)
class Always:
    """The same delay every time, in seconds: what a plain duration means in a fault."""

    seconds: float

    def draw(self, rng: np.random.Generator, size: int, /) -> npt.NDArray[np.float64]:
        """No chance in it."""
        return np.full(size, self.seconds)

    def __str__(self) -> str:
        return f"always {human(self.seconds)}"


def _delays(value: Any) -> Delays:
    if isinstance(value, Delays):
        return value
    try:
        always = seconds(value)
    except ValueError as error:
        raise ValueError(f"{error}; or give a law, like ha.Lognormal(mean='50ms', median='30ms')") from None
    if always == 0:
        raise ValueError(f"got {value!r}; a delay of no length is no fault")
    return Always(always)


DelaysField = Annotated[
    Delays,
    BeforeValidator(_delays),
    WithJsonSchema({"type": "string", "description": "A duration, always that long; in Python also a law."}),
]
"""A pydantic field holding delays: "50ms" (always that long) or a law object in; something with `draw` inside."""
