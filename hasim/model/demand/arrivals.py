"""When requests come, if nobody waits for an answer before asking again (an open loop).

A kind of arrivals says how the rate goes; a new one is one class with `segments`. All but the paced and the replayed
ones are Poisson processes whose rate is constant on each segment.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    InstanceOf,
    PrivateAttr,
    SerializeAsAny,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from hasim.declared import Declared, at, shown
from hasim.errors import ModelError
from hasim.kinds import InShort, tag_of
from hasim.model.laws.csv_column import read_column
from hasim.model.laws.empirical import Unit
from hasim.units import Count, Seconds, Share

Array = NDArray[np.float64]
Segment = tuple[float, float, float]  # from, to (seconds), requests per second

BLOCK = 4096
"""Arrivals expected in one block: large enough for NumPy, small enough that a short run draws little."""

RATE_FORMS: Final[tuple[dict[str, Any], ...]] = ({"type": "number", "minimum": 0}, {"type": "string"})
"""JSON Schemas of what a rate is written as."""

_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}


RATE_MIN, RATE_MAX = 1e-9, 1e9


def _rate(value: Any) -> float:
    """Read a rate: a number is requests per second, text says per what, like "12000/m"."""
    allowed = "give requests per second, like 200, or text like '200/s', '12000/m' or '50000/h'"
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*/\s*([smh])\s*", value, re.ASCII)
        if found is None:
            raise ValueError(f"got {shown(value)}; {allowed}")
        value = float(found[1]) / _PER[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"got {shown(value)}; {allowed}")
    # Bounds before the conversion: a whole number may be too large for a float.
    if not (value == 0 or RATE_MIN <= value <= RATE_MAX):
        said = f"zero, or from {RATE_MIN:g} to {RATE_MAX:g} requests per second"
        raise ValueError(f"got {shown(value)}; a rate is a finite number: {said}")
    return float(value)


Rate = Annotated[
    float,
    BeforeValidator(_rate),
    WithJsonSchema({"anyOf": list(RATE_FORMS)}),
]
"""A pydantic field holding requests per second."""


class Arrivals(Declared, ABC):
    """A process of arrivals; times are in seconds of the run's clock."""

    @abstractmethod
    def segments(self, start: float, end: float) -> Iterator[Segment]:
        """Yield (from, to, requests per second) from `start` to `end` (which may be infinite), without gaps."""

    def blocks(self, rng: np.random.Generator, start: float, end: float) -> Iterator[Array]:
        """Yield the arrivals in ascending order, an array at a time; some may be empty.

        Where the pieces end that are drawn at once does not depend on `end`: a longer run begins as the shorter one.
        """
        for low, high, rate in self.segments(start, math.inf):
            if low >= end:
                return
            if rate <= 0:
                continue
            at, piece = low, BLOCK / rate
            while at < min(high, end):
                upto = min(at + piece, high)
                block = np.sort(rng.uniform(at, upto, rng.poisson(rate * (upto - at))))
                yield block if upto <= end else block[block < end]
                at = upto

    def mean_rate(self, start: float, end: float) -> float:
        """Return the mean requests per second from `start` to `end`, both finite."""
        return sum((high - low) * rate for low, high, rate in self.segments(start, end)) / (end - start)


class Poisson(Arrivals):
    """Independent users: a Poisson process of constant rate."""

    kind: Literal["poisson"] = "poisson"
    rate: Rate = Field(description="Requests per second.")

    def __init__(self, rate: Any = None, **data: Any) -> None:
        super().__init__(**({} if rate is None else {"rate": rate}), **data)

    def segments(self, start: float, end: float) -> Iterator[Segment]:
        yield start, end, self.rate


