"""Balancing that is blind to the state of the replicas: in turn, or at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.errors import ModelError
from hasim.waiting.requests import Ints, checked_count


def round_robin(count: int, replicas: int, first: int = 0) -> Ints:
    """Return the replicas that so many requests go to in turn, shape (count,): first, first + 1, … from 0 again."""
    replicas = checked_count(replicas, "replicas")
    return np.asarray((np.arange(count) + first) % replicas)


def random_of(count: int, replicas: int, rng: np.random.Generator, weights: ArrayLike | None = None) -> Ints:
    """Return a replica drawn for each of so many requests, shape (count,).

    All are equally likely, or in proportion to `weights` of shape (replicas,). Raises ModelError for weights that are
    negative or all zero.
    """
    replicas = checked_count(replicas, "replicas")
    if weights is None:
        return rng.integers(replicas, size=count)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (replicas,) or not (np.isfinite(given).all() and given.min() >= 0.0 and given.sum() > 0.0):
        raise ModelError(f"got {weights!r}; give {replicas} weights of zero or more, not all zero", "weights")
    edges = np.cumsum(given)
    # A product that rounds up to the last edge still goes to the last replica that has a weight.
    drawn = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
    return np.asarray(np.minimum(drawn, np.flatnonzero(given)[-1]))
