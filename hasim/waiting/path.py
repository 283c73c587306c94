"""The path of every request through a service: which replica it goes to, when it starts and when it ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hasim.errors import ModelError
from hasim.waiting.pool import Pool
from hasim.waiting.requests import Floats, Ints, checked_count, checked_requests


@dataclass(frozen=True)
class Path:
    """When each request starts and ends, in seconds, and the replica that serves it: three arrays of shape (n,)."""

    starts: Floats
    ends: Floats
    server: Ints


class Replicas:
    """Replicas of a service with some slots each, fed with requests in chunks; state is carried from chunk to chunk.

    With `shared` all slots of all replicas take from one line; without it each replica has a line of its own, and every
    request must say where it goes. What must hold for the paths to be exact stands at the head of the package.
    """

    def __init__(self, replicas: int, slots: int, *, shared: bool = False) -> None:
        self.replicas = checked_count(replicas, "replicas")
        self.slots = checked_count(slots, "slots")
        self.shared = shared
        self._last = -math.inf
        if shared:
            self._pools = [Pool(self.replicas * self.slots, track=self.replicas > 1)]
        else:
            self._pools = [Pool(self.slots) for _ in range(self.replicas)]

    def feed(self, arrivals: ArrayLike, services: ArrayLike, assign: ArrayLike | None = None) -> Path:
        """Return the paths of the next chunk of requests.

        All shapes are (n,); arrivals never decrease, also from chunk to chunk; `assign` holds replicas from 0 on. With
        one shared line `assign` is left out, and `server` is the replica whose slot has been free the longest; slots
        count up replica by replica on the first round.
        """
        came, work = checked_requests(arrivals, services, self._last)
        if came.size:
            self._last = float(came[-1])
        if self.shared:
            if assign is not None:
                raise ModelError("got an array; with one shared line nobody is sent to a replica", "assign")
            starts, slot = self._pools[0].feed(came, work)
            server = np.zeros(came.size, dtype=np.int64) if slot is None else slot // self.slots
            return Path(starts, starts + work, server)
        server = self._assigned(assign, came.size)
        starts = np.empty(came.size)
        # Few replicas fit 16 bits, which numpy sorts in linear time; stable, so each line keeps its order.
        small = server.astype(np.uint16) if self.replicas <= 1 << 16 else server
        order = np.argsort(small, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(server, minlength=self.replicas))])
        came_by, work_by = came[order], work[order]
        for pool, low, high in zip(self._pools, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if low < high:
                starts[order[low:high]] = pool.feed(came_by[low:high], work_by[low:high])[0]
        return Path(starts, starts + work, server)

    def _assigned(self, assign: ArrayLike | None, size: int) -> Ints:
        if assign is None:
            if self.replicas > 1:
                raise ModelError(f"got nothing; give a replica from 0 to {self.replicas - 1} a request", "assign")
            return np.zeros(size, dtype=np.int64)
        given = np.asarray(assign)
        if given.shape != (size,) or (size and not np.issubdtype(given.dtype, np.integer)):
            raise ModelError(
                f"got {given.dtype} of shape {given.shape}; give one whole number for each of {size} requests", "assign"
            )
        if size and not (given.min() >= 0 and given.max() < self.replicas):
            raise ModelError(
                f"got {given.min()} to {given.max()}; replicas are numbered 0 to {self.replicas - 1}", "assign"
            )
        return given.astype(np.int64, copy=False)


def pool_path(
    arrivals: ArrayLike, services: ArrayLike, assign: ArrayLike | None, replicas: int, slots: int = 1
) -> Path:
    """Return the path of every request through `replicas` of `slots` each, beginning idle.

    `arrivals` and `services` have shape (n,), in seconds. `assign` sends each request to a replica (see `round_robin`,
    `random_of`); with None all slots take from one shared line. Raises ModelError for bad input. For more requests
    than fit in memory use `pool_paths`.
    """
    return Replicas(replicas, slots, shared=assign is None).feed(arrivals, services, assign)


def pool_paths(
    chunks: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike | None]], replicas: int, slots: int = 1
) -> Iterator[Path]:
    """Yield the paths of chunks of (arrivals, services, assign), one after another; memory is that of one chunk.

    The chunks either all have an `assign` or all have None. The paths are those of `pool_path` on the whole.
    """
    pools: Replicas | None = None
    for arrivals, services, assign in chunks:
        if pools is None:
            pools = Replicas(replicas, slots, shared=assign is None)
        yield pools.feed(arrivals, services, assign)
