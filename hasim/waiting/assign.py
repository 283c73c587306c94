"""Balancing that is blind to the state of the replicas: in turn, or at random."""

from __future__ import annotations

import numpy as np

from hasim.waiting.requests import Ints, checked_count


def round_robin(count: int, replicas: int, first: int = 0) -> Ints:
    """Return the replicas that so many requests go to in turn, shape (count,): first, first + 1, … from 0 again."""
    replicas = checked_count(replicas, "replicas")
    return np.asarray((np.arange(count) + first) % replicas)


def random_of(count: int, replicas: int, rng: np.random.Generator) -> Ints:
    """Return a replica drawn for each of so many requests, each with the same chance, shape (count,).

    One uniform number a request, times the number of replicas, cut off: what who draws them one at a time does, so
    that both make the same choices. (The product of a double below 1 and a whole number never rounds up to the latter.)
    """
    replicas = checked_count(replicas, "replicas")
    return np.asarray((rng.random(count) * replicas).astype(np.int64))
