"""Uniform numbers one at a time, drawn in blocks: one draw from numpy costs ten times what the next of a list does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_BLOCK = 1024


def uniforms(rng: np.random.Generator) -> Callable[[], float]:
    """Return a function without arguments that gives the next number of U[0, 1) from `rng`."""
    return _blocks(rng).__next__


def _blocks(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(_BLOCK).tolist()
