"""Durations one at a time from a law, drawn in blocks because numpy is fast only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from hasim.model.laws import Fixed, Law
from hasim.streams import Streams

_BLOCK_FIRST, _BLOCK_LAST = 16, 1024


def draws(law: Law, streams: Streams, name: str) -> Iterator[float]:
    """Durations in seconds for ever; nothing is drawn before the first is asked for.

    Blocks begin small, since most things fail a few times in a run, and double.
    """
    blocks = (block.tolist() for block in draw_blocks(law, streams, name))
    return chain.from_iterable(blocks)  # half the cost of a generator for each of them


def durations(law: Law, streams: Streams, name: str) -> Callable[[], float]:
    """A function that gives the next duration of a law, in seconds."""
    if isinstance(law, Fixed):
        return repeat(law.value).__next__  # a third of the cost of a generator
    return draws(law, streams, name).__next__


def draw_blocks(law: Law, streams: Streams, name: str) -> Iterator[NDArray[np.float64]]:
    """The same durations in blocks, shape (n,) each."""
    rng = streams[name]
    block = _BLOCK_FIRST
    while True:
        yield law.draw(rng, block)
        block = min(2 * block, _BLOCK_LAST)
