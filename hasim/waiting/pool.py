"""Several servers and one line, first come first served: when each request starts (G/G/c)."""

from __future__ import annotations

import heapq
import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hasim.waiting.lindley import lindley
from hasim.waiting.requests import Floats, Ints, checked_count, checked_requests

_ROUNDS: Final = 5  # more rounds settle longer stretches of contention, at a sort each
_WINDOW_LEAST: Final = 128
_WINDOW_MOST: Final = 8192  # sorts stay in the cache
_WORTHWHILE: Final = 200  # a window that settles fewer requests than this costs more than the plain loop


class Pool:
    """Servers that share one line, fed in chunks: each chunk finds the servers as the last one left them.

    `ends` holds when each of the `servers` is done with what it has, ascending, shape (servers,); -inf if it was never
    used. A request takes the server that is free first, so among idle ones the one that has idled longest; `slots`
    numbers the servers in the order of `ends`, and is kept only if `track` is true. Memory is a few arrays of the
    length of a chunk.
    """

    def __init__(self, servers: int, *, track: bool = False) -> None:
        self.servers = checked_count(servers, "servers")
        self.ends = np.full(self.servers, -math.inf)
        self.slots: Ints | None = np.arange(self.servers) if track else None
        self._last = -math.inf
        # The pace: requests in the next window, in the next stretch of the plain loop, and left of the present one.
        self._window, self._stretch, self._plainly = 8 * _WINDOW_LEAST, _WINDOW_LEAST, 0

    def feed(self, arrivals: ArrayLike, services: ArrayLike) -> tuple[Floats, Ints | None]:
        """Return when each request of the next chunk starts, and on which server if that is tracked.

        Arrivals never decrease, also from chunk to chunk; times are seconds, shapes (n,). Splitting the input into
        other chunks changes nothing for several servers, and no more than the rounding of `lindley` for one.
        """
        came, work = checked_requests(arrivals, services, self._last)
        if not came.size:
            return np.empty(0), None if self.slots is None else np.empty(0, dtype=np.int64)
        self._last = float(came[-1])
        if self.servers == 1:
            starts = came + lindley(came, work, float(self.ends[0]))
            self.ends = starts[-1:] + work[-1:]
            return starts, None if self.slots is None else np.zeros(came.size, dtype=np.int64)
        return self._shared(came, work)

    def _shared(self, came: Floats, work: Floats) -> tuple[Floats, Ints | None]:
        """Go on by windows where few wait, by the plain loop where windows settle too little to pay."""
        starts = np.empty(came.size)
        taken = None if self.slots is None else np.empty(came.size, dtype=np.int64)
        at = 0
        while at < came.size:
            if self._plainly:
                high = min(at + self._plainly, came.size)
                found = _one_by_one(came[at:high], work[at:high], self.ends)
                self._plainly -= high - at
            else:
                high = min(at + self._window, came.size)
                found = _settled(came[at:high], work[at:high], self.ends)
                self._learn(found.size, high - at)
            upto = at + found.size
            starts[at:upto] = found
            slots = self._take(found + work[at:upto])
            if taken is not None and slots is not None:
                taken[at:upto] = slots
            at = upto
        return starts, taken

    def _learn(self, settled: int, tried: int) -> None:
        """Choose the next window by how well the last one did, or go without for longer and longer stretches."""
        if settled == tried:
            self._window, self._stretch = min(2 * self._window, _WINDOW_MOST), _WINDOW_LEAST
        elif settled >= _WORTHWHILE:
            self._window, self._stretch = max(2 * _WINDOW_LEAST, 2 * settled), _WINDOW_LEAST
        else:
            self._window, self._plainly = _WINDOW_LEAST, self._stretch
            self._stretch = min(4 * self._stretch, _WINDOW_MOST)

    def _take(self, ends: Floats) -> Ints | None:
        """Note when the next requests end; the servers they took, if tracked.

        Request i takes the server that is i-th to be free, counting the servers as found and then every earlier request
        of the chunk. A stable sort of all those ends tells whose end it waited for: none but an earlier one.
        """
        every = np.concatenate([self.ends, ends])
        if self.slots is None:
            every.sort()
            self.ends = every[ends.size :]
            return None
        order = np.argsort(every, kind="stable")
        source = np.concatenate([np.arange(self.servers), order[: ends.size]])
        # Or the chains below would lead in circles, for ever.
        assert bool((source[self.servers :] < np.arange(self.servers, source.size)).all()), "a request waits for itself"
        while bool((source >= self.servers).any()):  # follow the chains of requests back to a server, doubling strides
            source = source[source]
        slots = self.slots[source]
        left = order[ends.size :]
        self.ends, self.slots = every[left], slots[left]
        return np.asarray(slots[self.servers :])


def fifo_pool(arrivals: ArrayLike, services: ArrayLike, servers: int) -> Floats:
    """Return when each request starts on a pool of like servers that take requests in the order of arrival.

    `arrivals` (never decreasing) and `services` have shape (n,) and are seconds, as is the result. Any laws will do
    (G/G/c). The pool begins idle. Raises ModelError for arrivals out of order, negative services, or no server.

    The start is the arrival, or when the first server is free if that is later (Kiefer and Wolfowitz, Trans. AMS 78,
    1955); every step is the same floating-point maximum and sum as in a request-by-request simulation, so for two and
    more servers the results are the same bits. Some 0.02 to 0.25 µs a request.
    """
    return Pool(servers).feed(arrivals, services)[0]


def _settled(came: Floats, work: Floats, ends: Floats) -> Floats:
    """The starts of as many of these requests as a few sorts can settle, given when the servers are free (ascending).

    Let E be all ends, of earlier work and of these requests, in ascending order. Then start[i] = max(came[i], E[i]):
    i servers were released to the requests before, and what comes after cannot end before it starts. So a guess of the
    starts is put right by sorting its ends, again and again, and what is delayed settles from the front to the back.

    A prefix is settled when the guess reproduces itself there and no end of request i or later lies at or before E[i]:
    by induction E[i] is then the i-th smallest of the earlier ends alone, which is the definition.
    """
    size = came.size
    lead = min(size, ends.size)
    starts = came.copy()
    np.maximum(came[:lead], ends[:lead], out=starts[:lead])
    settled = 0
    for _ in range(_ROUNDS):
        own = starts + work
        free = np.concatenate([ends, own])
        free.sort()
        free = free[:size]
        after = np.minimum.accumulate(own[::-1])[::-1]
        better = np.maximum(came, free)
        wrong = (better != starts) | (after <= free)
        settled = int(wrong.argmax()) if bool(wrong.any()) else size
        if settled == size:
            break
        starts = better  # which does not change what is settled
    return starts[:settled]


def _one_by_one(came: Floats, work: Floats, ends: Floats) -> Floats:
    """The starts by the plain loop: whoever is next takes the server that is free first."""
    free = ends.tolist()  # ascending, so a heap
    starts = []
    for start, length in zip(came.tolist(), work.tolist(), strict=True):
        start = max(start, free[0])  # noqa: PLW2901
        heapq.heapreplace(free, start + length)
        starts.append(start)
    return np.array(starts)
