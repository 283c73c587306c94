"""Arrivals of many independent users: a Poisson process whose rate is constant or follows a profile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from hasim.errors import ModelError
from hasim.waiting.requests import Floats, checked_count

Shape = Literal["linear", "constant"]

CHUNK: Final = 1 << 20
"""Arrivals expected in a chunk at most, unless told otherwise: 8 MB of times."""


def poisson_arrivals(
    rate_points: ArrayLike, rng: np.random.Generator, start: float, end: float, shape: Shape = "linear"
) -> Floats:
    """Return the times of Poisson arrivals from `start` to before `end`, ascending, in seconds; shape (n,).

    `rate_points` is a rate per second, or an array of rows (time, rate) with ascending times, shape (k, 2). Between two
    rows the rate runs straight from one to the other ("linear"), or holds until the next row ("constant"); after the
    last row it holds. Raises ModelError for negative rates, times out of order, and a `start` before the first row.
    """
    chunks = list(poisson_chunks(rate_points, rng, start, end, shape))
    return np.concatenate(chunks) if chunks else np.empty(0)


def poisson_chunks(
    rate_points: ArrayLike,
    rng: np.random.Generator,
    start: float,
    end: float,
    shape: Shape = "linear",
    chunk: int = CHUNK,
) -> Iterator[Floats]:
    """Yield the arrivals of `poisson_arrivals` piece by piece; `chunk` or fewer of them are expected in a piece.

    Pieces are disjoint, so their numbers are independent Poisson draws; given its number, a piece's arrivals are
    independent with a density proportional to the rate, and are drawn by inverting its integral, a square root.
    """
    if shape not in ("linear", "constant"):
        raise ModelError(f"got {shape!r}; allowed are 'linear' and 'constant'", "shape")
    if not (math.isfinite(start) and math.isfinite(end) and start <= end):
        raise ModelError(f"got {start} to {end}; the end is finite and not before the start", "end")
    chunk = checked_count(chunk, "chunk")
    times, rates = _profile(rate_points, start)
    return _pieces(times, rates, rng, start, end, shape == "linear", chunk)


def _profile(rate_points: ArrayLike, start: float) -> tuple[Floats, Floats]:
    """The times and rates of the profile's rows."""
    points = np.asarray(rate_points, dtype=np.float64)
    if points.ndim == 0:
        points = np.array([[start, float(points)]])
    if points.ndim != 2 or points.shape[1] != 2 or not points.shape[0]:
        raise ModelError(f"got shape {points.shape}; give a rate, or rows of (time, rate)", "rate_points")
    times, rates = points.T
    if not (np.isfinite(points).all() and bool(np.all(np.diff(times) > 0))):
        raise ModelError("got rows out of order or not finite; times ascend", "rate_points")
    if rates.min() < 0.0:
        raise ModelError(f"got a rate of {rates.min()}; a rate is zero or more", "rate_points")
    if start < times[0]:
        raise ModelError(f"got {start}, but the first rate holds from {times[0]} on; start there or later", "start")
    return times, rates


def _pieces(
    times: Floats, rates: Floats, rng: np.random.Generator, start: float, end: float, linear: bool, chunk: int
) -> Iterator[Floats]:
    edges = np.unique(np.concatenate([[start, end], times[(times > start) & (times < end)]]))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if linear:
            from_rate, to_rate = np.interp([low, high], times, rates).tolist()
        else:
            from_rate = to_rate = float(rates[np.searchsorted(times, low, side="right") - 1])
        # Equal steps of time: with the larger of the two rates, no piece expects more than `chunk`.
        count = max(1, math.ceil(max(from_rate, to_rate) * (high - low) / chunk))
        cuts = low + (high - low) * np.arange(count + 1) / count
        cuts[-1] = high
        at_cuts = from_rate + (to_rate - from_rate) * np.arange(count + 1) / count
        for i in range(count):
            yield _piece(rng, float(cuts[i]), float(cuts[i + 1]), float(at_cuts[i]), float(at_cuts[i + 1]))


def _piece(rng: np.random.Generator, low: float, high: float, from_rate: float, to_rate: float) -> Floats:
    """Arrivals in [low, high) while the rate runs straight from one value to the other."""
    length = high - low
    count = int(rng.poisson((from_rate + to_rate) / 2 * length))
    if not count:
        return np.empty(0)
    # With p = share of the integral so far, the share of the length solves r₀x + (r₁-r₀)x²/2 = p(r₀+r₁)/2. The root
    # is written without a difference of near numbers.
    share = rng.random(count)
    total = from_rate + to_rate
    root = np.sqrt(from_rate * from_rate + (to_rate - from_rate) * total * share)
    share *= total
    # Where the rate begins at zero, a draw of exactly 0 would be 0/0: it is the beginning of the piece.
    np.divide(share, from_rate + root, out=share, where=share > 0.0)
    share *= length
    share += low
    share.sort()
    np.minimum(share, math.nextafter(high, -math.inf), out=share)
    return share