class Paced(Arrivals):
    """A load generator with a metronome: requests at equal distances."""

    kind: Literal["paced"] = "paced"
    rate: Rate = Field(description="Requests per second.")

    def __init__(self, rate: Any = None, **data: Any) -> None:
        super().__init__(**({} if rate is None else {"rate": rate}), **data)

    def segments(self, start: float, end: float) -> Iterator[Segment]:
        yield start, end, self.rate

    def blocks(self, rng: np.random.Generator, start: float, end: float) -> Iterator[Array]:
        if self.rate <= 0:
            return
        number = 0
        while (low := start + number / self.rate) < end:
            block = start + np.arange(number, number + BLOCK) / self.rate
            yield block[block < end]
            number += BLOCK
            assert low < end


class Step(Declared):
    """From this time on, this rate."""

    at: Seconds = Field(ge=0, description="When the rate changes.")
    rate: Rate = Field(description="Requests per second from then on.")


class Steps(Arrivals):
    """A Poisson process whose rate changes at stated times: `Steps([("0s", 100), ("1m", 500), ("2m", 100)])`."""

    kind: Literal["steps"] = "steps"
    steps: tuple[Step, ...] = Field(min_length=1, description="Changes of the rate, in order of time; zero before.")

    def __init__(self, steps: Any = None, **data: Any) -> None:
        if steps is not None:
            data["steps"] = [
                {"at": step[0], "rate": step[1]} if isinstance(step, tuple | list) and len(step) == 2 else step
                for step in steps
            ]
        super().__init__(**data)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if any(one.at >= other.at for one, other in pairwise(self.steps)):
            raise ValueError("steps follow one another in time; two stand at one time, or out of order")
        return self

    def segments(self, start: float, end: float) -> Iterator[Segment]:
        changes = [(-math.inf, 0.0), *((step.at, step.rate) for step in self.steps), (math.inf, 0.0)]
        for (low, rate), (high, _) in pairwise(changes):
            if max(low, start) < min(high, end):
                yield max(low, start), min(high, end), rate


class Spike(Arrivals):
    """A flash crowd: a constant rate that jumps to another for a while."""

    kind: Literal["spike"] = "spike"
    rate: Rate = Field(description="Requests per second as a rule.")
    to: Rate = Field(description="Requests per second in the spike.")
    at: Seconds = Field(ge=0, description="When the spike begins.")
    lasting: Seconds = Field(gt=0, description="How long it lasts.")

    def segments(self, start: float, end: float) -> Iterator[Segment]:
        edges = [(-math.inf, self.rate), (self.at, self.to), (self.at + self.lasting, self.rate), (math.inf, 0.0)]
        for (low, rate), (high, _) in pairwise(edges):
            if max(low, start) < min(high, end):
                yield max(low, start), min(high, end), rate


_DAY, _WEEK, _MINUTE = 86400.0, 604800.0, 60.0


class Daily(Arrivals):
    """The tide of a day: a cosine between a low at night and a peak, weaker at weekends.

    The run begins at midnight on a Monday. The rate is taken as constant within each minute, at its mean there.
    """

    kind: Literal["daily"] = "daily"
    low: Rate = Field(description="Requests per second at the lowest.")
    high: Rate = Field(description="Requests per second at the peak.")
    peak: Seconds = Field(
        default=14 * 3600.0, ge=0, lt=_DAY, description="Time of day of the peak; 14:00 is an assumption."
    )
    weekend: Share = Field(default=1.0, description="Rate on Saturdays and Sundays, as a share of the other days'.")

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g}, above high, which is {self.high:g}")
        return self

    def _mean(self, low: float, high: float) -> float:
        middle, swing = (self.high + self.low) / 2, (self.high - self.low) / 2
        turn = 2 * math.pi / _DAY
        rise = math.sin(turn * (high - self.peak)) - math.sin(turn * (low - self.peak))
        factor = self.weekend if low % _WEEK >= 5 * _DAY else 1.0
        return max(0.0, factor * (middle + swing * rise / (turn * (high - low))))

    def segments(self, start: float, end: float) -> Iterator[Segment]:
        minute = math.floor(start / _MINUTE)
        while minute * _MINUTE < end:
            low, high = max(start, minute * _MINUTE), min(end, (minute + 1) * _MINUTE)
            if low < high:
                yield low, high, self._mean(minute * _MINUTE, (minute + 1) * _MINUTE)
            minute += 1


