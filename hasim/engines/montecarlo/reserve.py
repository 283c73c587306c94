"""Draws kept in reserve: one batch of draws for each law, handed out a few at a time to whoever needs them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasim.model.laws import Law
from hasim.streams import Streams

BATCH = 8192
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Reserve:
    """Draws from several laws, by number; each distinct law has its own named stream and its own reserve."""

    def __init__(self, streams: Streams, laws: list[Law]) -> None:
        self._laws = list(dict.fromkeys(laws))
        self._streams = [streams[f"draws/{law.to_plain()}"] for law in self._laws]
        self._stock = [np.empty(0) for _ in self._laws]
        self._next = [0] * len(self._laws)
        self.number = {law: number for number, law in enumerate(self._laws)}

    def take(self, which: Ints) -> Floats:
        """One draw for each entry of `which`, from the law with that number."""
        if len(self._laws) == 1:
            return self.of(0, which.size)
        small = which.astype(np.int16)
        counts = np.bincount(small, minlength=len(self._laws))
        drawn = np.empty(which.size)
        position = 0
        for number in np.flatnonzero(counts).tolist():
            count = int(counts[number])
            if count == which.size:
                return self.of(number, count)
            drawn[position : position + count] = self.of(number, count)
            position += count
        placed = np.empty(which.size)
        placed[np.argsort(small, kind="stable")] = drawn
        return placed

    def of(self, number: int, count: int) -> Floats:
        """`count` draws from one law; not to be kept, the next call may write over them."""
        first = self._next[number]
        if first + count > self._stock[number].size:
            left = self._stock[number][first:]
            more = self._laws[number].draw(self._streams[number], max(BATCH, count))
            self._stock[number], first = np.concatenate([left, more]), 0
        self._next[number] = first + count
        return self._stock[number][first : first + count]
