"""Which version of a service ran on which server when, and so which of them answered a request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasim.results.outcomes import OK
from hasim.results.request_log import RequestLog

Rows = slice | NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Spans:
    """Who was where: rows of server, from and to (seconds), and the version that ran there."""

    servers: tuple[str, ...]
    begins_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    versions: tuple[str, ...]

    def version_of(self, log: RequestLog, rows: Rows = slice(None)) -> NDArray[np.int32]:
        """Return for each request the place in `names` of the version that answered it, or failed to; -1: none.

        It is the version in the server's place at the end of the request. Where nobody was in the place by then, a
        request that failed met none; one that was answered well was answered by the last one there, since an answer may
        be under way while its server ends. What begins at the very instant of an answer has not given it.
        """
        server, ended, good = log.server[rows], log.ended_s[rows], log.outcome[rows] == OK
        found = np.full(len(server), -1, dtype=np.int32)
        numbers = {name: number for number, name in enumerate(log.servers)}
        own: dict[int, list[int]] = {}
        for row in np.argsort(self.begins_s, kind="stable"):
            if self.servers[row] in numbers:
                own.setdefault(numbers[self.servers[row]], []).append(int(row))
        small = server.astype(np.int16) if len(log.servers) < 2**15 else server  # sorted ten times as fast
        order = np.argsort(small, kind="stable")
        ascending = small[order]
        codes = {name: code for code, name in enumerate(self.names)}
        for number, mine in own.items():
            first, last = np.searchsorted(ascending, [number, number + 1])
            its = order[first:last]
            place = np.searchsorted(self.begins_s[mine], ended[its], side="left") - 1
            known = np.maximum(place, 0)
            there = (place >= 0) & (good[its] | (ended[its] <= self.ends_s[mine][known]))
            versions = np.array([codes[self.versions[row]] for row in mine], dtype=np.int32)
            found[its] = np.where(there, versions[known], -1)
        return found

    def server_s(self, start: float, end: float) -> float:
        """How long servers were there between two instants, all together, in seconds; those that start count."""
        return float(np.sum(np.maximum(np.minimum(self.ends_s, end) - np.maximum(self.begins_s, start), 0.0)))

    @property
    def names(self) -> list[str]:
        """The versions, in order of their first pod."""
        order = np.argsort(self.begins_s, kind="stable")
        return list(dict.fromkeys(self.versions[row] for row in order))