class Replay(Arrivals):
    """Arrivals that were recorded: `Replay(times=[0.013, 0.021, …])`, or a column of a CSV file.

    Either way they are seconds of the run, in ascending order; a file may have them in another `unit`. A file has a
    header, is read when the model is, and has at most 20 MB. The run begins at 0: a record that begins at some time of
    day is to be shifted to its first second.
    """

    kind: Literal["replay"] = "replay"
    times: tuple[float, ...] = Field(default=(), description="Arrivals in seconds of the run, ascending.")
    csv: str | None = Field(default=None, description="A CSV file with a header; relative to the model file.")
    column: str | None = Field(default=None, description="Name of the column with the arrivals, ascending.")
    unit: Unit | None = Field(default=None, description="Unit of the numbers in the column; left out: seconds.")
    _recorded: tuple[float, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _read(self) -> Self:
        if self.csv is None:
            if "times" not in self.model_fields_set:
                raise ValueError("a replay takes either times (a list of seconds) or csv (a file)")
            if self.column is not None or self.unit is not None:
                raise ValueError("column and unit describe a csv file; times are seconds of the run")
            if not self.times:
                raise ModelError.of([at(("times",), "got none; give at least one arrival")])
            _check_ascending(self.times, "times", "")
            self._recorded = self.times
            return self
        if self.times:
            raise ValueError("a replay takes either times (a list of seconds) or csv (a file), not both")
        try:
            self._recorded = read_column(self.csv, self.column, self.unit or "s")
        except ValueError as error:
            raise ModelError.of([at(("csv",), str(error))]) from None
        _check_ascending(self._recorded, "csv", f"{self.csv}, ")
        return self

    @property
    def recorded(self) -> tuple[float, ...]:
        """The arrivals in seconds of the run, ascending, wherever they came from."""
        return self._recorded

    def segments(self, start: float, end: float) -> Iterator[Segment]:
        times = np.array(self._recorded)
        upto = min(end, max(float(times[-1]), start) + 1e-9)
        if start < upto:
            yield start, upto, float(np.sum((times >= start) & (times < upto))) / (upto - start)

    def blocks(self, rng: np.random.Generator, start: float, end: float) -> Iterator[Array]:
        times = np.array(self._recorded)
        yield times[(times >= start) & (times < end)]


def _check_ascending(given: tuple[float, ...], field: str, where: str) -> None:
    """Name the first arrival that is no time, or is out of order."""
    times = np.array(given)
    wrong = ~(np.isfinite(times) & (times >= 0))
    back = np.concatenate([[False], np.diff(times) < 0])
    if wrong.any():
        number = int(wrong.argmax())
        said = f"arrival {number + 1} is {given[number]:g}; arrivals are finite seconds from 0 on"
    elif back.any():
        number = int(back.argmax())
        said = f"arrival {number + 1}, at {given[number]:.9g} s, comes after one at {given[number - 1]:.9g} s"
        said += "; arrivals are in ascending order"
    else:
        return
    raise ModelError.of([at((field,), where + said)])


def _rate_alone(value: Any) -> Any:
    """A bare rate is a Poisson process of that rate."""
    return value if isinstance(value, Arrivals | Mapping) else {"kind": "poisson", "rate": value}


AnyArrivals = Annotated[
    Annotated[Poisson, Tag("kind=poisson")]
    | Annotated[Paced, Tag("kind=paced")]
    | Annotated[Steps, Tag("kind=steps")]
    | Annotated[Spike, Tag("kind=spike")]
    | Annotated[Daily, Tag("kind=daily")]
    | Annotated[Replay, Tag("kind=replay")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Arrivals]]], Tag("kind=instance")],
    Discriminator(tag_of(Arrivals)),
    InShort(_rate_alone, *RATE_FORMS),
]
"""A pydantic field holding arrivals: a rate, a mapping with a kind, or an object."""

Users = Annotated[Count, Field(ge=1, le=1_000_000)]
