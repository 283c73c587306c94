"""Durations one at a time from a law, drawn in blocks because numpy is fast only then."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from hasim.model.laws import Law
from hasim.streams import Streams

_BLOCK_FIRST, _BLOCK_LAST = 16, 1024


def draws(law: Law, streams: Streams, name: str) -> Iterator[float]:
    """Durations in seconds for ever; nothing is drawn before the first is asked for.

    Blocks begin small, since most things fail a few times in a run, and double.
    """
    return chain.from_iterable(_blocks(law, streams, name))  # half the cost of a generator for each of them


def _blocks(law: Law, streams: Streams, name: str) -> Iterator[list[float]]:
    rng = streams[name]
    block = _BLOCK_FIRST
    while True:
        yield law.draw(rng, block).tolist()
        block = min(2 * block, _BLOCK_LAST)
