"""Check the arguments of formulas: each refusal names the argument, what was given and what is allowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasim.errors import ModelError

Floats = NDArray[np.float64]


def positive(value: ArrayLike, name: str) -> Floats:
    """Return the numbers as an array of floats; ModelError unless all are finite and above zero."""
    given = _numbers(value, name)
    return _kept(given, np.isfinite(given) & (given > 0), name, "give a finite number above 0")


def zero_or_more(value: ArrayLike, name: str) -> Floats:
    """Return the numbers as an array of floats; ModelError unless all are finite and at least zero."""
    given = _numbers(value, name)
    return _kept(given, np.isfinite(given) & (given >= 0), name, "give a finite number of at least 0")


def share(value: ArrayLike, name: str, *, below_one: bool = False) -> Floats:
    """Return the numbers as an array of floats; ModelError unless all are from 0 to 1 (or below 1)."""
    given = _numbers(value, name)
    if below_one:
        return _kept(given, (given >= 0) & (given < 1), name, "give a share from 0 to below 1")
    return _kept(given, (given >= 0) & (given <= 1), name, "give a share from 0 to 1")


def whole(value: ArrayLike, name: str, least: int = 1) -> NDArray[np.int64]:
    """Return the numbers as an array of integers; ModelError unless all are whole and at least `least`."""
    given = _numbers(value, name)
    right = np.isfinite(given) & (given == np.floor(given)) & (given >= least) & (given < 2.0**53)
    return _kept(given, right, name, f"give a whole number of at least {least}").astype(np.int64)


def stationary(arrivals: Floats, capacity: Floats, name: str = "arrival_rate") -> None:
    """Raise ModelError unless arrivals are slower than the capacity, without which no stationary law exists."""
    arrivals, capacity = np.broadcast_arrays(arrivals, capacity)
    over = arrivals >= capacity
    if over.any():
        rate, limit = float(arrivals[over].flat[0]), float(capacity[over].flat[0])
        raise ModelError(f"got {rate:g}; the queue grows without end unless it is below the capacity, {limit:g}", name)


def _numbers(value: ArrayLike, name: str) -> Floats:
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "iuf":
            raise TypeError
        return given.astype(np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"got {value!r}; give a number, or an array of numbers", name) from None


def _kept(given: Floats, right: NDArray[np.bool_], name: str, allowed: str) -> Floats:
    if not right.all():
        raise ModelError(f"got {float(given[~right].flat[0]):g}; {allowed}", name)
    return given
