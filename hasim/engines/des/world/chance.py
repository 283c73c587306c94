"""Numbers for the hot paths: drawn from named streams in blocks, handed out one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat

from hasim.engines.des.draws import draws
from hasim.model.laws import Fixed, Law
from hasim.streams import Streams

_BLOCK_FIRST, _BLOCK_LAST = 16, 1024


def uniforms(streams: Streams, name: str) -> Iterator[float]:
    """Yield numbers drawn evenly from 0 to below 1, for ever; blocks begin small and double."""
    rng = streams[name]
    block = _BLOCK_FIRST
    while True:
        yield from rng.random(block).tolist()
        block = min(2 * block, _BLOCK_LAST)


def durations(law: Law, streams: Streams, name: str) -> Callable[[], float]:
    """A function that gives the next duration of a law, in seconds."""
    if isinstance(law, Fixed):
        return repeat(law.value).__next__  # a third of the cost of a generator
    return draws(law, streams, name).__next__
